"""An ingest under way against a Kraken on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from tests.ingest.fakes import BOUNDS, BTC, NOW, FakeKraken, MemorySink, frame, place

from tapeline.clock import ManualClock
from tapeline.ingest.base import Place, Standing, Status
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.sieve import Sieve
from tapeline.ingest.venues import Ingest
from tapeline.ledger import Ledger


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compile what stands in the way of live trades: where that is new it takes longer than a venue may be silent."""
    sieve = Sieve({}, 0)
    sieve.start(Standing(BTC, 1, NOW))
    sieve.sift(frame([2, 3]))
    Ledger(BTC, contiguous=True).admit(frame([2, 3]))


@pytest.fixture
async def kraken() -> AsyncIterator[FakeKraken]:
    async with FakeKraken().serving() as fake:
        yield fake


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@dataclass
class Running:
    """An ingest under way."""

    ingest: Ingest
    live: dict[str, bool]
    task: asyncio.Task[None]

    @property
    def status(self) -> Status:
        return self.ingest.statuses[0]


Start = Callable[..., Running]


@pytest.fixture
async def start(kraken: FakeKraken, sink: MemorySink) -> AsyncIterator[Start]:
    """Start an ingest of Kraken; it is stopped after the test."""
    running: list[Running] = []

    def begin(*instruments: str, at: Place | None = None, bounds: Bounds = BOUNDS, **options: float) -> Running:
        live: dict[str, bool] = {}
        ingest = Ingest(
            [(at or place(kraken, **options), instruments or (BTC,))],  # type: ignore[arg-type]
            sink,
            clock=ManualClock(NOW),
            bounds=bounds,
            live=lambda names, ago: live.update(dict.fromkeys(names, ago is not None)),
        )
        running.append(Running(ingest, live, asyncio.create_task(ingest.run())))
        return running[-1]

    yield begin
    for one in running:
        one.task.cancel()
    await asyncio.gather(*(one.task for one in running), return_exceptions=True)
