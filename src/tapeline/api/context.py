"""What all routes share: the way to the database, the hub, the live process, and the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from fastapi import Request
from starlette.requests import HTTPConnection

from tapeline.clock import Clock, SystemClock
from tapeline.config import Settings
from tapeline.errors import StoreUnavailable
from tapeline.hub import Hub
from tapeline.stores._duckdb_reader import Reader

T = TypeVar("T")

THREADS = 4
_MOST_WAITING = 256


class Live(Protocol):
    """The running process, as far as the API looks at it or changes it."""

    def status(self) -> dict[str, Any]:
        """Return how it is."""

    async def promote(self, name: str, version: str) -> object:
        """Let a model version answer from now on."""

    async def rollback(self, name: str) -> object:
        """Let the version before answer again."""

    async def heal(self, instrument: str) -> object:
        """Ask the venue for what is missing."""


@dataclass
class Context:
    """What a route works with.

    Attributes:
        readers: gives a `Reader` for the calling thread.
        hub: what is newest.
        live: the running process, None over a stored database.
        settings: of the process.
        clock: tells the time.
        owner_key: what commands show that read the database through this process; none: they may not.
    """

    readers: Callable[[], Reader]
    hub: Hub
    live: Live | None
    settings: Settings
    clock: Clock = field(default_factory=SystemClock)
    owner_key: str = ""
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "tapeline-api"))
    waiting: int = 0

    async def read(self, answer: Callable[[Reader], T]) -> T:
        """Answer from the database as it is committed now, on a thread of the pool.

        Raises:
            StoreUnavailable: too many wait already.
        """
        return await self.work(partial(self._answer, answer))

    async def work(self, make: Callable[[], T]) -> T:
        """Return what is made on a thread of the pool.

        Raises:
            StoreUnavailable: too many wait already.
        """
        if self.waiting >= _MOST_WAITING:
            step = "ask again in a moment"
            rule = f"at most {_MOST_WAITING} questions waiting"
            raise StoreUnavailable("api", "is busy", expected=rule, was=self.waiting, next_step=step)
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, make)
        finally:
            self.waiting -= 1

    def followed(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return the instruments that the live process follows, each with its warm-up by timeframe."""
        rows = self.live.status()["instruments"] if self.live else []
        return {row["instrument"]: row.get("warmup", {}) for row in rows}

    def _answer(self, answer: Callable[[Reader], T]) -> T:
        reader = self.readers()
        try:
            return answer(reader)
        finally:
            reader.close()


def context_of(connection: HTTPConnection) -> Context:
    """Return the context of the application that a request came to."""
    found: Context = connection.app.state.context
    return found


async def context(request: Request) -> Context:
    """Return the context of a request: a dependency of routes, async as all are: else each took a thread."""
    return context_of(request)
