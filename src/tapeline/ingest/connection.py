"""One connection: connect -> [login] -> subscribe -> prove each symbol -> live -> stale -> reconnect -> heal -> live.

Where the end of its socket is known before (a goodbye, an age that a venue allows) another one is connected, subscribed
and proven beside it first; then the old one is left, and nothing was missed.

It never ends by itself but where the venue refuses it for good. Whatever else happens (a close, silence, a store that
can take nothing), its socket is closed, it waits, and it begins anew; what was missed is healed. The store is asked
first where each tape ends: while it cannot answer, the venue is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from tapeline.clock import SECOND, Clock
from tapeline.errors import StoreLocked, StoreUnavailable, TapelineError, UsageError, VenueBusy, VenueError
from tapeline.ingest.base import Delivery, Place, Sink, State, Status
from tapeline.ingest.bounds import Backoff, Bounds
from tapeline.ingest.heal import Healer, Live, Means
from tapeline.ingest.holding import Holding
from tapeline.ingest.judging import source_of
from tapeline.ingest.letters import Letters
from tapeline.ingest.limits import Allowance
from tapeline.ingest.patience import Patience
from tapeline.ingest.rest import Rest
from tapeline.ingest.session import Session, Tools, enter
from tapeline.ingest.sieve import Sieve
from tapeline.ingest.skew import Skew
from tapeline.ingest.socket import Socket, open_socket
from tapeline.ingest.walking import Walking
from tapeline.types import DeadLetter

_PASSES = (VenueBusy, StoreUnavailable, StoreLocked)
_ENDS = (VenueError, UsageError, StoreUnavailable, StoreLocked)

Answer = TypeVar("Answer")
Follow = Callable[[Session], Coroutine[object, object, None]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the connections of one venue share; ``live`` as in `Means`."""

    place: Place
    sink: Sink
    rest: Rest
    connects: Allowance
    bounds: Bounds
    clock: Clock
    random: Random
    live: Live


class Connection:
    """Follow some instruments of a venue.

    Args:
        shared: with the venue's other connections.
        instruments: ours.
        number: of the connection at its venue.
    """

    def __init__(self, shared: Shared, instruments: Sequence[str], number: int = 1) -> None:
        place, bounds, clock, random = shared.place, shared.bounds, shared.clock, shared.random
        status = Status(place.venue, place.feed.name, number, since=clock.now(), instruments=tuple(instruments))
        holding, walking = Holding(shared.sink, bounds.held), Walking(place, shared.rest, clock)
        patience, contiguous = Patience(bounds), place.feed.contiguous
        sieve, letters = Sieve(status.notes, round(bounds.max_ahead * SECOND)), Letters(bounds)
        self.status = status
        self._shared = shared
        self._where = f"{place.venue.lower()} connection {number}"
        self._backoff = Backoff(bounds.backoff, bounds.backoff_cap, random)
        self._holding = holding
        self._tools = Tools(place, holding, status, bounds, clock, random, sieve, Skew(), letters)
        self._means = Means(
            shared.sink,
            walking,
            holding,
            patience,
            status,
            bounds,
            clock,
            random,
            shared.live,
            contiguous,
            sieve,
            letters,
        )

    async def run(self) -> None:
        """Follow the instruments until cancelled, or until the venue refuses them for good.

        Raises:
            BrokenInvariant: a bug of ours.
            StoreError: the store will never take anything.
        """
        while True:
            began = _now()
            trouble = await _apart(self._attempt())
            self._lost()
            if not isinstance(trouble, _PASSES):
                self._enter(State.STOPPED, str(trouble))
                return
            if _now() - began >= self._shared.bounds.steady:
                self._backoff.reset()
            if isinstance(trouble, VenueBusy):
                self._shared.connects.close(trouble.retry_after)
            self._enter(State.WAITING, str(trouble))
            await asyncio.sleep(self._backoff.next())

    async def _attempt(self) -> TapelineError:
        """Connect and follow, and return what ended it."""
        try:
            await self._connect()
        except _ENDS as error:
            return error
        except BaseExceptionGroup as group:
            ends, bugs = group.split(_ENDS)
            if ends is None or bugs is not None:
                raise
            return _first(ends)
        return VenueBusy(self._where, "the session ended")

    async def _connect(self) -> None:
        shared = self._shared
        standings = [await shared.sink.standing(name) for name in self.status.instruments]
        await shared.connects.take()
        self._enter(State.CONNECTING, self.status.reason)
        async with asyncio.TaskGroup() as tasks:
            await self._over_a_socket(Healer(self._means, tasks), tasks, lambda session: session.run(standings))

    async def _over_a_socket(self, healer: Healer, tasks: asyncio.TaskGroup, follow: Follow) -> None:
        """Open a socket and follow over it, until it ends or an heir has taken over."""
        shared = self._shared
        async with open_socket(self._where, shared.place.ws_url, shared.bounds, shared.clock) as socket:
            self.status.connects += 1
            try:
                async with asyncio.TaskGroup() as helpers:
                    session = Session(self._tools, socket, healer)
                    session.on_end_told = lambda: _start(tasks, self._replace(session, healer, tasks))
                    helping = [helpers.create_task(one) for one in session.helpers()]
                    await follow(session)
                    for task in helping:
                        task.cancel()
            finally:
                self.status.disconnects += 1
                await self._tell_oversized(socket)

    async def _replace(self, before: Session, healer: Healer, tasks: asyncio.TaskGroup) -> None:
        """Let another session take over from one that will end; while none can be had, that one goes on."""
        waits = Backoff(self._shared.bounds.backoff, self._shared.bounds.backoff_cap, self._shared.random)
        while True:
            await self._shared.connects.take()
            try:
                await _apart(self._over_a_socket(healer, tasks, lambda session: session.take_over(before)))
            except* VenueError:
                if before.left:
                    raise
            if before.left:
                return
            await asyncio.sleep(waits.next())

    async def _tell_oversized(self, socket: Socket) -> None:
        if socket.oversized:
            self.status.malformed += 1
            reason = f"message: expected at most {self._shared.bounds.message_bytes} bytes, was larger; not kept"
            letter = DeadLetter(source_of(self._shared.place), reason, b"", self._shared.clock.now())
            await self._shared.sink.take(Delivery((), (letter,)))

    def _lost(self) -> None:
        """Forget what was held back, and say that we would not know of a trade now."""
        self._holding.drop()
        self._shared.live(self.status.instruments, None)

    def _enter(self, state: State, reason: str = "") -> None:
        enter(self.status, state, reason, self._shared.clock.now())


def _start(tasks: asyncio.TaskGroup, work: Coroutine[object, object, None]) -> None:
    tasks.create_task(work)


def _first(group: BaseExceptionGroup[TapelineError]) -> TapelineError:
    """Return the first error of a group of groups."""
    one = group.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one


async def _apart(work: Coroutine[object, object, Answer]) -> Answer:
    """Do work in a task of its own: a group of tasks in it that fails just then would forget that we are to end."""
    task = asyncio.create_task(work)
    await asyncio.gather(task, return_exceptions=True)
    return task.result()


def _now() -> float:
    return asyncio.get_running_loop().time()
