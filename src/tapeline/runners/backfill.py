"""Backfill: a venue's past into the tape, and the healing of gaps while no live process runs.

What the tape has is not asked for again, so a backfill that was killed goes on where it was. Where ids are not
contiguous the tape cannot tell what it lacks; how far the walk from an instant came is then noted beside the imports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

import httpx

from tapeline.clock import Clock, format_time
from tapeline.errors import InputError, VenueError
from tapeline.ingest.base import Delivery, Place, Source, count_kinds
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.places import prepared
from tapeline.ingest.rest import Rest, new_client
from tapeline.ingest.walking import Walking, size
from tapeline.runners.absent import Extent, absent, extent, missing
from tapeline.runners.notes import Note
from tapeline.runners.writer import Writer
from tapeline.stores.base import Store
from tapeline.tape import tape_of


@dataclass(slots=True)
class Filled:
    """What was done for an instrument; times are ns UTC.

    Attributes:
        trades: how many the venue gave.
        requests: how often it was asked.
        reached: up to when its trades are here.
        missing: ids that the venue does not give, within the span asked for.
        ignored: what is no trade to us, by the name of its kind.
        problem: why the rest could not be had; empty where all came.
    """

    instrument: str
    trades: int = 0
    requests: int = 0
    reached: int | None = None
    missing: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values with times in RFC 3339."""
        return asdict(self) | {"reached": None if self.reached is None else format_time(self.reached)}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an instrument is: ns ``done`` of ``total``, and trades or candles so far."""

    instrument: str
    done: int
    total: int
    rows: int


class Backfill:
    """Bring the past of instruments of one venue.

    Args:
        place: the venue.
        writer: keeps what comes; its ``joins`` is set.
        clock: tells when answers came.
        progress: is told how far it is.
        bounds: how long to try.
        seed: of the waits between attempts.
    """

    def __init__(
        self,
        place: Place,
        writer: Writer,
        *,
        clock: Clock,
        progress: Callable[[Progress], None] = lambda progress: None,
        bounds: Bounds | None = None,
        seed: int = 0,
    ) -> None:
        self._place = place
        self._writer = writer
        self._clock = clock
        self._progress = progress
        self._bounds = bounds or Bounds()
        self._random = Random(seed)

    async def run(self, names: Sequence[str], start: int, end: int, *, holes_only: bool = False) -> list[Filled]:
        """Bring what the tapes of some instruments do not have of [start, end), one after the other.

        Args:
            names: ours.
            start: ns UTC.
            end: ns UTC.
            holes_only: only what is missing inside the tapes.

        Raises:
            UsageError: the venue does not give its past.
            VenueError: it does not say what its trades mean, where that has to be asked first.
            StoreError: the database refuses.
        """
        done = []
        async with new_client() as client:
            place = await prepared(self._place, self._rest(client))
            for name in names:
                rest, filled = self._rest(client), Filled(name)
                await self._fill(Walking(place, rest, self._clock), filled, start, end, holes_only=holes_only)
                filled.requests = rest.requests
                done.append(filled)
        return done

    def _rest(self, client: httpx.AsyncClient) -> Rest:
        return Rest(self._place, bounds=self._bounds, random=self._random, client=client)

    async def _fill(self, walking: Walking, filled: Filled, start: int, end: int, *, holes_only: bool) -> None:
        note = Note(self._place, filled.instrument, start)
        if self._place.feed.contiguous:
            spans = absent(await self._extent(filled.instrument), start, end)
        else:
            spans = await self._writer.call(lambda keeper: note.spans(keeper.recorder.store, end))
        if holes_only:
            spans = [span for span in spans if span.first_id is not None]
        total, passed = sum(span.end - span.start for span in spans), 0
        for span in spans:
            try:
                async for delivery in walking.deliveries(filled.instrument, span, Source.BACKFILL, urgent=False):
                    await self._writer.take(delivery)
                    _count(filled, delivery)
                    at = min(max(filled.reached or span.start, span.start), span.end)
                    await self._write(note, at)
                    self._progress(Progress(filled.instrument, passed + at - span.start, total, filled.trades))
            except (VenueError, InputError) as error:
                filled.problem = f"{error}; {filled.trades:,} trades are kept, the same command goes on from there"
                return
            passed += span.end - span.start
        await self._write(note, end)
        await self._settle(filled, start, end)

    async def _write(self, note: Note, position: int) -> None:
        if not self._place.feed.contiguous:
            await self._writer.change(lambda store: note.write(store, position))

    async def _extent(self, name: str) -> Extent:
        return await self._writer.call(lambda keeper: _extent(keeper.recorder.store, name))

    async def _settle(self, filled: Filled, start: int, end: int) -> None:
        """Count what the venue left out, and let what waits behind it go on."""
        left = missing(await self._extent(filled.instrument), start, end)
        filled.missing = sum(map(size, left))
        awaited = (await self._writer.standing(filled.instrument)).missing
        gone = [gap for gap in awaited if any(one.first <= gap.last and gap.first <= one.last for one in left)]
        if gone:
            await self._writer.give_up(*gone)


def _extent(store: Store, name: str) -> Extent:
    tape = tape_of(store, name)
    return Extent() if tape is None else extent(store, tape)


def _count(filled: Filled, delivery: Delivery) -> None:
    count_kinds(filled.ignored, delivery.ignored)
    for frame in delivery.frames:
        filled.trades += len(frame)
        newest = int(frame.ts_event.max())
        filled.reached = newest if filled.reached is None else max(filled.reached, newest)
