"""The whole process against a simulated Kraken: what the venue did is what is stored, told and answered for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tapeline.clock import MINUTE, SECOND, ManualClock
from tapeline.config import Settings, load_settings
from tapeline.errors import StoreLocked, UnknownName
from tapeline.hub import Committed
from tapeline.ingest.places import followed, place_of
from tapeline.runners.embedded import Embedded
from tapeline.runners.owner import note_of, owner_of
from tapeline.simulator.faults import Faults
from tapeline.simulator.market import JANUARY_2024
from tapeline.simulator.server import Server, serve
from tapeline.stores.duckdb import DuckDBStore
from tapeline.verify import verify

NAME, TRUE_NAME = "BTC-USD.SIM", "BTC-USD.KRAKEN"
ANSWER = "http://127.0.0.1:8787"


class Process:
    """A live process, the venue that it follows, and the clock of both."""

    def __init__(self, server: Server, clock: ManualClock, settings: Settings) -> None:
        self.server = server
        self.clock = clock
        self.settings = settings
        self.told: list[Committed] = []

    def live(self) -> Embedded:
        places = followed(self.settings, [NAME], simulated="KRAKEN")
        found = [(place_of(venue, self.settings, simulated=True), names) for venue, names in places.items()]
        return Embedded(self.settings, found, clock=self.clock, watcher=self.told.append, url=ANSWER)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Embedded]:
        async with self.live() as live:
            task = asyncio.create_task(live.run())
            yield live
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def go_on(self, live: Embedded, seconds: int) -> None:
        """Let time pass at the venue, and wait until all that happened there is stored."""
        for _ in range(seconds):
            self.clock.advance(SECOND)
            self.server.pump()
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while (standing := await live.writer.standing(NAME)).missing or standing.trade_id != self.newest():
                await asyncio.sleep(0.01)

    def newest(self) -> int | None:
        truth = self.server.truth(TRUE_NAME)
        return int(truth.trade_id[-1]) if len(truth) else None


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    clock = ManualClock(JANUARY_2024)
    faults = Faults({"duplicate": 0.1, "reorder": 0.05}, seed=3)
    async with serve(
        "kraken", ["BTC-USD"], rate=20.0, history=MINUTE, clock=clock, every=None, faults=faults
    ) as server:
        settings = load_settings(
            db=tmp_path / "a.duckdb",
            timeframes=("10s", "1m"),
            feature_sets=("bars",),
            kraken_url=server.rest_url,
            backfill="30s",
        )
        yield Process(server, clock, settings)


def stored_ids(db: Path) -> list[int]:
    with DuckDBStore(db, read_only=True) as store:
        return sorted(store.read("trades").column("trade_id").to_pylist())


async def test_what_the_venue_did_is_stored_over_a_restart(process: Process) -> None:
    async with process.running() as live:
        await process.go_on(live, 40)
        owner = owner_of(process.settings.db)
        assert owner is not None
        assert owner.url == ANSWER
        first = process.told[0].outputs.admission.accepted.trade_id[0]
    assert not note_of(process.settings.db).exists()
    for _ in range(30):
        process.clock.advance(SECOND)
    process.server.pump()
    async with process.running() as live:
        await process.go_on(live, 30)
    truth = process.server.truth(TRUE_NAME).trade_id
    assert stored_ids(process.settings.db) == truth[truth >= first].tolist()
    with DuckDBStore(process.settings.db, read_only=True) as store:
        assert verify(store, process.settings).findings == []
        assert store.read("candles", timeframe="10s").num_rows >= 8
        assert set(store.read("gaps").column("status").to_pylist()) <= {"healed"}


async def test_it_tells_how_it_is(process: Process) -> None:
    async with process.running() as live:
        await process.go_on(live, 5)
        status = live.status()
        assert status["health"] == "healthy", status["reasons"]
        assert (status["simulated"], status["queue"]["limit"]) == (True, 1024)
        (venue,), (instrument,) = status["venues"], status["instruments"]
        assert (venue["venue"], venue["connects"]) == ("SIM", 1)
        assert venue["state"] in ("live", "healing")
        assert (instrument["instrument"], instrument["gaps"]["open"], instrument["pending"]) == (NAME, 0, 0)
        assert instrument["last_trade"] > "2024-01-01T00:00:00Z"
        assert status["latency_ms"]["commit"]["count"] > 0
        assert status["memory_bytes"] > 1 << 20
        assert await live.heal(NAME) == 0
        reader = live.reader()
        assert reader.read("trades").num_rows > 0
        reader.close()
        with pytest.raises(UnknownName):
            await live.promote("nothing", "1")
        assert (await live.writer.standing(NAME)).trade_id is not None, "a refused request changes nothing"


async def test_a_second_process_is_refused_by_name_of_the_first(process: Process) -> None:
    async with process.running():
        with pytest.raises(StoreLocked, match=rf"tapeline \(PID \d+\) since 2024-.*ask it at {ANSWER}"):
            async with process.live():
                pass
        assert owner_of(process.settings.db) is not None, "the first still owns it"
