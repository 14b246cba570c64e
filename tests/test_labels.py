from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline import labels
from tapeline.clock import MINUTE, SECOND
from tapeline.errors import InputError, UsageError
from tapeline.types import CANDLE, Records, Timeframe

M1 = Timeframe.parse("1m")


def candles(minutes: list[int], closes: list[float] | None = None) -> Records:
    rows = np.zeros(len(minutes), CANDLE)
    rows["close_time"] = np.array(minutes, np.int64) * MINUTE
    rows["open_time"] = rows["close_time"] - MINUTE
    rows["close"] = closes if closes is not None else 100.0 + np.arange(len(minutes))
    rows["complete"] = True
    return rows


def forward(rows: Records, minutes: int = 2) -> list[float]:
    return [float(label) for label in labels.forward_return(rows, M1, minutes * MINUTE)[0]]


def test_the_outcome_is_the_log_return_and_known_a_horizon_later() -> None:
    got, known_at = labels.forward_return(candles([1, 2, 3], [100, 110, 121]), M1, MINUTE)
    assert got[:2].tolist() == pytest.approx([math.log(1.1)] * 2)
    assert math.isnan(got[2])
    assert known_at.tolist() == [2 * MINUTE, 3 * MINUTE, 4 * MINUTE]


def test_it_is_found_in_time_and_not_by_counting_rows() -> None:
    got = forward(candles([1, 2, 4, 5, 6], [100, 101, 104, 105, 106]))
    assert got[0] != got[0]  # minute 3 does not exist
    assert got[1] == math.log(104 / 101)  # two minutes on is the next row
    assert got[2] == math.log(106 / 104)


@pytest.mark.parametrize("row", [0, 2])
def test_an_incomplete_candle_at_either_end_is_no_label(row: int) -> None:
    rows = candles([1, 2, 3])
    rows["complete"][row] = False
    assert math.isnan(forward(rows)[0])


def test_an_incomplete_candle_in_between_changes_nothing() -> None:
    rows = candles([1, 2, 3])
    rows["complete"][1] = False
    assert forward(rows)[0] == math.log(102 / 100)


@pytest.mark.parametrize(("row", "known"), [(0, True), (1, False), (2, False)])
def test_no_outcome_reaches_over_a_restart(row: int, known: bool) -> None:
    rows = candles([1, 2, 3])
    rows["restart"][row] = True
    assert math.isnan(forward(rows)[0]) is not known


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_none_gives_no_label(price: float) -> None:
    assert np.isnan(forward(candles([1, 2, 3], [100, 101, price]))).all()


@pytest.mark.parametrize("horizon", [0, -MINUTE, 90 * SECOND, 1])
def test_a_horizon_off_the_grid_names_the_rule(horizon: int) -> None:
    text = "horizon on timeframe 1m: is not on the grid: expected a positive multiple of 1m, was "
    with pytest.raises(UsageError, match=text):
        labels.forward_return(candles([1, 2]), M1, horizon)


def test_a_horizon_of_more_rows_than_the_past_return_may_span_is_too_long() -> None:
    assert labels.horizon_rows(M1, 10_000 * MINUTE) == 10_000
    with pytest.raises(
        UsageError, match=r"is too long: expected at most 10,000 candles \(10000m\), was '10001m'; ask on"
    ):
        labels.horizon_rows(M1, 10_001 * MINUTE)


def test_a_sliding_timeframe_goes_by_its_step() -> None:
    assert labels.horizon_rows(Timeframe.parse("5m/1m"), 3 * MINUTE) == 3


def test_candles_out_of_order_are_refused() -> None:
    with pytest.raises(InputError, match="candles row 2: are out of order"):
        forward(candles([1, 3, 2]))


def test_no_candles_give_no_labels() -> None:
    assert forward(candles([])) == []


@given(st.lists(st.integers(1, 40), unique=True, max_size=30), st.integers(1, 6))
def test_the_past_return_is_the_forward_return_seen_from_its_end(minutes: list[int], span: int) -> None:
    rows = candles(sorted(minutes), [100 + minute**1.5 for minute in sorted(minutes)])
    ahead, known_at = labels.forward_return(rows, M1, span * MINUTE)
    behind = dict(zip(rows["close_time"].tolist(), labels.past_return(rows, M1, span * MINUTE).tolist(), strict=True))
    for value, at in zip(ahead.tolist(), known_at.tolist(), strict=True):
        assert math.isnan(value) or behind[at] == value
    assert np.isfinite(list(behind.values())).sum() == np.isfinite(ahead).sum()


def test_a_price_that_stays_has_no_direction() -> None:
    got = labels.direction(np.array([-1.0, 1e-12, -0.0, 0.0, np.nan]))
    assert got[:2].tolist() == [0, 1]
    assert np.isnan(got[2:]).all()


def path(closes: list[float], *, high: dict[int, float] | None = None, low: dict[int, float] | None = None) -> Records:
    rows = candles(list(range(1, len(closes) + 1)), closes)
    rows["high"] = rows["low"] = rows["close"]
    for row, price in (high or {}).items():
        rows["high"][row] = price
    for row, price in (low or {}).items():
        rows["low"][row] = price
    return rows


