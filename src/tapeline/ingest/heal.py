"""Healing: what a connection missed is asked for by REST, and what the venue does not give any more is given up.

What is missing is never guessed: the sink tells it (`Sink.standing`) by the ids it has. Each instrument has at most one
task, which ends when nothing is missing; `Patience` bounds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random

from tapeline.clock import SECOND, Clock
from tapeline.errors import InputError, VenueError
from tapeline.exchanges.base import Span
from tapeline.ingest.base import Delivery, Missing, Sink, Source, Standing, Status, count_kinds
from tapeline.ingest.bounds import Backoff, Bounds
from tapeline.ingest.holding import Holding
from tapeline.ingest.letters import Letters
from tapeline.ingest.patience import Patience
from tapeline.ingest.sieve import Sieve
from tapeline.ingest.walking import Walking, only, size, span_of, together
from tapeline.types import DeadLetter, Frame

_RECENT = 10 * SECOND

Live = Callable[[Sequence[str], int | None], None]
"""Is told of instruments: how long ago (ns) all was heard that the venue had said by then; None: trades may be missed.

Only a pong proves it: it comes after everything that was said before its ping, however long that lay unread.
"""

Work = Callable[[str], Coroutine[object, object, None]]


@dataclass(frozen=True, slots=True)
class Means:
    """What healing works with; ``contiguous`` is the feed's, ``random`` makes waits differ."""

    sink: Sink
    walking: Walking
    holding: Holding
    patience: Patience
    status: Status
    bounds: Bounds
    clock: Clock
    random: Random
    live: Live
    contiguous: bool
    sieve: Sieve
    letters: Letters


