"""A venue's limits, kept by everything that asks it: at most so much in any window, what is urgent first."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from heapq import heapify, heappush
from itertools import count
from math import inf

from tapeline.exchanges.base import Rate


class Allowance:
    """Let callers through at a venue's rate; those who wait are let through urgent ones first, then in order."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._spent: deque[tuple[float, float]] = deque()
        self._closed_until = 0.0
        self._waiting: list[tuple[bool, int]] = []
        self._numbers = count()
        self._turn = asyncio.Condition()

    async def take(self, weight: float = 1.0, *, urgent: bool = True, longest: float = inf) -> None:
        """Wait until ``weight`` more may be used; more than the rate itself counts as the whole of it.

        Raises:
            TimeoutError: the venue is closed for more than ``longest`` seconds; for others it is waited for ever.
        """
        weight = min(weight, self._rate.most)
        ticket = (not urgent, next(self._numbers))
        async with self._turn:
            heappush(self._waiting, ticket)
            try:
                while self._waiting[0] != ticket or (wait := self._wait(weight)) > 0:
                    if self._closed_until - _now() > longest:
                        raise TimeoutError
                    await self._wake_in(wait if self._waiting[0] == ticket else None)
                self._spent.append((_now(), weight))
            finally:
                self._waiting.remove(ticket)
                heapify(self._waiting)
                self._turn.notify_all()

    def close(self, seconds: float) -> None:
        """Let nobody through for so long: the venue asked for it."""
        self._closed_until = max(self._closed_until, _now() + seconds)

    async def _wake_in(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._turn.wait()

    def _wait(self, weight: float) -> float:
        """Return how many seconds until ``weight`` fits into the window."""
        now = _now()
        while self._spent and self._spent[0][0] <= now - self._rate.seconds:
            self._spent.popleft()
        excess = sum(spent for _, spent in self._spent) + weight - self._rate.most
        free_at = self._closed_until
        for at, spent in self._spent:
            if excess <= 1e-9:
                break
            excess -= spent
            free_at = max(free_at, at + self._rate.seconds)
        return free_at - now


def _now() -> float:
    return asyncio.get_running_loop().time()
