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
