"""By what regimes and anomalies are judged, though nothing tells afterwards whether they were right."""

from __future__ import annotations

import numpy as np
import pytest

from tapeline.learning.folds import Fold
from tapeline.learning.reading import PLANTED, SPIKE, heard, judged_by, rows_asked, spiked
from tapeline.models.anomaly import RobustZScore
from tapeline.models.base import Explanation, Model, State
from tapeline.testing.models import planted
from tapeline.types import Float


class Told(Model):
    """Say of the first rows that they are low, of the rest that they are high."""

    name, target = "told", "regime"
    calm = 100

    def fit(self, rows: Float, labels: Float, **asked: object) -> Told:
        return self

    def predict(self, rows: Float) -> Float:
        high = (rows[:, 0] > 0).astype(float)
        return np.column_stack((1 - high, np.zeros(len(rows)), high))

    def explain(self, row: Float) -> Explanation:
        raise NotImplementedError

    def state(self) -> State:
        return {}

    @classmethod
    def from_state(cls, state: State) -> Told:
        return cls()


def test_a_regime_is_read_as_the_volatility_that_followed_it_in_training() -> None:
    data = planted(1, 400)
    outcomes = judged_by(data, "regime", 0)
    np.testing.assert_array_equal(outcomes, data.labels("volatility"))
    fold, model = Fold(0, slice(0, 300), slice(310, 400)), Told()
    said = model.predict(data.inputs[fold.test])
    read = heard(model, said, data, outcomes, fold, 0.01)
    for high in (False, True):
        there = (data.inputs[:300, 0] > 0) == high
        mean = float(np.exp(np.log(outcomes[:300][there]).mean()))
        assert read[(data.inputs[310:, 0] > 0) == high] == pytest.approx(mean)


def test_one_row_in_fifty_is_planted_the_same_for_every_model() -> None:
    data = planted(2, 20_000)
    flags = judged_by(data, "anomaly", 3)
    assert flags.mean() == pytest.approx(PLANTED, abs=0.004)
    np.testing.assert_array_equal(flags, judged_by(data, "anomaly", 3))
    assert (flags != judged_by(data, "anomaly", 4)).any()
    fold = Fold(0, slice(0, 9000), slice(10_000, 20_000))
    asked = rows_asked(data, RobustZScore, fold, flags, 3)
    changed = asked != data.inputs[10_000:]
    np.testing.assert_array_equal(changed.any(axis=1), flags[10_000:] > 0)
    assert (changed.sum(axis=1) <= 1).all()


def test_a_spike_is_ten_deviations_away_in_an_input_that_moves() -> None:
    before = np.column_stack((np.arange(5.0), np.full(5, 7.0)))
    rows = np.zeros((6, 3, 2))
    made = spiked(rows, np.array([True, False] * 3), before, 1)
    assert (rows == 0).all()
    assert (made[:, :2] == 0).all()
    away = np.abs(made[::2, 2, 0] - 2.0) / before[:, 0].std()
    assert away == pytest.approx(SPIKE)
    assert (made[:, :, 1] == 0).all()
    assert (made[1::2] == 0).all()


def test_where_nothing_moves_nothing_can_be_planted() -> None:
    rows = np.ones((4, 2))
    assert (spiked(rows, np.ones(4, bool), rows, 1) == rows).all()


def test_an_anomaly_is_read_as_a_flag() -> None:
    data = planted(1, 300)
    model = RobustZScore().fit(data.inputs, np.zeros(300), seed=1)
    fold = Fold(0, slice(0, 200), slice(210, 300))
    read = heard(model, np.array([0.95, 0.9501, 0.999]), data, np.zeros(300), fold, 0.05)
    assert read.tolist() == [0.0, 1.0, 1.0]
