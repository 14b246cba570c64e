"""Predictions are scored once, by the candle that closes at their target time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.runners.score import Score
from tapeline.types import CANDLE, Prediction, Records


def prediction(as_of: int, value: float) -> Prediction:
    return Prediction(
        id=str(as_of),
        instrument="BTC-USD.SIM",
        timeframe="1m",
        made_at=as_of,
        as_of=as_of,
        horizon=2 * MINUTE,
        target_time=as_of + 2 * MINUTE,
        value=value,
        low=value - 0.01,
        high=value + 0.01,
        p_up=0.5,
        close=100.0,
        model="m",
        model_version="v",
        feature_set="bars",
        feature_version="f",
        row_hash="r",
    )


def candles(*closes: float, first: int = MINUTE) -> Records:
    made = np.zeros(len(closes), CANDLE)
    made["close_time"] = first + MINUTE * np.arange(len(closes))
    made["close"] = closes
    return made


def test_an_outcome_is_joined_once_also_inside_one_batch() -> None:
    score = Score()
    score.expect([prediction(0, 0.005), prediction(MINUTE, -0.005)])
    score.close(candles(100, 101, 101))
    outcome = math.log(1.01)
    assert (score.count, score.calls, score.hits, score.inside) == (2, 2, 1, 1)
    assert score.error == pytest.approx(((0.005 - outcome) ** 2 + (0.005 + outcome) ** 2) / 2)
    assert score.baseline == pytest.approx(outcome**2)
    score.close(candles(200, 300, first=2 * MINUTE))
    assert score.count == 2
    assert score.open == {}


def test_nothing_is_known_before_the_first_outcome() -> None:
    score = Score()
    score.expect([prediction(0, 0.005)])
    assert math.isnan(score.error)
    assert math.isnan(score.saved)


def test_a_target_that_no_candle_reached_is_forgotten() -> None:
    score = Score()
    score.expect([prediction(0, 0.005)])
    score.close(candles(100, first=10 * MINUTE))
    assert (score.count, score.open) == (0, {})
