"""Our candles of recorded trades against the venues' own, and against what others built from the same trades."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import feather

from tapeline.candles import CandleFold
from tapeline.clock import MINUTE, SECOND
from tapeline.recordings.base import open_recording
from tapeline.types import Frame, Records, Timeframe


def frames(file: Path) -> Frame:
    return Frame.concat([frame for chunk in open_recording(file).chunks() for frame in chunk.frames])


def folded(trades: Frame, timeframe: str) -> Records:
    ordered = trades.take(np.lexsort((trades.trade_id, trades.ts_event)))
    return CandleFold([Timeframe.parse(timeframe)]).feed(ordered)[0][0]


def test_kraken_minutes_equal_the_venues_own_in_every_field(shared: Path) -> None:
    ours = folded(frames(shared / "data/nautilus-kraken/http_trades.json"), "1m")
    body = json.loads((shared / "data/nautilus-kraken/http_ohlc.json").read_text())
    theirs = {row[0] * SECOND: row for row in body["result"]["XBTUSDT"]}
    whole = ours[ours["complete"] & (ours["trades"] > 0)]
    for candle in whole:
        _, opened, high, low, close, vwap, volume, trades = theirs[int(candle["open_time"])]
        prices = tuple(candle[name] for name in ("open", "high", "low", "close"))
        assert prices == tuple(map(float, (opened, high, low, close)))
        assert candle["trades"] == trades
        assert candle["volume"] == pytest.approx(float(volume), abs=5e-9)
        assert -1e-6 < candle["vwap"] - float(vwap) < 0.1, "the venue cuts it off after one decimal"
    assert len(whole) == 272


def test_kraken_quiet_minutes_are_filled_as_the_venue_fills_them(shared: Path) -> None:
    ours = folded(frames(shared / "data/nautilus-kraken/http_trades.json"), "1m")
    body = json.loads((shared / "data/nautilus-kraken/http_ohlc.json").read_text())
    theirs = {row[0] * SECOND: row for row in body["result"]["XBTUSDT"]}
    quiet = ours[ours["trades"] == 0]
    assert len(quiet) > 100
    for candle in quiet:
        assert float(theirs[int(candle["open_time"])][4]) == candle["close"]
        assert theirs[int(candle["open_time"])][7] == 0


@pytest.mark.parametrize(("timeframe", "count"), [("1m", 2469), ("5m", 706)])
def test_aggregated_binance_trades_equal_an_independent_build(shared: Path, timeframe: str, count: int) -> None:
    ours = folded(frames(shared / "data/freqtrade/XRP_OLD-trades.json.gz"), timeframe)
    theirs = feather.read_table(shared / f"data/freqtrade/XRP_ETH-{timeframe}.feather").to_pydict()
    times = np.array([int(time.timestamp()) * SECOND for time in theirs["date"]])
    assert len(times) == count
    traded = {int(candle["open_time"]): candle for candle in ours if candle["trades"]}
    shared_times = [row for row, time in enumerate(times) if int(time) in traded]
    assert len(shared_times) >= count - 1, "all but the one that is still running at the end"
    for row in shared_times:
        candle = traded[int(times[row])]
        for name in ("open", "high", "low", "close"):
            assert candle[name] == theirs[name][row]
        assert candle["volume"] == pytest.approx(theirs["volume"][row], rel=1e-12)


def test_aggregated_trades_count_as_many_as_they_stand_for(shared: Path) -> None:
    trades = frames(shared / "data/freqtrade/XRP_OLD-trades.json.gz")
    candles = folded(trades, "1m")
    closed = trades.ts_event < candles["close_time"][-1]
    assert candles["trades"].sum() == trades.count[closed].sum() > closed.sum()


def test_two_binance_captures_join_across_midnight_without_a_gap(shared: Path) -> None:
    folder = shared / "data/hftbacktest-binance"
    trades = Frame.concat([frames(folder / f"spot_btcusdt_2024080{day}.gz") for day in (8, 9)])
    assert len(trades) == 9757 + 10147
    assert (np.diff(trades.trade_id) == 1).all()
    candles = folded(trades, "1m")
    assert (np.diff(candles["open_time"]) == MINUTE).all()


@pytest.mark.parametrize("symbol", ["spy", "ibm"])
def test_the_share_of_equity_minutes_that_equal_the_vendors_is_told(
    shared: Path, symbol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The vendor does not say which sale conditions count, so the share is printed, and only its bulk is asserted."""
    folder = shared / "data/lean-equity"
    ours = {int(c["open_time"]): c for c in folded(frames(folder / f"tick_{symbol}_20131008_trade.zip"), "1m")}
    chunks = open_recording(folder / f"minute_{symbol}_20131008_trade.zip").chunks()
    theirs = np.concatenate([candles.records for chunk in chunks for candles in chunk.candles])
    both = [(ours[int(c["open_time"])], c) for c in theirs if int(c["open_time"]) in ours]
    same = {name: sum(a[name] == b[name] for a, b in both) for name in ("open", "high", "low", "close", "volume")}
    every = sum(all(a[name] == b[name] for name in same) for a, b in both)
    with capsys.disabled():
        print(f"\n{symbol.upper()}: {len(both)} minutes, equal in all fields {every}, by field {same}")
    assert len(both) >= len(theirs) - 1
    assert same["volume"] >= 0.9 * len(both)
