"""The whole live process: ingest -> writer -> hub, in one loop and one thread that owns the database.

Place, ... -> Ingest -> Writer (Keeper: one transaction a commit) -> Hub -> page, API, terminal
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tapeline.clock import Clock, SystemClock
from tapeline.config import Settings
from tapeline.errors import StoreLocked, StoreUnavailable
from tapeline.hub import Committed, Hub
from tapeline.ingest.base import Place
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.steady import SteadyClock
from tapeline.ingest.venues import Ingest
from tapeline.monitor.health import HealthLog, history_of, with_reasons
from tapeline.registry import Registry
from tapeline.runners.keeper import Keeper
from tapeline.runners.monitors import drift_status
from tapeline.runners.owner import owning, told
from tapeline.runners.report import Rates, report
from tapeline.runners.writer import Writer
from tapeline.serving import promote
from tapeline.stores import rows
from tapeline.stores._duckdb_reader import Reader
from tapeline.stores.base import Store
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.logged import PAUSE, LoggedStore
from tapeline.types import Prediction

STATUS_EVERY = 1.0
_LOG = 16 << 20
"""Bytes at which the write-ahead log is merged though it holds few trades: a restart reads it in less than a second."""
_MEMORY = "96MB"
"""What the database may hold in memory; it fills it, whatever it is, and commits are no faster with more."""
_EARLIER = 2_000
"""How many stored predictions are looked at for those whose outcome is still to come."""


class Embedded:
    """Follow instruments at venues, keep everything, and tell the hub.

    Use it as ``async with Embedded(...) as live: await live.run()``.

    Args:
        settings: of the process; names the database.
        followed: by place, the instruments as they are kept.
        clock: tells the wall time.
        hub: is told what was committed.
        watcher: is told the same, before the hub.
        url: where the process answers; noted beside the database.
        seed: of the waits between attempts to connect.

    Attributes:
        key: what the API asks of commands that read the database through it; noted beside it, for its owner alone.
    """

    def __init__(
        self,
        settings: Settings,
        followed: Sequence[tuple[Place, Sequence[str]]],
        *,
        clock: Clock | None = None,
        hub: Hub | None = None,
        watcher: Callable[[Committed], None] = lambda committed: None,
        url: str = "",
        seed: int = 0,
    ) -> None:
        self.hub = Hub() if hub is None else hub
        self.settings = settings
        self.clock = SteadyClock(SystemClock() if clock is None else clock)
        self._watcher = watcher
        self._url, self.key = url, secrets.token_urlsafe(32)
        self._store: LoggedStore | None = None
        self.writer = Writer(self._open, settings, clock=self.clock, publish=self._publish)
        bounds = Bounds.of(settings)
        self.ingest = Ingest(
            followed,
            self.writer,
            clock=self.clock,
            bounds=bounds,
            seed=seed,
            live=self.writer.live,
            shown=self.writer.shown,
        )
        self._rates = Rates()
        self._health = HealthLog(history_of(settings.db), clock=self.clock)
        self._started = self.clock.now()
        self._owned = ExitStack()

    def _open(self) -> Store:
        self._store = open_database(self.settings.db)
        return self._store

    def _publish(self, committed: Committed) -> None:
        self._watcher(committed)
        self.hub.publish(committed)

    def reader(self) -> Reader:
        """Return the database as it is committed, to read in any thread.

        Raises:
            StoreUnavailable: it is not open now.
        """
        if self._store is None:
            raise StoreUnavailable(f"database {self.settings.db}", "is not open yet", next_step="ask again in a moment")
        return self._store.reader()

    async def __aenter__(self) -> Self:
        try:
            await self.writer.start()
        except StoreLocked as error:
            raise told(self.settings.db, error) from error
        try:
            self._owned.enter_context(owning(self.settings.db, self._url, clock=self.clock, key=self.key))
            self.hub.expect(await self.writer.call(_outstanding))
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.writer.close()
        self.hub.close()
        self._owned.close()

    def announce(self, url: str) -> None:
        """Note beside the database where this process answers."""
        self._owned.close()
        self._owned.enter_context(owning(self.settings.db, url, clock=self.clock, key=self.key))

    async def run(self) -> None:
        """Follow until cancelled, or until every connection was refused for good.

        Raises:
            ExceptionGroup: of a bug of ours, or of a store that can never take anything.
        """
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(self._tell_status()), tasks.create_task(self.writer.watch())]
            await self.ingest.run()
            for task in beside:
                task.cancel()

    async def _tell_status(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._rates.sample(loop.time(), self.writer.keeper.facts)
            status = self.status()
            self.hub.set_status(status)
            self._health.take(status["health"], status["reasons"])
            await asyncio.sleep(STATUS_EVERY)

    def status(self) -> dict[str, Any]:
        """Return how it is: venues, instruments, latency by stage, queue, memory, health."""
        statuses, timeframes = self.ingest.statuses, self.settings.timeframes
        told_of = report(self.writer, statuses, timeframes, self._rates, clock=self.clock, started=self._started)
        found = self.hub.monitored
        problems = [*(found.reasons if found else ()), *([self._health.problem] if self._health.problem else ())]
        health, reasons = with_reasons(told_of["health"], told_of["reasons"], problems)
        more: dict[str, Any] = {"health": health, "reasons": reasons, "drift": drift_status(found)}
        more |= {"anomaly_threshold": 1 - self.settings.anomaly_rate, "shed": {"stream": self.hub.lagged}}
        return told_of | more

    async def promote(self, name: str, version: str) -> None:
        """Let a model version answer from the next candle on.

        Raises:
            UnknownName: there is none such.
            UsageError: it is archived.
            StoreUnavailable: nothing can be stored now.
        """
        now = self.clock.now()
        await self.writer.change(lambda store: promote(store, name, version, now=now, by="api"))

    async def rollback(self, name: str) -> str:
        """Let the champion before answer again, and return its version.

        Raises:
            UnknownName: no model has that name.
            UsageError: there is no earlier champion.
            StoreUnavailable: nothing can be stored now.
        """
        now = self.clock.now()
        return await self.writer.change(lambda store: Registry(store).rollback(name, now=now, by="api"))

    async def heal(self, instrument: str) -> int:
        """Return how many ids of an instrument are awaited: the venue is asked for them already.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        standing = await self.writer.standing(instrument)
        return sum(gap.last - gap.first + 1 for gap in standing.missing)


def open_database(path: Path, *, pause: float | None = PAUSE) -> LoggedStore:
    """Open the database of a live process: commits wait neither for DuckDB nor for its checkpoints."""
    store = DuckDBStore(path, memory_limit=_MEMORY, threads=1, checkpoint_bytes=_LOG, checkpoint_beside=True)
    return LoggedStore(store, pause=pause)


def _outstanding(keeper: Keeper) -> list[Prediction]:
    """Return the stored predictions whose outcome is still to come: the candle of their target has not closed."""
    stored = rows.to_predictions(keeper.recorder.store.read("predictions", limit=_EARLIER))
    newest: dict[tuple[str, str], int] = {}
    for one in stored:
        key = one.instrument, one.timeframe
        newest[key] = max(newest.get(key, 0), one.as_of)
    return [one for one in stored if one.target_time > newest[one.instrument, one.timeframe]]
