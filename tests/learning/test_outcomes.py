from __future__ import annotations

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.errors import InputError, NotEnoughData, UsageError
from tapeline.learning.dataset import Dataset, build_dataset
from tapeline.learning.fitting import fit
from tapeline.models.linear import Huber
from tapeline.models.unconditional import MajorityDirection3
from tapeline.testing.models import planted
from tapeline.types import CANDLE, Records


def market(rows: int = 4000, seed: int = 1) -> Records:
    """Return candles of a random walk whose spread doubles half way."""
    draw = np.random.default_rng(seed)
    spread = np.where(np.arange(rows) < rows // 2, 1e-4, 4e-4)
    steps = spread[:, None] * draw.normal(size=(rows, 10)) / np.sqrt(10)
    paths = 100 * np.exp(np.cumsum(steps.reshape(-1)).reshape(rows, 10))
    made = np.zeros(rows, CANDLE)
    made["close_time"] = np.arange(1, rows + 1) * MINUTE
    made["close"], made["high"], made["low"] = paths[:, -1], paths.max(axis=1), paths.min(axis=1)
    made["complete"] = True
    return made


def dataset(candles: Records, minutes: int = 5) -> Dataset:
    return build_dataset(
        candles,
        np.ones((len(candles), 1)),
        instrument="BTC-USD.SIM",
        timeframe="1m",
        horizon=minutes * MINUTE,
        columns=["one"],
        feature_set="mine",
        feature_version="v",
    )


def test_the_band_follows_the_market_so_each_class_keeps_its_third() -> None:
    data = dataset(market()).for_target("direction3")
    for half in np.array_split(data.labels("direction3"), 2):
        assert np.bincount(half.astype(int)) / len(half) == pytest.approx([1 / 3] * 3, abs=0.06)
    assert data.excluded["direction3 unknown"] > 50  # the band is not known before 60 returns are


def test_all_outcomes_of_a_row_are_known_by_the_end_of_the_horizon() -> None:
    data = dataset(market())
    for target, made in data.others.items():
        assert (made.known_at <= data.known_at).all(), target
        assert (made.known_at > data.as_of).all(), target
    met_early = data.others["barrier"].known_at < data.known_at
    assert 0.2 < met_early.mean() < 0.95
    assert data.weights("barrier").std() > data.weights("return").std()


def test_the_outcome_of_a_row_does_not_depend_on_what_comes_after_the_horizon() -> None:
    candles = market(400)
    whole, part = dataset(candles), dataset(candles[:200])
    for target in ("direction3", "barrier", "volatility"):
        known = part.labels(target)
        assert whole.labels(target)[: len(known)].tobytes() == known.tobytes()


def test_volatility_rises_with_the_market() -> None:
    first, second = np.array_split(dataset(market()).for_target("volatility").labels("volatility"), 2)
    assert np.sqrt(np.mean(second**2) / np.mean(first**2)) == pytest.approx(4, rel=0.15)


def test_a_target_without_outcomes_needs_none_and_an_unknown_one_is_named() -> None:
    data = dataset(market(100))
    assert data.for_target("regime") is data
    assert not data.labels("anomaly").any()
    with pytest.raises(UsageError, match=r"has no outcomes of a target: expected return, direction, .*, was 'colour'"):
        data.labels("colour")


def test_outcomes_that_are_none_of_the_target_are_refused() -> None:
    data = planted(1, 100)
    for kind, labels, rule in (
        (Huber, np.where(np.arange(100) == 7, np.nan, 0.0), "finite outcomes, was '1 others of 100"),
        (MajorityDirection3, np.full(100, 3.0), "classes 0, 1, 2, was '100 others of 100"),
    ):
        with pytest.raises(InputError, match=f"was given outcomes that are none: expected {rule}"):
            fit(kind, data, seed=1, labels=labels)


def test_a_horizon_longer_than_the_data_is_said() -> None:
    with pytest.raises(NotEnoughData, match=r"no row to learn from among 30 .*horizon is 31m longer than the data"):
        dataset(market(30), minutes=60)


def test_weighted_rows_come_to_the_model() -> None:
    data = planted(1, 300)
    plain, weighted = (fit(Huber, data, seed=1, weighted=flag).dump() for flag in (False, True))
    assert plain != weighted
