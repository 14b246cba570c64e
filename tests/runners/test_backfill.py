"""A venue's past into a database, whatever was there before and wherever it was interrupted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ingest.fakes import BOUNDS, BTC, NOW, FakeKraken, place

from tapeline.clock import HOUR, SECOND, ManualClock
from tapeline.config import Settings, load_settings
from tapeline.coverage import open_gaps
from tapeline.exchanges.base import Exchange, Page, Request, Response, Span, Walk
from tapeline.runners.backfill import Backfill, Filled, Progress
from tapeline.runners.writer import Writer
from tapeline.stores.duckdb import DuckDBStore
from tapeline.verify import verify

START, END = NOW - HOUR, NOW


@pytest.fixture
async def kraken() -> AsyncIterator[FakeKraken]:
    async with FakeKraken().serving() as fake:
        fake.page = 40
        yield fake


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(db=tmp_path / "tape.duckdb", timeframes=("1s",), feature_sets=("bars",))


async def fill(
    kraken: FakeKraken,
    settings: Settings,
    start: int = START,
    end: int = END,
    *,
    holes_only: bool = False,
    contiguous: bool = True,
    shown: list[Progress] | None = None,
) -> Filled:
    kraken.asked.clear()
    clock = ManualClock(NOW)
    async with Writer(lambda: DuckDBStore(settings.db, threads=1), settings, clock=clock, joins=True) as writer:
        at = place(kraken, contiguous=contiguous)
        told = [] if shown is None else shown
        backfill = Backfill(at, writer, clock=clock, bounds=BOUNDS, progress=told.append)
        (filled,) = await backfill.run([BTC], start, end, holes_only=holes_only)
    return filled


def stored(settings: Settings) -> list[int]:
    store = DuckDBStore(settings.db, read_only=True, threads=1)
    ids: list[int] = store.read("trades", instrument=BTC)["trade_id"].to_pylist()
    gaps, report = open_gaps(store, BTC), verify(store, settings, BTC)
    store.close()
    assert report.findings == []
    assert sum(gap["missing"] for gap in gaps) == (max(ids) - min(ids) + 1 - len(ids) if ids else 0)
    return sorted(ids)


def _at(trade_id: int) -> int:
    """Return when the venue's trade of an id happened."""
    return NOW - 1800 * SECOND + trade_id * 1_000_000


async def test_all_of_a_span_and_nothing_twice(kraken: FakeKraken, settings: Settings) -> None:
    ids, shown = kraken.trade(count=400), list[Progress]()
    filled = await fill(kraken, settings, shown=shown)
    assert stored(settings) == ids
    assert (filled.trades, filled.missing, filled.problem) == (400, 0, "")
    assert [one.done for one in shown] == sorted(one.done for one in shown)
    assert shown[-1].done <= shown[-1].total == HOUR
    again = await fill(kraken, settings)
    assert again.requests <= 8
    assert stored(settings) == ids


async def test_only_the_span_asked_for(kraken: FakeKraken, settings: Settings) -> None:
    kraken.trade(count=400)
    await fill(kraken, settings, _at(200), _at(300))
    assert stored(settings) == list(range(200, 300))


async def test_what_was_interrupted_goes_on(kraken: FakeKraken, settings: Settings) -> None:
    ids = kraken.trade(count=400)
    kraken.rest = lambda path, params: (503, b"{}") if len(kraken.asked) > 4 else None
    filled = await fill(kraken, settings)
    assert "cannot" not in filled.problem
    assert "503" in filled.problem
    assert "160 trades are kept, the same command goes on from there" in filled.problem
    kraken.rest = lambda path, params: None
    filled = await fill(kraken, settings)
    assert filled.trades < 300
    assert filled.problem == ""
    assert stored(settings) == ids


async def test_the_past_of_what_is_stored_joins_it(kraken: FakeKraken, settings: Settings) -> None:
    ids = kraken.trade(count=400)
    await fill(kraken, settings, _at(400), END)
    assert stored(settings) == ids[300:]
    await fill(kraken, settings, START, _at(200))
    assert stored(settings) == ids[:100] + ids[300:]
    await fill(kraken, settings)
    assert stored(settings) == ids


async def test_holes_alone_are_healed_by_id(kraken: FakeKraken, settings: Settings) -> None:
    ids = kraken.trade(count=400)
    await fill(kraken, settings, _at(150), _at(200))
    await fill(kraken, settings, _at(400), _at(450))
    filled = await fill(kraken, settings, holes_only=True)
    assert stored(settings) == list(range(150, 450))
    assert filled.trades == 200
    assert ids[0] < 150


async def test_ids_that_the_venue_leaves_out_are_named(kraken: FakeKraken, settings: Settings) -> None:
    ids = kraken.trade(count=50) + kraken.trade(first=160, count=50)
    filled = await fill(kraken, settings)
    assert stored(settings) == ids
    assert (filled.missing, filled.problem) == (10, "")


async def test_an_illiquid_pair_ends(kraken: FakeKraken, settings: Settings) -> None:
    filled = await fill(kraken, settings)
    assert (filled.trades, filled.reached, filled.problem) == (0, None, "")
    assert filled.requests <= 5


async def test_without_contiguous_ids_a_note_says_how_far_it_came(kraken: FakeKraken, settings: Settings) -> None:
    ids = kraken.trade(count=400)
    kraken.rest = lambda path, params: (503, b"{}") if len(kraken.asked) > 4 else None
    assert (await fill(kraken, settings, contiguous=False)).problem
    kraken.rest = lambda path, params: None
    filled = await fill(kraken, settings, contiguous=False)
    assert filled.trades <= 241
    store = DuckDBStore(settings.db, read_only=True, threads=1)
    assert sorted(store.read("trades", instrument=BTC)["trade_id"].to_pylist()) == ids
    store.close()
    assert (await fill(kraken, settings, contiguous=False)).requests == 0


async def test_what_is_no_trade_to_us_is_counted(kraken: FakeKraken, settings: Settings) -> None:
    def left_out(instrument: str, span: Span) -> Walk:
        yield Page(ignored={"tradeVolumeOnly": 2})
        yield Page(ignored={"tradeVolumeOnly": 1, "cancelRecord": 1})

    clock, at = ManualClock(NOW), place(kraken)
    at = replace(at, feed=replace(at.feed, history=left_out))
    async with Writer(lambda: DuckDBStore(settings.db, threads=1), settings, clock=clock, joins=True) as writer:
        (filled,) = await Backfill(at, writer, clock=clock, bounds=BOUNDS).run([BTC], START, END)
    assert filled.ignored == {"tradeVolumeOnly": 3, "cancelRecord": 1}


async def test_what_trades_mean_is_asked_before_the_first(kraken: FakeKraken, settings: Settings) -> None:
    told: list[str] = []

    def nothing(instrument: str, span: Span) -> Walk:
        yield Page()

    def prepare() -> Generator[Request, Response, Exchange]:
        told.append((yield Request("/conditions", {})).body.decode())
        return replace(at.exchange, feeds=(replace(at.feed, history=nothing),))

    kraken.rest = lambda path, params: (200, b'"odd lots"')
    clock, at = ManualClock(NOW), place(kraken)
    unknowing = replace(at, feed=replace(at.feed, prepare=prepare))
    async with Writer(lambda: DuckDBStore(settings.db, threads=1), settings, clock=clock, joins=True) as writer:
        (filled,) = await Backfill(unknowing, writer, clock=clock, bounds=BOUNDS).run([BTC], START, END)
    assert (told, filled.trades, len(kraken.asked)) == (['"odd lots"'], 0, 1)
