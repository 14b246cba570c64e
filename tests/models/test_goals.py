"""Links of targets, and the calibration of what engines say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tapeline.models.goals import Goal, class_shares, floored, softmax
from tapeline.types import Float


def calibration_error(said: Float, came: Float) -> float:
    """Return the mean distance between what was said and how often it came, over ten equal groups."""
    groups = np.array_split(np.argsort(said), 10)
    return float(np.mean([abs(said[group].mean() - came[group].mean()) for group in groups]))


@pytest.mark.parametrize(("sureness", "slope"), [(4.0, 0.25), (0.8, 1.25), (1.0, 1.0)])
def test_too_sure_and_too_timid_scores_are_calibrated(sureness: float, slope: float) -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=20_000)
    came = (draw.uniform(size=20_000) < 1 / (1 + np.exp(-truth))).astype(float)
    goal, scores = Goal("direction", (0.0,)), (sureness * truth)[:, None]
    found = goal.slope(scores[:10_000], came[:10_000])
    assert found == pytest.approx(slope, rel=0.08)
    before, after = (calibration_error(goal.said(k * scores[10_000:]), came[10_000:]) for k in (1.0, found))
    assert after < 0.02
    assert after < before or sureness == 1.0


def test_scores_that_know_nothing_are_switched_off() -> None:
    draw = np.random.default_rng(1)
    scores, came = draw.normal(size=(5000, 1)), draw.integers(0, 2, 5000).astype(float)
    assert Goal("direction", (0.0,)).slope(scores, came) < 0.06
    assert Goal("direction", (0.0,)).slope(-(came - 0.5)[:, None], came) == 0.0
    assert Goal("return", (0.0,)).slope(-(came - 0.5)[:, None], came) == 0.0


def test_classes_are_calibrated_by_one_temperature() -> None:
    draw = np.random.default_rng(2)
    truth = draw.normal(size=(20_000, 3))
    chance = softmax(truth)
    came = (draw.uniform(size=(20_000, 1)) > np.cumsum(chance, axis=1)).sum(axis=1).astype(float)
    assert Goal("direction3", (0.0,) * 3).slope(3 * truth, came) == pytest.approx(1 / 3, rel=0.08)


def test_rows_that_do_not_count_do_not_calibrate() -> None:
    draw = np.random.default_rng(3)
    scores = draw.normal(size=(4000, 1))
    learnt = np.where(np.arange(4000) % 2, 0.5 * scores[:, 0], -scores[:, 0])
    weights = np.tile([0.0, 2.0], 2000)
    assert Goal("return", (0.0,)).slope(scores, learnt, weights) == pytest.approx(0.5)


@pytest.mark.parametrize("target", ["return", "volatility", "direction", "direction3", "barrier"])
def test_an_engine_that_adds_nothing_leaves_the_constant(target: str) -> None:
    draw = np.random.default_rng(4)
    outcomes = {
        "return": draw.normal(size=500),
        "volatility": np.exp(draw.normal(size=500)),
        "direction": draw.integers(0, 2, 500).astype(float),
    }.get(target, draw.integers(0, 3, 500).astype(float))
    goal = Goal.of(target, outcomes)
    said = goal.said(np.array([goal.base]))[0]
    if target == "return":
        assert said == 0.0
    elif target == "volatility":
        assert said == pytest.approx(math.exp(np.log(floored(outcomes)).mean()))
    elif target == "direction":
        assert said == pytest.approx((outcomes.sum() + 1) / 502)
    else:
        assert said == pytest.approx(class_shares(outcomes, 3))
    assert Goal.from_state({"target": target, "base": list(goal.base), "scale": goal.scale}) == goal


def test_softmax_is_the_same_row_by_row_and_never_zero() -> None:
    scores = np.array([[1.0, 2.0, 3.0], [1e6, 0.0, -1e6], [0.0, 0.0, 0.0]])
    said = softmax(scores)
    assert said.sum(axis=1) == pytest.approx(1.0)
    assert said[0] == pytest.approx(np.exp(scores[0]) / np.exp(scores[0]).sum())
    assert (said > 0).all()
    assert all(softmax(row[None]).tobytes() == kept.tobytes() for row, kept in zip(scores, said, strict=True))


def test_a_volatility_of_zero_has_a_floor() -> None:
    assert floored(np.array([0.0, 1.0, 3.0])).tolist() == [0.2, 1.0, 3.0]
    assert floored(np.zeros(2)).tolist() == [1e-9, 1e-9]
