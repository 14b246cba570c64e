"""Rows of the wire: times RFC 3339, unknown is null, nothing invented."""

from __future__ import annotations

import json
from dataclasses import replace
from math import exp, inf, nan

import numpy as np
import pytest
from tests.committed import prediction
from tests.stored import START, TRADED, imported_candles, trades

from tapeline import wire
from tapeline.clock import MINUTE, format_time
from tapeline.types import CANDLE


def test_unknown_numbers_are_null() -> None:
    assert json.loads(wire.encode([nan, inf, -inf, 1.5])) == [None, None, None, 1.5]
    (row, *_) = json.loads(wire.encode(wire.candles(TRADED, "1m", imported_candles(), source="imported")))
    assert [name for name, value in row.items() if value is None] == [
        "quote_volume",
        "vwap",
        "trades",
        "buy_volume",
        "realized_vol",
    ]
    assert row["source"] == "imported"


@pytest.mark.parametrize("ns", [[0, 10**18], [1, 10**9], [-1, 5 * 10**8], []])
def test_times_are_those_of_the_clock(ns: list[int]) -> None:
    assert wire.times(np.array(ns, np.int64)) == [format_time(one) for one in ns]


def test_a_running_candle_is_neither_closed_nor_complete() -> None:
    candle = np.zeros(1, CANDLE)
    candle["complete"] = True
    (row,) = wire.candles(TRADED, "1m", candle, closed=False)
    assert (row.closed, row.complete) == (False, False)


def test_trades_keep_their_id_and_aggressor() -> None:
    frame = trades(3)
    rows = wire.trades(frame)
    assert [row.trade_id for row in rows] == frame.trade_id.tolist()
    assert [row.side for row in rows] == [{-1: "SELL", 0: "UNKNOWN", 1: "BUY"}[side] for side in frame.side.tolist()]
    assert [row.qty for row in rows] == frame.qty.tolist()


def test_a_prediction_has_the_prices_its_returns_stand_for() -> None:
    row = wire.prediction(prediction(START, value=0.01))
    assert row.price == pytest.approx(60_000 * exp(0.01))
    assert row.price_low == pytest.approx(60_000 * exp(0.0))
    assert (row.horizon, row.late, row.outcome) == ("1m", False, None)
    assert wire.prediction(prediction(START, made_at=START + MINUTE)).late
    assert json.loads(wire.encode(wire.prediction(replace(prediction(), p_up=nan))))["p_up"] is None


@pytest.mark.parametrize(
    ("value", "p_up", "close", "hit"),
    [
        (0.001, 0.6, 60_100.0, True),
        (0.001, 0.6, 59_900.0, False),
        (0.001, nan, 60_100.0, True),
        (-0.001, 0.6, 60_100.0, True),
        (0.001, 0.6, 60_000.0, None),
        (0.0, nan, 60_100.0, None),
        (0.0, 0.5, 60_100.0, None),
    ],
)
def test_a_hit_is_of_what_was_said_about_what_moved(value: float, p_up: float, close: float, hit: bool | None) -> None:
    said = replace(prediction(value=value), p_up=p_up)
    assert wire.outcome(said, START, close, complete=True).hit is hit


def test_an_outcome_outside_the_interval_is_not_inside() -> None:
    said = prediction(value=0.0)
    assert wire.outcome(said, START, 60_000 * exp(0.0099), complete=True).inside
    assert not wire.outcome(said, START, 60_000 * exp(0.0101), complete=True).inside
