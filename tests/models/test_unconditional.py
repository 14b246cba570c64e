from __future__ import annotations

import numpy as np
import pytest

from tapeline.errors import InputError
from tapeline.models.persistence import Constant, Persistence
from tapeline.models.seasonal import SeasonalDirection, SeasonalReturn
from tapeline.models.unconditional import Drift, MajorityBarrier, MajorityDirection3


def test_the_drift_is_the_weighted_mean() -> None:
    model = Drift().fit(np.zeros((3, 1)), np.array([1.0, 2.0, 6.0]), seed=0, weights=np.array([1.5, 1.5, 0.0]))
    assert model.predict(np.zeros((2, 1))).tolist() == [1.5, 1.5]


def test_shares_of_classes_are_laplaces() -> None:
    model = MajorityDirection3().fit(np.zeros((4, 1)), np.array([0.0, 0.0, 2.0, 0.0]), seed=0)
    assert model.predict(np.zeros((1, 1))).tolist() == [[4 / 7, 1 / 7, 2 / 7]]


def test_shares_of_other_classes_are_refused() -> None:
    raw = b'{"model": "majority", "target": "barrier", "state": {"shares": [0.5, 0.5]}}'
    with pytest.raises(InputError, match=r"model majority \(barrier\)"):
        MajorityBarrier.load(raw)


def test_the_hour_of_the_day_is_found_and_drawn_to_the_mean() -> None:
    draw = np.random.default_rng(0)
    time_of_day = (np.arange(48_000) % 1440) / 1440
    hour = (time_of_day * 24).astype(int)
    returns = np.where(hour == 14, 1e-3, 0.0) + 1e-3 * draw.normal(size=48_000)
    rows = np.column_stack((draw.normal(size=48_000), time_of_day))
    model = SeasonalReturn().fit(rows, returns, seed=0)
    said = model.predict(np.array([[0.0, 14.5 / 24], [0.0, 3.5 / 24]]))
    assert said[0] == pytest.approx(1e-3 * 2000 / 2100, rel=0.1)
    assert abs(said[1]) < 2e-4
    up = SeasonalDirection().fit(rows, (returns > 0).astype(float), seed=0).predict(rows[:1440])
    assert (up.reshape(24, 60)[14] > 0.8).all()


def test_volatility_persists_as_far_as_it_did_in_training() -> None:
    draw = np.random.default_rng(1)
    level = np.exp(np.repeat(draw.normal(size=100), 60))
    moves = 1e-4 * level * draw.normal(size=6000)
    rows = np.lib.stride_tricks.sliding_window_view(moves, 30)[:, :, None]
    wanted = 1e-4 * level[29:]
    model = Persistence().fit(rows, wanted, seed=0, past=0)
    assert 0.7 < model.slopes[0] < 1.1
    said = model.predict(rows)
    constant = Constant().fit(rows, wanted, seed=0, past=0).predict(rows)
    assert np.mean(np.log(said / wanted) ** 2) < 0.5 * np.mean(np.log(constant / wanted) ** 2)
    assert constant == pytest.approx(np.exp(np.log(wanted).mean()))
