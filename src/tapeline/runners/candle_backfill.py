"""Backfill of candles that venues make themselves: kept as those of others, beside our own and never mixed with them.

A running candle is never asked for. How far the walk from an instant came is noted beside the imports, in the same
transaction as the candles, for a quiet period has none: the same command goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from tapeline.clock import SECOND, Clock, format_time
from tapeline.config import Settings
from tapeline.errors import InputError, UsageError, VenueError, VenueRefused
from tapeline.exchanges.base import Page, Span, VenueCandles
from tapeline.imported_candles import fold_imported, keep_candles
from tapeline.ingest.base import Place
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.judging import judge_bars, malformed, source_of
from tapeline.ingest.rest import Rest, new_client
from tapeline.runners.backfill import Progress
from tapeline.runners.notes import Note
from tapeline.runners.writer import Writer
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import Timeframe

_SETTLING = 10 * SECOND
"""A candle that closed less than this ago may still be running by the venue's clock, or change by a late trade."""


@dataclass(slots=True)
class FilledCandles:
    """What was done for an instrument; times are ns UTC.

    Attributes:
        candles: how many the venue gave that can be used.
        new: how many of them were not stored.
        conflicts: how many are stored with other content, which stays.
        malformed: how many cannot be used; they are dead letters.
        requests: how often the venue was asked.
        reached: up to when its candles are here.
        problem: why the rest could not be had; empty where all came.
    """

    instrument: str
    timeframe: str
    candles: int = 0
    new: int = 0
    conflicts: int = 0
    malformed: int = 0
    requests: int = 0
    reached: int | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values with times in RFC 3339."""
        return asdict(self) | {"reached": None if self.reached is None else format_time(self.reached)}


def candles_of(place: Place, timeframe: str) -> VenueCandles:
    """Return the candles of a venue that has them in a timeframe.

    Raises:
        UsageError: it has not; the text lists those that it has.
    """
    made = place.feed.candles
    where = f"{place.exchange.venue.lower()} {place.feed.name} candles"
    if made is None:
        raise UsageError(where, "cannot be had", expected="a venue that gives them", was="none")
    if timeframe not in made.timeframes:
        step = "take one of these, or the trades: without --timeframe"
        raise UsageError(
            where, "are not made by the venue", expected=", ".join(made.timeframes), was=timeframe, next_step=step
        )
    return made


class CandleBackfill:
    """Bring candles that one venue made.

    Args:
        place: the venue.
        writer: keeps what comes.
        settings: tell which feature sets are computed of them.
        clock: tells what is running, and when answers came.
        progress: is told how far it is.
        bounds: how long to try.
        seed: of the waits between attempts.
    """

    def __init__(
        self,
        place: Place,
        writer: Writer,
        settings: Settings,
        *,
        clock: Clock,
        progress: Callable[[Progress], None] = lambda progress: None,
        bounds: Bounds | None = None,
        seed: int = 0,
    ) -> None:
        self._place = place
        self._writer = writer
        self._settings = settings
        self._clock = clock
        self._progress = progress
        self._bounds = bounds or Bounds()
        self._random = Random(seed)

    async def run(self, names: Sequence[str], timeframe: str, start: int, end: int) -> list[FilledCandles]:
        """Bring the closed candles within [start, end) of some instruments, one after the other.

        Args:
            names: ours.
            timeframe: ours.
            start: ns UTC.
            end: ns UTC.

        Raises:
            UsageError: the venue does not make such candles.
            StoreError: the database refuses.
        """
        made, size = candles_of(self._place, timeframe), Timeframe.parse(timeframe).size
        closed = min(end, self._clock.now() - _SETTLING) // size * size
        done = []
        async with new_client() as client:
            for name in names:
                rest = Rest(self._place, bounds=self._bounds, random=self._random, client=client)
                filled = FilledCandles(name, timeframe)
                await self._fill(made, rest, filled, Span(-(-start // size) * size, closed))
                filled.requests = rest.requests
                done.append(filled)
        return done

    async def _fill(self, made: VenueCandles, rest: Rest, filled: FilledCandles, span: Span) -> None:
        note = Note(self._place, filled.instrument, span.start, filled.timeframe)
        for left in await self._writer.call(lambda keeper: note.spans(keeper.recorder.store, span.end)):
            walk = made.history(self._place.theirs(filled.instrument), filled.timeframe, left)
            try:
                async for page in rest.pages(walk, urgent=False):
                    await self._keep(filled, note, page, left)
            except (VenueError, InputError) as error:
                again = "" if isinstance(error, VenueRefused) else ", the same command goes on from there"
                filled.problem = f"{error}; {filled.candles:,} candles are kept{again}"
        if filled.new:
            name, timeframe = filled.instrument, filled.timeframe
            await self._writer.call(
                lambda keeper: fold_imported(keeper.recorder.store, self._settings, name, timeframe)
            )

    async def _keep(self, filled: FilledCandles, note: Note, page: Page, span: Span) -> None:
        """Keep a page and how far it leads in one transaction."""
        await self._writer.change(lambda store: self._store(store, filled, note, page, span))
        at = span.start if filled.reached is None else filled.reached
        self._progress(Progress(filled.instrument, at - span.start, span.end - span.start, filled.candles))

    def _store(self, store: Store, filled: FilledCandles, note: Note, page: Page, span: Span) -> None:
        now, source = self._clock.now(), f"{source_of(self._place)} candles"
        dead = malformed(source, page.bad, now, filled.instrument)
        if page.bars:
            candles, letters = judge_bars(filled.instrument, filled.timeframe, source, page.bars, end=span.end, now=now)
            dead += letters
            if len(candles.records):
                new, conflicts = keep_candles(store, candles)
                filled.new, filled.conflicts = filled.new + new, filled.conflicts + conflicts
                filled.candles += len(candles.records)
                filled.reached = int(candles.records["close_time"].max())
        store.append("dead_letters", rows.from_dead_letters(dead))
        filled.malformed += len(dead)
        if page.reached is not None:
            filled.reached = page.reached
            note.write(store, page.reached)
