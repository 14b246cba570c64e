"""Candles: the rules of the grid, the order of open and close, and any cut gives the same bits."""

from __future__ import annotations

import itertools
import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.candles import MAX_QUIET, CandleFold
from tapeline.clock import DAY, MINUTE, SECOND
from tapeline.compare import same_bits
from tapeline.errors import SnapshotMismatch
from tapeline.types import Frame, Records, Side, Timeframe

NAME = "BTC-USD.SIM"


def frame(*trades: tuple[float, float], qty: float = 1.0, side: Side = Side.BUY) -> Frame:
    """Make trades from (seconds, price) with ids counting from 1."""
    n = len(trades)
    return Frame.of(
        NAME,
        trade_id=np.arange(1, n + 1),
        ts_event=[round(seconds * SECOND) for seconds, _ in trades],
        price=[price for _, price in trades],
        qty=[qty] * n,
        side=[side] * n,
    )


def fold(frame: Frame, *timeframes: str) -> list[Records]:
    return CandleFold([Timeframe.parse(name) for name in timeframes]).feed(frame)[0]


def assert_same_bits(left: Records, right: Records) -> None:
    assert len(left) == len(right)
    for name in left.dtype.names or ():
        assert same_bits(left[name], right[name]).all(), name


def test_a_candle_is_half_open_and_closed_by_the_first_trade_at_or_after_its_end() -> None:
    candles = fold(frame((0, 10), (59.999, 12), (60, 11)), "1m")[0]
    assert candles[["open_time", "close_time", "open", "high", "low", "close", "trades"]].tolist() == [
        (0, MINUTE, 10.0, 12.0, 10.0, 12.0, 2)
    ]


def test_the_first_candle_is_incomplete_and_begins_the_grid() -> None:
    candles = fold(frame((30, 1), (61, 1), (121, 1)), "1m")[0]
    assert candles["complete"].tolist() == [False, True]
    assert candles["restart"].tolist() == [True, False]


def test_a_period_without_trades_gives_a_candle_of_the_previous_close() -> None:
    candles = fold(frame((0, 5), (10, 7), (200, 9)), "1m")[0]
    assert candles["trades"].tolist() == [2, 0, 0]
    quiet = candles[1]
    assert [quiet[name] for name in ("open", "high", "low", "close", "volume")] == [7, 7, 7, 7, 0]
    assert math.isnan(quiet["vwap"])
    assert math.isnan(quiet["realized_vol"])


def test_open_and_close_are_by_time_then_id_whatever_the_order_on_the_tape() -> None:
    late = Frame.of(NAME, trade_id=[3, 1, 2, 9], ts_event=[5, 1, 5, MINUTE], price=[30, 10, 20, 1], qty=[1] * 4)
    candle = fold(late, "1m")[0][0]
    assert (candle["open"], candle["close"]) == (10, 30)


def test_sums_by_side_and_volume() -> None:
    trades = Frame.of(
        NAME,
        trade_id=[1, 2, 3],
        ts_event=[0, 1, MINUTE],
        price=[10, 20, 1],
        qty=[1, 3, 1],
        side=[1, -1, 1],
        count=[2, 5, 1],
    )
    candle = fold(trades, "1m")[0][0]
    assert (candle["volume"], candle["quote_volume"], candle["vwap"], candle["buy_volume"]) == (4, 70, 17.5, 1)
    assert candle["trades"] == 7
    assert candle["realized_vol"] == pytest.approx(abs(math.log(2)))


def test_a_trade_of_unknown_side_makes_the_buy_volume_unknown() -> None:
    assert math.isnan(fold(frame((0, 1), (60, 1), side=Side.UNKNOWN), "1m")[0]["buy_volume"][0])


def test_realised_volatility_is_the_root_of_the_summed_squared_returns() -> None:
    prices = [100.0, 100.01, 99.5, 130.0, 129.99]
    candle = fold(frame(*[(i, price) for i, price in enumerate(prices)], (60, 1)), "1m")[0][0]
    returns = [math.log(b / a) for a, b in itertools.pairwise(prices)]
    assert candle["realized_vol"] == pytest.approx(math.sqrt(math.fsum(r * r for r in returns)), rel=1e-14)


def test_a_late_trade_changes_no_closed_candle_and_is_told() -> None:
    book = CandleFold([Timeframe.parse("1m"), Timeframe.parse("1h")])
    candles, late = book.feed(frame((0, 1), (61, 1), (59, 9), (120, 1)))
    assert candles[0]["high"].tolist() == [1, 1]
    assert late.tolist() == [False, False, True, False]


def test_the_hour_still_takes_a_trade_that_is_late_for_the_minute() -> None:
    candles, _ = CandleFold([Timeframe.parse("1h")]).feed(frame((0, 1), (61, 1), (59, 9), (3600, 1)))
    assert candles[0]["high"].tolist() == [9]


def test_sliding_windows_close_every_step() -> None:
    candles = fold(frame(*[(20 * i, i) for i in range(40)]), "5m/1m")[0]
    assert np.diff(candles["close_time"]).tolist() == [MINUTE] * (len(candles) - 1)
    whole = candles[candles["open_time"] == 2 * MINUTE][0]
    assert (whole["open"], whole["close"], whole["trades"], whole["complete"]) == (6, 20, 15, True)


def test_a_gap_makes_the_candles_it_may_touch_incomplete() -> None:
    book = CandleFold([Timeframe.parse("1m")])
    first, _ = book.feed(frame((0, 1), (60, 1), (130, 1)))
    book.hole()
    second, _ = book.feed(frame((250, 1), (310, 1), (370, 1)))
    complete = np.concatenate([first[0], second[0]])["complete"].tolist()
    assert complete == [False, True, False, False, False, True]


