"""What ``backfill`` and ``gaps --heal`` share: a writer on the database, a bar, and the venues one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from tapeline.cli.invocation import Invocation
from tapeline.clock import SystemClock

if TYPE_CHECKING:
    from tapeline.config import Settings
    from tapeline.ingest.base import Place
    from tapeline.runners.backfill import Filled, Progress
    from tapeline.runners.candle_backfill import FilledCandles
    from tapeline.runners.writer import Writer

HOW_SIMULATED = (
    "`tapeline up` heals its own simulated market; for one of `tapeline simulate` set TAPELINE_<VENUE>_URL to its "
    "address and add --simulated VENUE"
)


Done = TypeVar("Done")
Work = Callable[["Place", list[str], "Writer"], Awaitable[list[Done]]]


def fill(
    invocation: Invocation,
    instruments: Sequence[str],
    start: int,
    end: int,
    *,
    holes_only: bool = False,
    simulated: str = "",
) -> list[Filled]:
    """Bring the trades that the database does not have of some instruments in [start, end) (ns UTC).

    ``simulated`` names the venue as which that of the SIM instruments speaks.

    Raises:
        UsageError: an instrument is of no venue that gives its past.
        StoreError: the database cannot be had, or refuses.
    """
    from tapeline.ingest.bounds import Bounds
    from tapeline.runners.backfill import Backfill

    clock, bounds = SystemClock(), Bounds.of(invocation.settings)

    async def work(place: Place, names: list[str], writer: Writer) -> list[Filled]:
        backfill = Backfill(place, writer, clock=clock, progress=meter, bounds=bounds)
        return await backfill.run(names, start, end, holes_only=holes_only)

    places = _places(invocation.settings, instruments, simulated)
    with _meter(invocation, "trades") as meter:
        return _run(invocation, places, work, clock)


def fill_candles(
    invocation: Invocation, instruments: Sequence[str], timeframe: str, start: int, end: int, *, simulated: str = ""
) -> list[FilledCandles]:
    """Bring candles that the venues of some instruments made; otherwise as `fill`."""
    from tapeline.ingest.bounds import Bounds
    from tapeline.runners.candle_backfill import CandleBackfill, candles_of

    clock, bounds = SystemClock(), Bounds.of(invocation.settings)

    async def work(place: Place, names: list[str], writer: Writer) -> list[FilledCandles]:
        backfill = CandleBackfill(place, writer, invocation.settings, clock=clock, progress=meter, bounds=bounds)
        return await backfill.run(names, timeframe, start, end)

    places = _places(invocation.settings, instruments, simulated)
    for place, _ in places:
        candles_of(place, timeframe)
    with _meter(invocation, "candles") as meter:
        return _run(invocation, places, work, clock)


def _places(settings: Settings, instruments: Sequence[str], simulated: str) -> list[tuple[Place, list[str]]]:
    """Return where instruments are reached; those of SIM at the address that is set for the venue they speak as."""
    from tapeline.errors import UnknownName, UsageError
    from tapeline.ingest.places import SIMULATED, followed, place_of
    from tapeline.types import venue_of

    ours = [name for name in instruments if venue_of(name) == SIMULATED]
    if ours and not simulated:
        was = f"instrument {ours[0]}"
        raise UnknownName(was, "cannot be asked for", expected="a simulated venue", was="none", next_step=HOW_SIMULATED)
    others = [name for name in instruments if name not in ours]
    by_venue = followed(settings, others) if others else {}
    places = [(place_of(venue, settings), names) for venue, names in by_venue.items()]
    if ours:
        addresses = [getattr(settings, f"{simulated.lower()}_{name}", "unknown") for name in ("url", "rest_url")]
        if not any(addresses):
            step = f"set TAPELINE_{simulated}_URL to what `tapeline simulate` prints"
            raise UsageError(f"--simulated {simulated}", "has no address", expected="one", was="none", next_step=step)
        places.append((place_of(simulated, settings, simulated=True), ours))
    return places


def _run(
    invocation: Invocation, places: list[tuple[Place, list[str]]], work: Work[Done], clock: SystemClock
) -> list[Done]:
    """Do some work at each place with a writer on the database; a locked one is told with its owner's address."""
    from tapeline.errors import StoreLocked
    from tapeline.runners.owner import told
    from tapeline.runners.writer import Writer
    from tapeline.stores.duckdb import DuckDBStore

    settings = invocation.settings

    async def run() -> list[Done]:
        async with Writer(lambda: DuckDBStore(settings.db), settings, clock=clock, joins=True) as writer:
            return [one for place, names in places for one in await work(place, names, writer)]

    try:
        return asyncio.run(run())
    except StoreLocked as error:
        raise told(settings.db, error) from error


@contextmanager
def _meter(invocation: Invocation, what: str) -> Iterator[Callable[[Progress], None]]:
    """Give a meter that shows on stderr, where a person looks at it, how far each instrument is, how fast, how long."""
    import rich.progress as bar
    from rich.console import Console

    console = Console(stderr=True)
    counts = bar.TextColumn(f"{{task.fields[rows]:,}} {what}, {{task.fields[rate]:,.0f}}/s")
    columns = (bar.TextColumn("{task.description}"), counts, bar.BarColumn(), bar.TimeRemainingColumn())
    shown = bar.Progress(*columns, console=console, transient=True, disable=invocation.quiet or not console.is_terminal)
    tasks: dict[str, bar.TaskID] = {}

    def meter(at: Progress) -> None:
        if at.instrument not in tasks:
            tasks[at.instrument] = shown.add_task(at.instrument, rows=0, rate=0.0)
        task = tasks[at.instrument]
        rate = at.rows / (shown.tasks[task].elapsed or 1.0)
        shown.update(task, completed=at.done, total=at.total, rows=at.rows, rate=rate)

    with shown:
        yield meter
