"""The writer: the thread that owns the database of a live process, behind a bounded queue.

The loop hands deliveries over and goes on; the thread takes all that waits, keeps it in one transaction, and calls back
into the loop with what was committed. Subscribers see nothing else. A slow disk makes larger commits, then a full
queue, then sockets that are read more slowly: never more memory.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from tapeline.clock import Clock, parse_duration
from tapeline.config import Settings
from tapeline.errors import StoreError, StoreUnavailable, TapelineError, UsageError
from tapeline.hub import Committed
from tapeline.ingest.base import Delivery, Missing, Standing
from tapeline.runners.keeper import Keeper
from tapeline.runners.latency import Histogram
from tapeline.runners.watch import Batch, Heard, Taken
from tapeline.stores.base import Store

Answer = TypeVar("Answer")

BATCH = 1 << 16
"""Trades that one transaction takes at most, but for a single delivery that is larger."""
TICK = 0.1
"""How often (s) is looked for what time asks for."""
_TICK_IN_TROUBLE = 1.0
_FIRST_WAIT = 0.1
_MOMENT = 0.02
"""So long (s) a commit under way may hold up who reads a socket; beyond it larger batches cost less than waiting."""

_TELL_AFTER = 5_000_000
"""What is committed for so long (ns) is published though more waits: who publishes slows down who commits."""

STAGES = ("receive", "queue", "commit", "publish", "total")
"""Where a trade's time goes: to the writer, in the queue, in the transaction, back in the loop; and all of it."""


@dataclass(frozen=True, slots=True)
class _Job:
    """Something to do on the thread between two transactions."""

    do: Callable[[Keeper], Any]
    done: asyncio.Future[Any]