def test_the_clock_closes_what_no_trade_has_closed() -> None:
    book = CandleFold([Timeframe.parse("1m")])
    book.feed(frame((0, 3)))
    assert book.close_until(MINUTE - 1)[0].tolist() == []
    assert book.close_until(3 * MINUTE)[0]["trades"].tolist() == [1, 0, 0]


def test_a_long_silence_is_not_filled_and_begins_the_grid_anew() -> None:
    quiet = MAX_QUIET / SECOND + 120
    candles = fold(frame((0, 1), (quiet, 2), (quiet + 60, 3)), "1m")[0]
    assert candles["restart"].tolist() == [True, True]
    assert candles["close"].tolist() == [1, 2]


def test_more_quiet_candles_than_a_batch_holds() -> None:
    candles = fold(frame((0, 1), (6 * DAY / SECOND, 2)), "1m")[0]
    assert len(candles) == 6 * 24 * 60
    assert set(np.diff(candles["open_time"])) == {MINUTE}
    by_clock = CandleFold([Timeframe.parse("1m")])
    by_clock.feed(frame((0, 1)))
    assert len(by_clock.close_until(6 * DAY)[0]) == 6 * 24 * 60


def test_the_running_candle_is_shown_and_never_closed_by_looking() -> None:
    book = CandleFold([Timeframe.parse("1m")])
    assert len(book.running()[0]) == 0
    book.feed(frame((0, 3), (1, 4)))
    shown = book.running()[0][0]
    assert (shown["close"], shown["trades"], shown["complete"]) == (4, 2, False)
    assert book.feed(frame((60, 1)))[0][0]["trades"].tolist() == [2]


trades = st.lists(
    st.tuples(st.integers(0, 90), st.integers(1, 50), st.integers(1, 9), st.sampled_from([-1, 1])),
    min_size=1,
    max_size=60,
)


@given(trades, st.lists(st.integers(0, 60), max_size=5))
def test_any_cut_with_snapshot_and_restore_gives_the_same_bits(rows: list[tuple[int, ...]], cuts: list[int]) -> None:
    steps, prices, sizes, sides = (np.array(column) for column in zip(*rows, strict=True))
    tape = Frame.of(
        NAME,
        trade_id=np.arange(len(rows)),
        ts_event=np.cumsum(steps) * SECOND,
        price=prices / 7,
        qty=sizes / 3,
        side=sides,
    )
    names = [Timeframe.parse(name) for name in ("1m", "30s", "5m/1m")]
    whole = CandleFold(names).feed(tape)[0]
    parts: list[list[Any]] = [[], [], []]
    book = CandleFold(names)
    edges = sorted({0, len(tape), *(cut for cut in cuts if cut < len(tape))})
    for a, b in itertools.pairwise(edges):
        other = CandleFold(names)
        other.restore(book.snapshot())
        book = other
        for part, closed in zip(parts, book.feed(tape.take(slice(a, b)))[0], strict=True):
            part.append(closed)
    for part, candles in zip(parts, whole, strict=True):
        assert_same_bits(np.concatenate(part), candles)


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_a_frame_is_folded_in_blocks_of_any_size(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    seconds = np.cumsum(random.exponential(0.7, 300)) + random.normal(0, 5, 300).clip(-20, 5)
    trades = frame(*zip(seconds, 100.0 + random.normal(0, 1, 300).cumsum(), strict=True))
    timeframes = [Timeframe.parse(name) for name in ("1s", "1m", "5m/1m")]
    whole, late = CandleFold(timeframes).feed(trades)
    assert late.any()
    monkeypatch.setattr(sys.modules[CandleFold.__module__], "_BLOCK", rows)
    blocks, late_too = CandleFold(timeframes).feed(trades)
    assert late.tolist() == late_too.tolist()
    for left, right in zip(whole, blocks, strict=True):
        assert_same_bits(left, right)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize("swapped", [False, True])
def test_few_trades_at_a_time_are_folded_as_all_at_once(size: int, swapped: bool) -> None:
    random = np.random.default_rng(1)
    stamps = np.cumsum(random.integers(0, SECOND // 2, 600))
    if swapped:  # a trade in three stands before an earlier one
        stamps[1::3], stamps[2::3] = stamps[2::3].copy(), stamps[1::3].copy()
    columns = {"trade_id": np.arange(600), "price": 100 * np.exp(np.cumsum(random.normal(0, 1e-3, 600)))}
    tape = Frame.of(NAME, ts_event=stamps, qty=random.random(600), side=random.integers(-1, 2, 600), **columns)
    timeframes = [Timeframe.parse(name) for name in ("1s", "1m/1s", "1m")]
    whole, cut = CandleFold(timeframes), CandleFold(timeframes)
    expected, late = whole.feed(tape)
    parts = [cut.feed(tape.take(slice(at, at + size))) for at in range(0, 600, size)]
    for place, candles in enumerate(expected):
        assert_same_bits(candles, np.concatenate([closed[place] for closed, _ in parts]))
    assert np.concatenate([told for _, told in parts]).tolist() == late.tolist()
    assert whole.snapshot() == cut.snapshot()


def test_a_state_of_other_timeframes_is_refused() -> None:
    with pytest.raises(SnapshotMismatch, match="candles: cannot take this state"):
        CandleFold([Timeframe.parse("5m")]).restore(CandleFold([Timeframe.parse("1m")]).snapshot())