def test_the_dead_band_may_be_fixed_or_follow_the_market() -> None:
    returns = np.array([-0.004, -0.001, 0.0, 0.001, 0.0011, math.nan, 0.004])
    assert labels.direction3(returns).tolist()[:5] == [0, 1, 1, 1, 2]
    assert math.isnan(labels.direction3(returns)[5])
    band = np.array([0.01, 0.0005, 0.001, math.nan, 0.001, 0.001, 0.003])
    assert str(labels.direction3(returns, band).tolist()) == "[1.0, 0.0, 1.0, nan, 2.0, nan, 2.0]"


def test_volatility_ahead_is_the_root_of_the_sum_of_squares() -> None:
    got, known_at = labels.volatility(path([100, 110, 99, 99, 101]), M1, 2 * MINUTE)
    moves = [math.log(b / a) for a, b in ((100, 110), (110, 99), (99, 99), (99, 101))]
    assert got[:3].tolist() == pytest.approx([math.hypot(*moves[i : i + 2]) for i in range(3)])
    assert np.isnan(got[3:]).all()
    assert known_at.tolist() == [minute * MINUTE for minute in range(3, 8)]


@pytest.mark.parametrize("broken", ["complete", "restart"])
def test_volatility_is_unknown_where_a_candle_on_the_way_is(broken: str) -> None:
    rows = path([100, 101, 102, 103, 104, 105])
    rows[broken][2] = broken == "restart"
    got = labels.volatility(rows, M1, 3 * MINUTE)[0]
    assert np.isnan(got[:2]).all()
    assert np.isnan(got[2]) == (broken == "complete")


def test_recent_volatility_looks_back_only() -> None:
    rows = path([100 + (minute * 7 % 5) for minute in range(40)])
    whole = labels.recent_volatility(rows, M1, 10)
    moves = np.diff(np.log(rows["close"]))
    assert np.isnan(whole[:10]).all()
    assert whole[10:] == pytest.approx([np.sqrt(np.mean(moves[i : i + 10] ** 2)) for i in range(30)])
    assert labels.recent_volatility(rows[:25], M1, 10).tobytes() == whole[:25].tobytes()


@pytest.mark.parametrize(
    ("rows", "label", "minutes"),
    [
        (path([100, 100.5, 102, 90]), 2.0, 2),
        (path([100, 99.5, 98, 110]), 0.0, 2),
        (path([100, 100.1, 100.2, 100.1]), 1.0, 3),
        (path([100, 100, 100, 100], high={1: 101.5}), 2.0, 1),
        (path([100, 100, 100, 100], low={3: 98.5}), 0.0, 3),
        (path([100, 100, 100, 100], low={2: 98.5}, high={1: 101.5}), 2.0, 1),
    ],
    ids=["upper", "lower", "neither", "by a high", "by a low at the end", "the first counts"],
)
def test_the_barrier_met_first_is_the_label_and_known_then(rows: Records, label: float, minutes: int) -> None:
    got, known_at = labels.barrier(rows, M1, 3 * MINUTE, np.full(4, 0.01))
    assert got[0] == label
    assert known_at[0] == (1 + minutes) * MINUTE
    assert (known_at <= rows["close_time"] + 3 * MINUTE).all()


def test_one_candle_that_meets_both_barriers_gives_no_label() -> None:
    rows = path([100, 100, 100, 100], low={1: 98}, high={1: 102})
    got, known_at = labels.barrier(rows, M1, 3 * MINUTE, np.full(4, 0.01))
    assert math.isnan(got[0])
    assert known_at[0] == 4 * MINUTE


@pytest.mark.parametrize("broken", ["complete", "restart", "missing"])
def test_a_barrier_counts_only_up_to_a_break(broken: str) -> None:
    rows = path([100, 100, 100, 102, 100, 100])
    if broken == "missing":
        rows = np.delete(rows, 2)
    else:
        rows[broken][2] = broken == "restart"
    got = labels.barrier(rows, M1, 3 * MINUTE, np.full(len(rows), 0.01))[0]
    assert math.isnan(got[0])
    early = labels.barrier(rows, M1, 3 * MINUTE, np.full(len(rows), math.nan))[0]
    assert np.isnan(early).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_a_barrier_is_what_a_plain_loop_finds(seed: int, span: int) -> None:
    draw = np.random.default_rng(seed)
    rows = path((100 * np.exp(np.cumsum(0.01 * draw.normal(size=30)))).tolist())
    rows["high"] *= np.exp(0.01 * draw.random(30))
    rows["low"] *= np.exp(-0.01 * draw.random(30))
    got, known_at = labels.barrier(rows, M1, span * MINUTE, np.full(30, 0.015))
    for row in range(30 - span):
        up, down = rows["close"][row] * math.exp(0.015), rows["close"][row] * math.exp(-0.015)
        ahead = rows[row + 1 : row + 1 + span]
        met = [(high >= up, low <= down) for high, low in zip(ahead["high"], ahead["low"], strict=True)]
        first = next((step for step, pair in enumerate(met) if any(pair)), None)
        if first is None:
            assert (got[row], known_at[row]) == (1.0, rows["close_time"][row] + span * MINUTE)
        elif all(met[first]):
            assert math.isnan(got[row])
        else:
            assert (got[row], known_at[row]) == (2.0 if met[first][0] else 0.0, ahead["close_time"][first])
