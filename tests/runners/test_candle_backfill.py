"""Candles made by a venue into a database: closed ones only, kept beside our own, wherever it was interrupted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ingest.fakes import BOUNDS, FREE, FakeKraken

from tapeline.clock import HOUR, MINUTE, SECOND, ManualClock
from tapeline.config import Settings, load_settings
from tapeline.errors import UsageError
from tapeline.exchanges.base import Limits, exchanges
from tapeline.ingest.base import Place
from tapeline.query import candles
from tapeline.runners.candle_backfill import CandleBackfill, FilledCandles, candles_of
from tapeline.runners.writer import Writer
from tapeline.stores.duckdb import DuckDBStore

BTC = "BTC-USDT.BINANCE"
T0 = 1_762_776_000 * SECOND
"""A whole hour."""


class Venue:
    """Klines of Binance; those in ``wrong`` are given as told there, those in ``absent`` not at all."""

    def __init__(self) -> None:
        self.wrong: dict[int, str] = {}
        self.absent: set[int] = set()
        self.answers = 10**6

    def __call__(self, path: str, params: dict[str, str]) -> tuple[int, bytes]:
        self.answers -= 1
        if self.answers < 0:
            return 503, b"{}"
        first, last = (int(params[name]) * 1_000_000 for name in ("startTime", "endTime"))
        minutes = range(-(-(first - T0) // MINUTE), (last - T0) // MINUTE + 1)
        return 200, json.dumps([self.row(minute) for minute in minutes if minute not in self.absent]).encode()

    def row(self, minute: int) -> list[object]:
        at = (T0 + minute * MINUTE) // 1_000_000
        price = self.wrong.get(minute, f"{100 + minute % 7}.5")
        return [at, price, "200", "50", "100.25", "8", at + 59_999, "802", 5, "3", "300", "0"]


@pytest.fixture
async def server() -> AsyncIterator[FakeKraken]:
    async with FakeKraken().serving() as fake:
        yield fake


@pytest.fixture
def venue(server: FakeKraken) -> Venue:
    server.rest = venue = Venue()
    return venue


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(db=tmp_path / "tape.duckdb", timeframes=("1m",), feature_sets=("bars",))


def place(server: FakeKraken) -> Place:
    exchange = exchanges()["BINANCE"]
    feed = replace(exchange.feeds[0], limits=Limits(FREE, FREE, FREE))
    return Place(exchange, feed, "ws://nowhere", f"http://{server.url}", "BINANCE")


async def fill(
    server: FakeKraken, settings: Settings, start: int, end: int, now: int = T0 + 240 * HOUR
) -> FilledCandles:
    clock = ManualClock(now)
    async with Writer(lambda: DuckDBStore(settings.db, threads=1), settings, clock=clock, joins=True) as writer:
        backfill = CandleBackfill(place(server), writer, settings, clock=clock, bounds=BOUNDS)
        (filled,) = await backfill.run([BTC], "1m", start, end)
    return filled


def stored(settings: Settings) -> list[int]:
    store = DuckDBStore(settings.db, read_only=True, threads=1)
    found = candles(store, settings, BTC, "1m")
    features = store.read("features", instrument=BTC, source="imported")
    store.close()
    assert found.source == "imported"
    assert sorted(features["as_of"].to_pylist()) == (found.records["open_time"] + MINUTE).tolist()
    return [int(one - T0) // MINUTE for one in found.records["open_time"]]


async def test_closed_candles_of_a_span_and_nothing_else(server: FakeKraken, venue: Venue, settings: Settings) -> None:
    now = T0 + 60 * MINUTE + 10 * SECOND - 1
    filled = await fill(server, settings, T0 + 1, T0 + 240 * HOUR, now)
    assert stored(settings) == list(range(1, 59))
    assert (filled.candles, filled.new, filled.problem, filled.reached) == (58, 58, "", T0 + 59 * MINUTE)
    store = DuckDBStore(settings.db, read_only=True, threads=1)
    row = store.read("candles", instrument=BTC, start=T0 + 3 * MINUTE, end=T0 + 4 * MINUTE).to_pylist()[0]
    store.close()
    told = {
        name: row[name] for name in ("open", "high", "low", "close", "volume", "quote_volume", "vwap", "buy_volume")
    }
    assert [*told.values(), row["trades"], row["source"]] == [103.5, 200, 50, 100.25, 8, 802, 100.25, 3, 5, "imported"]
    again = await fill(server, settings, T0 + 1, T0 + 240 * HOUR, now + 10 * SECOND)
    assert (again.new, again.requests) == (1, 1)
    assert stored(settings) == list(range(1, 60))


async def test_what_was_interrupted_goes_on(server: FakeKraken, venue: Venue, settings: Settings) -> None:
    venue.absent = {5, 1700}
    venue.answers = 1
    filled = await fill(server, settings, T0, T0 + 2000 * MINUTE)
    assert "503" in filled.problem
    assert filled.problem.endswith("999 candles are kept, the same command goes on from there")
    venue.answers = 10**6
    filled = await fill(server, settings, T0, T0 + 2000 * MINUTE)
    assert (filled.candles, filled.requests, filled.problem) == (999, 1, "")
    assert stored(settings) == [one for one in range(2000) if one not in venue.absent]
    assert (await fill(server, settings, T0, T0 + 2000 * MINUTE)).requests == 0


async def test_what_cannot_be_used_and_what_differs_is_told(
    server: FakeKraken, venue: Venue, settings: Settings
) -> None:
    venue.wrong = {3: "1e400", 5: "-1", 6: "300", 7: "x"}
    filled = await fill(server, settings, T0, T0 + 10 * MINUTE)
    assert (filled.candles, filled.malformed) == (6, 4)
    assert stored(settings) == [0, 1, 2, 4, 8, 9]
    venue.wrong = {4: "77"}
    filled = await fill(server, settings, T0 - MINUTE, T0 + 10 * MINUTE)
    assert (filled.candles, filled.new, filled.conflicts) == (11, 5, 1)
    store = DuckDBStore(settings.db, read_only=True, threads=1)
    letters = store.read("dead_letters", instrument=BTC).to_pylist()
    kept = candles(store, settings, BTC, "1m").records["open"]
    store.close()
    assert len(letters) == 5
    assert sum("high: expected the highest price" in one["reason"] for one in letters) == 1
    assert kept[5] == 104.5


async def test_a_timeframe_that_the_venue_does_not_make(server: FakeKraken, venue: Venue, settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"binance trade candles: are not made by the venue.* 1s, 1m.*was '7m'"):
        candles_of(place(server), "7m")