class Writer:
    """Keep deliveries on a thread of its own: the `Sink` of ingest.

    Use it as ``async with Writer(...) as writer``, or call `start` and `close`.

    Args:
        open_store: opens the database; called on the thread, again after a failure.
        settings: timeframes, feature sets and limits.
        clock: tells when trades were received and predictions made.
        publish: is told in the loop what was committed.
        timer: ns of a clock that only runs forward.
        joins: as in `Keeper`: for a backfill of the past.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        settings: Settings,
        *,
        clock: Clock,
        publish: Callable[[Committed], None] = lambda committed: None,
        timer: Callable[[], int] = time.monotonic_ns,
        joins: bool = False,
    ) -> None:
        self._closing = threading.Event()
        self.keeper = Keeper(open_store, settings, clock=clock, timer=timer, joins=joins, ending=self._closing.is_set)
        self.latency = {stage: Histogram() for stage in STAGES}
        self.commits = 0
        self.problem: StoreError | None = None
        """Why nothing can be kept now."""
        self.failure: BaseException | None = None
        """What ended the thread."""
        self._clock = clock
        self._timer = timer
        self._publish = publish
        self.limit = settings.queue
        self._longest_wait = parse_duration(settings.backoff_cap) / 1e9
        self._jobs: SimpleQueue[Taken | Heard | _Job | None] = SimpleQueue()
        self._held: Taken | Heard | _Job | None = None
        self._queued = 0
        self._room = asyncio.Semaphore(settings.queue)
        self._drained = asyncio.Event()
        self._drained.set()
        self._thread = threading.Thread(target=self._run, name="tapeline-writer", daemon=True)
        self._ended = asyncio.Event()
        self._asked: set[asyncio.Future[Any]] = set()
        self._shown: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticking: asyncio.TimerHandle | None = None

    @property
    def queued(self) -> int:
        """Return how many deliveries wait."""
        return self._queued

    async def __aenter__(self) -> Writer:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the database.

        Raises:
            StoreError: it cannot be had.
        """
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        try:
            await self.call(Keeper.open)
        except BaseException:
            await self.close()
            raise
        self._tick()

    async def take(self, delivery: Delivery) -> None:
        """Queue a delivery; waits while the queue is full.

        Raises:
            StoreUnavailable: nothing can be kept now.
            UsageError: the ids of an instrument are of another kind than those stored.
        """
        self._check(delivery)
        await self._room.acquire()
        try:
            self._check(delivery)
        except BaseException:
            self._room.release()
            raise
        self._queued += 1
        self._drained.clear()
        now = self._clock.now()
        self.latency["receive"].add(now - delivery.received if delivery.received else 0)
        self._jobs.put(Taken(delivery, self._timer()))

    async def drained(self) -> None:
        """Wait until nothing waits to be committed, for a moment at most.

        Two threads that run Python take turns of up to 5 ms: who parses messages while a commit runs slows it down
        by more than is gained.
        """
        if not self._drained.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_MOMENT):
                    await self._drained.wait()

    async def standing(self, instrument: str) -> Standing:
        """Return where an instrument stands once everything taken before is committed.

        Raises:
            StoreUnavailable: the database cannot be had now.
        """
        return await self._ask(lambda keeper: keeper.standing(instrument))

    async def give_up(self, *missing: Missing) -> None:
        """Decide that the venue cannot give these ids of an instrument any more.

        Raises:
            StoreUnavailable: the database cannot be had now.
        """
        await self._ask(lambda keeper: keeper.give_up(*missing))

    def live(self, instruments: Sequence[str], ago: int | None) -> None:
        """Tell how long ago (ns) all was heard and taken that the venue said of instruments; None: trades may miss."""
        self._jobs.put(Heard(instruments, None if ago is None else self._timer() - ago))

    def shown(self, venue: str, now: int) -> None:
        """Tell what the own clock of a venue shows, ns UTC; the first time counts."""
        if venue not in self._shown:
            self._shown.add(venue)
            at = self._timer()
            self._put(lambda keeper: keeper.shown(venue, now, at)).add_done_callback(_seen)

    async def call(self, function: Callable[[Keeper], Answer]) -> Answer:
        """Run a function on the thread between two transactions, after everything taken before.

        Raises:
            StoreUnavailable: the database cannot be had now.
        """
        self._check()
        return await self._put(function)

    async def change(self, function: Callable[[Store], Answer]) -> Answer:
        """Change the registry in a transaction, and let the champions that follow from it answer.

        Raises:
            StoreUnavailable: the database cannot be had now.
        """
        return await self.call(lambda keeper: keeper.change(function))

    async def close(self) -> None:
        """Commit what was taken, store the state, and release the database. Idempotent."""
        self._closing.set()
        if self._ticking is not None:
            self._ticking.cancel()
        if self._thread.is_alive():
            self._jobs.put(None)
            await self._ended.wait()
            self._thread.join()

    async def _ask(self, function: Callable[[Keeper], Answer]) -> Answer:
        """Call a function for ingest: to it, all trouble of the database is something that passes."""
        try:
            return await self.call(function)
        except StoreError as error:
            if error.retryable:
                raise
            raise StoreUnavailable("writer", f"got no answer: {error}") from error

    def _put(self, function: Callable[[Keeper], Answer]) -> asyncio.Future[Answer]:
        assert self._loop is not None, "start() was not called"
        done: asyncio.Future[Answer] = self._loop.create_future()
        self._asked.add(done)
        done.add_done_callback(self._asked.discard)
        self._jobs.put(_Job(function, done))
        return done

    def _check(self, delivery: Delivery | None = None) -> None:
        if self.failure is not None or self._closing.is_set():
            why = "is closing" if self.failure is None else f"has stopped: {self.failure}"
            raise StoreUnavailable("writer", why)
        if self.problem is not None:
            raise StoreUnavailable("writer", f"can keep nothing now: {self.problem}") from self.problem
        for frame in delivery.frames if delivery else ():
            if frame.instrument in self.keeper.refused:
                raise UsageError(frame.instrument, self.keeper.refused[frame.instrument])

    def _tick(self) -> None:
        """Let the thread look for what time asks for, unless it is busy or in trouble."""
        assert self._loop is not None
        if self._closing.is_set() or self.failure is not None:
            return
        if self._jobs.empty():
            self._put(self._timely).add_done_callback(_seen)
        self._ticking = self._loop.call_later(TICK if self.problem is None else _TICK_IN_TROUBLE, self._tick)

    async def watch(self) -> None:
        """Wait until the thread ends, and raise what ended it.

        Raises:
            BrokenInvariant: a bug of ours.
        """
        await self._ended.wait()
        if self.failure is not None:
            raise self.failure

    # What follows runs on the thread.

    def _run(self) -> None:
        assert self._loop is not None
        try:
            while (job := self._next()) is not None:
                if isinstance(job, _Job):
                    self._do(job)
                elif isinstance(job, Heard):
                    self.keeper.live(*job)
                else:
                    self._commit(self._batch(job))
            with suppress(StoreError):
                self.keeper.close()
        finally:
            self.failure = sys.exception()
            self._loop.call_soon_threadsafe(self._end)

    def _next(self) -> Taken | Heard | _Job | None:
        held, self._held = self._held, None
        return held if held is not None else self._jobs.get()

    def _batch(self, first: Taken) -> list[Taken]:
        """Return all deliveries that wait, up to the first other job; what was heard parts no batch."""
        batch, size = [first], _size(first)
        while size < BATCH and not self._jobs.empty():
            job = self._jobs.get()
            if isinstance(job, Heard):
                self.keeper.live(*job)
            elif isinstance(job, Taken):
                batch.append(job)
                size += _size(job)
            else:
                self._hold(job)
                break
        return batch

    def _hold(self, job: _Job | None) -> None:
        if job is None:
            self._jobs.put(None)
        else:
            self._held = job

    def _commit(self, taken: list[Taken]) -> None:
        """Keep deliveries; while the database refuses, wait ever longer and try again, until the writer is closed."""
        begun, wait = self._timer(), _FIRST_WAIT
        batches: list[Batch] | None = None
        told = begun
        while batches is None or batches:
            try:
                batches = self.keeper.parted(taken) if batches is None else batches
                self.keeper.keep(batches[0])
            except StoreError as error:
                self.problem = error
                if self._closing.wait(wait):
                    return
                wait = min(2 * wait, self._longest_wait)
            else:
                self.problem, wait = None, _FIRST_WAIT
                del batches[0]
                if batches and (now := self._timer()) - told > _TELL_AFTER:
                    told = now
                    self._back(_nothing)
        self._back(self._committed, taken, begun, self._timer())

    def _do(self, job: _Job) -> None:
        try:
            answer = job.do(self.keeper)
        except TapelineError as error:
            self._back(_fail, job.done, error)
        else:
            self._back(_answer, job.done, answer)

    def _timely(self, keeper: Keeper) -> None:
        try:
            keeper.tick()
        except StoreError as error:
            self.problem = error
        else:
            self.problem = None

    def _back(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function in the loop, after what was published before."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._show_and, self.keeper.telling.take(), function, *arguments)

    # What follows runs in the loop.

    def _show_and(self, made: Sequence[Committed], function: Callable[..., None], *arguments: Any) -> None:
        for committed in made:
            self._publish(committed)
        function(*arguments)

    def _end(self) -> None:
        self._ended.set()
        self._drained.set()
        for future in list(self._asked):
            _fail(future, StoreUnavailable("writer", f"has stopped: {self.failure or 'it was closed'}"))

    def _committed(self, batch: list[Taken], begun: int, ended: int) -> None:
        self.commits += 1
        self._queued -= len(batch)
        if not self._queued:
            self._drained.set()
        at, now = self._timer(), self._clock.now()
        for delivery, taken in batch:
            self._room.release()
            self.latency["queue"].add(begun - taken)
            self.latency["total"].add(now - delivery.received if delivery.received else 0)
        self.latency["commit"].add(ended - begun)
        self.latency["publish"].add(at - ended)


def _size(taken: Taken) -> int:
    return sum(len(frame) for frame in taken.delivery.frames)


def _nothing() -> None:
    """Do no more than publish."""


def _answer(future: asyncio.Future[Any], answer: object) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _seen(future: asyncio.Future[Any]) -> None:
    """Look at a result that nobody waits for."""
    if not future.cancelled():
        future.exception()