class Healer:
    """Heal the instruments of one connection while it lasts.

    ``tasks`` runs the work and ends it; ``rested`` is called whenever nothing is left to fetch.
    """

    def __init__(self, means: Means, tasks: asyncio.TaskGroup) -> None:
        self.rested: Callable[[], None] = lambda: None
        self._means = means
        self._tasks = tasks
        self._running: set[str] = set()
        self._again: set[str] = set()
        self._doubted: set[str] = set()
        self._settling: set[str] = set()
        self._failures: dict[str, str] = {}
        self._first_live: dict[str, int] = {}
        self._newest: dict[str, int] = {}

    @property
    def busy(self) -> bool:
        """Return whether anything is being fetched."""
        return bool(self._running)

    def saw(self, frame: Frame, *, plain: bool) -> None:
        """Take note of live trades: unless their ids just follow, the sink is asked what is missing.

        While they are held back the sink does not have them: what comes before them is under way. Only a newer one
        than all before ends a doubt: one told again, or out of order, says nothing of what came after it.
        """
        name, ids = frame.instrument, frame.trade_id
        newest = int(ids[-1] if plain and self._means.contiguous else ids.max())
        newer = newest > self._newest.get(name, -1)
        self._newest[name] = max(newest, self._newest.get(name, -1))
        if name not in self._first_live:
            self._first_live[name] = int(ids.min())
        if self._means.contiguous and not self._means.holding.holds(name):
            if not plain:
                self.heal([name])
            if newer:
                self._doubted.discard(name)

    def heal(self, instruments: Iterable[str]) -> None:
        """Ask the sink what is missing of instruments, and bring it."""
        for name in instruments:
            self._start(name, self._heal)

    def begin(self, instrument: str) -> None:
        """Bring what lies between the end of a tape (or the past that is wanted) and now, the held trades after it."""
        self._start(instrument, self._catch_up)

    def doubt(self, instruments: Iterable[str]) -> None:
        """Say that trades may be missing: where the next one does not tell soon, REST is asked."""
        for name in set(instruments) - self._doubted:
            self._doubted.add(name)
            self._means.live([name], None)
            if name not in self._settling:
                self._settling.add(name)
                self._tasks.create_task(self._settle(name))

    def heard(self, instruments: Iterable[str], ago: int) -> None:
        """Say that all was heard that the venue had said ``ago`` ns ago: of those in no doubt we miss no trade."""
        sure = [name for name in instruments if name not in self._doubted]
        if sure:
            self._means.live(sure, ago)

    def _start(self, name: str, work: Work) -> None:
        if name in self._running:
            self._again.add(name)
        else:
            self._running.add(name)
            self._tasks.create_task(self._tended(name, work))

    async def _tended(self, name: str, work: Work) -> None:
        try:
            await work(name)
            while name in self._again:
                await self._heal(name)
        finally:
            self._running.discard(name)
            if not self._running:
                self.rested()

    async def _settle(self, name: str) -> None:
        """Ask for what there is of an instrument that is still in doubt; again while REST cannot be had."""
        waits = Backoff(self._means.bounds.settle, self._means.bounds.backoff_cap, self._means.random)
        await asyncio.sleep(self._means.bounds.settle)
        while name in self._doubted:
            if name not in self._running:
                self._start(name, self._reach)
            await asyncio.sleep(waits.next())
        self._settling.discard(name)

    async def _reach(self, name: str) -> None:
        """Bring what there is after the end of a tape, until it is reached or live trades come.

        Without contiguous ids the end tells nothing: the last seconds are asked for, which are not in order yet.
        With them a walk that brought something is followed by another: a venue may answer nothing in the middle, and
        only where it has nothing to begin with there is no more.
        """
        while name in self._doubted:
            standing = await self._means.sink.standing(name)
            span, source = self._wanted(standing)
            if not self._means.contiguous:
                span = replace(span, start=min(span.start, self._means.clock.now() - _RECENT))
            elif standing.trade_id is not None:
                span = replace(span, first_id=standing.trade_id + 1)
            if not await self._bring(name, span, source, lambda frames: name not in self._doubted):
                return
            if not self._means.contiguous or (await self._means.sink.standing(name)).trade_id == standing.trade_id:
                self._doubted.discard(name)

    def _wanted(self, standing: Standing) -> tuple[Span, Source]:
        """Return the time from the end of a tape on; for one without trades the past that is wanted.

        It ends after now: the venue's clock may be ahead of ours, and what it told nobody must not be cut off.
        """
        bounds, now = self._means.bounds, self._means.clock.now()
        ahead = round(bounds.max_ahead * SECOND)
        if standing.ts_event is None:
            return Span(now - round(bounds.backfill * SECOND), now + ahead), Source.BACKFILL
        return Span(standing.ts_event, max(now, standing.ts_event) + ahead), Source.HEAL

    async def _catch_up(self, name: str) -> None:
        """Bring the past while live trades are held back, for as long as they may be."""
        means, until = self._means, _now() + self._means.bounds.gap_timeout
        waits = Backoff(means.bounds.backoff, means.bounds.backoff_cap, means.random)
        while means.walking.possible:
            span, source = self._wanted(await means.sink.standing(name))
            met = await self._bring(name, span, source, lambda frames: self._has_met(name, frames))
            if met or _now() >= until or not means.holding.holds(name):
                break
            await asyncio.sleep(waits.next())
        await means.holding.release(name)
        self._doubted.discard(name)
        if means.contiguous:
            await self._heal(name)

    async def _bring(self, name: str, span: Span, source: Source, met: Callable[[Sequence[Frame]], bool]) -> bool:
        """Deliver a span of the past until its end, or until it has met what is live; return whether REST gave it.

        Held trades follow the first of it where ids put them in order, otherwise they wait for its end.
        """
        means, urgent = self._means, source is Source.HEAL
        if not means.walking.possible:
            return not means.contiguous
        try:
            async with aclosing(means.walking.deliveries(name, span, source, urgent=urgent)) as deliveries:
                async for delivery in deliveries:
                    await self._deliver(name, delivery)
                    if means.contiguous and met(delivery.frames):
                        break
        except (VenueError, InputError) as error:
            self._failed(name, str(error))
            return False
        self._succeeded(name)
        return True

    def _failed(self, name: str, reason: str) -> None:
        self._failures[name] = self._means.status.notes[name] = reason

    def _succeeded(self, name: str) -> None:
        if self._failures.pop(name, None) == self._means.status.notes.get(name):
            self._means.status.notes.pop(name, None)

    async def _deliver(self, name: str, delivery: Delivery) -> None:
        count_kinds(self._means.status.ignored, delivery.ignored)
        if self._means.contiguous and delivery.frames and self._means.holding.holds(name):
            await self._means.holding.release(name, delivery, self._judge)
        else:
            await self._means.sink.take(delivery)
        self._means.status.healed += sum(map(len, delivery.frames))

    def _judge(self, past: Frame, held: Frame) -> tuple[Frame, list[DeadLetter]]:
        good, letters = self._means.sieve.judge(past, held)
        if letters:
            self._first_live.pop(held.instrument, None)
            if len(good):
                self._first_live[held.instrument] = int(good.trade_id.min())
        return good, self._means.letters.keep(letters, _now())

    def _has_met(self, name: str, frames: Sequence[Frame]) -> bool:
        """Return whether the past has come up to what was heard live."""
        first = self._first_live.get(name)
        return first is not None and any(int(frame.trade_id.max()) >= first for frame in frames)

    async def _heal(self, name: str) -> None:
        waits = Backoff(self._means.bounds.backoff, self._means.bounds.backoff_cap, self._means.random)
        await asyncio.sleep(self._means.bounds.linger)
        while True:
            self._again.discard(name)
            gaps = await self._awaited(name)
            if not gaps:
                return
            if await self._fill_all(name, together(gaps)):
                waits.reset()
            else:
                await asyncio.sleep(waits.next())

    async def _awaited(self, name: str) -> list[Missing]:
        """Return what is missing, and give up what has been missing for too long."""
        gaps = (await self._means.sink.standing(name)).missing
        over = self._means.patience.over(name, gaps)
        if over:
            await self._means.sink.give_up(*over)
            self._means.status.unhealable += sum(map(size, over))
        gone = set(over)
        return [gap for gap in gaps if gap not in gone]

    async def _fill_all(self, name: str, groups: Sequence[Sequence[Missing]]) -> bool:
        """Walk past all gaps, the oldest first, a few walks side by side; return whether anything of them came."""
        room = asyncio.Semaphore(self._means.bounds.beside)

        async def fill(gaps: Sequence[Missing]) -> bool:
            async with room:
                return await self._fill(name, gaps)

        async with asyncio.TaskGroup() as tasks:
            walks = [tasks.create_task(fill(group)) for group in groups]
        return any(walk.result() for walk in walks)

    async def _fill(self, name: str, gaps: Sequence[Missing]) -> bool:
        """Walk past some gaps; return whether anything of them came."""
        means, found, asked = self._means, 0, _Asked()
        if not means.walking.possible:
            means.patience.failed(gaps, _now())
            return False
        try:
            async for delivery in means.walking.deliveries(name, span_of(gaps), Source.HEAL, asking=asked):
                wanted = only(delivery, gaps)
                count_kinds(means.status.ignored, wanted.ignored)
                await means.sink.take(wanted)
                count = sum(map(len, wanted.frames))
                found, means.status.healed = found + count, means.status.healed + count
                if delivery.frames:
                    means.patience.came(gaps, int(delivery.frames[0].trade_id.max()))
        except (VenueError, InputError) as error:
            self._failed(name, str(error))
            means.patience.failed(gaps, asked.at)
        else:
            self._succeeded(name)
            means.patience.walked(gaps, asked.at)
        return found > 0


class _Asked:
    """Remember when the last request was let through."""

    def __init__(self) -> None:
        self.at = _now()

    def __call__(self) -> None:
        self.at = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()
