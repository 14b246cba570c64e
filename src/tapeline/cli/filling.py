"""What ``backfill`` and ``gaps --heal`` share: a writer on the database, a bar, and the venues one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tapeline.cli.invocation import Invocation
from tapeline.clock import SystemClock

if TYPE_CHECKING:
    from tapeline.runners.backfill import Filled, Progress


def fill(
    invocation: Invocation, instruments: Sequence[str], start: int, end: int, *, holes_only: bool = False
) -> list[Filled]:
    """Bring what the database does not have of some instruments in [start, end) (ns UTC).

    Raises:
        UsageError: an instrument is of no venue that gives its past.
        StoreError: the database cannot be had, or refuses.
    """
    from tapeline.ingest.places import followed

    by_venue = followed(invocation.settings, instruments)
    with _meter(invocation) as meter:
        return asyncio.run(_fill(invocation, by_venue, (start, end), meter, holes_only=holes_only))


async def _fill(
    invocation: Invocation,
    by_venue: dict[str, list[str]],
    span: tuple[int, int],
    meter: Callable[[Progress], None],
    *,
    holes_only: bool,
) -> list[Filled]:
    from tapeline.ingest.bounds import Bounds
    from tapeline.ingest.places import place_of
    from tapeline.runners.backfill import Backfill
    from tapeline.runners.writer import Writer
    from tapeline.stores.duckdb import DuckDBStore

    settings, clock = invocation.settings, SystemClock()
    bounds, done = Bounds.of(settings), []
    places = [(place_of(venue, settings), names) for venue, names in by_venue.items()]
    async with Writer(lambda: DuckDBStore(settings.db), settings, clock=clock, joins=True) as writer:
        for place, names in places:
            backfill = Backfill(place, writer, clock=clock, progress=meter, bounds=bounds)
            done += await backfill.run(names, *span, holes_only=holes_only)
    return done


@contextmanager
def _meter(invocation: Invocation) -> Iterator[Callable[[Progress], None]]:
    """Give a meter that shows on stderr, where a person looks at it, how far each instrument is, how fast, how long."""
    import rich.progress as bar
    from rich.console import Console

    console = Console(stderr=True)
    counts = bar.TextColumn("{task.fields[trades]:,} trades, {task.fields[rate]:,.0f}/s")
    columns = (bar.TextColumn("{task.description}"), counts, bar.BarColumn(), bar.TimeRemainingColumn())
    shown = bar.Progress(*columns, console=console, transient=True, disable=invocation.quiet or not console.is_terminal)
    tasks: dict[str, bar.TaskID] = {}

    def meter(at: Progress) -> None:
        if at.instrument not in tasks:
            tasks[at.instrument] = shown.add_task(at.instrument, trades=0, rate=0.0)
        task = tasks[at.instrument]
        rate = at.trades / (shown.tasks[task].elapsed or 1.0)
        shown.update(task, completed=at.done, total=at.total, trades=at.trades, rate=rate)

    with shown:
        yield meter
