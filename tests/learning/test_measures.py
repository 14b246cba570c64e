from __future__ import annotations

import math

import numpy as np
import pytest

from tapeline.evaluate import evaluate
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.measures import MEASURES
from tapeline.learning.metrics import METRICS
from tapeline.models.base import Model
from tapeline.models.linear import Huber, Logistic
from tapeline.models.naive import LastPrice, Majority
from tapeline.testing.models import planted
from tapeline.types import Float

UP = np.array([0.0, 1, 1, 0, 1, 1, 0, 1])
SAID = np.array([0.2, 0.7, 0.4, 0.6, 0.9, 0.55, 0.3, 0.45])
CAME = np.array([0.3, -0.2, 0.5, 0.1, -0.4, 0.2])
TOLD = np.array([0.1, -0.1, 0.2, 0.3, -0.5, 0.4])


def measured(target: str, name: str, labels: Float, said: Float) -> float:
    measure = next(measure for measure in MEASURES[target] if measure.name == name)
    return float(measure.value(measure.columns(labels, said).mean(axis=0)[None])[0])


def metric(target: str, name: str, labels: Float, said: Float) -> float:
    return float(next(one for one in METRICS[target] if one.name == name).rows(labels, said).mean())


def test_values_are_those_of_scikit_learn_and_scipy() -> None:
    """Golden: balanced_accuracy_score, brier_score_loss and spearmanr on the arrays above."""
    assert measured("direction", "balanced_accuracy", UP, SAID) == pytest.approx(0.6333333333333333)
    assert metric("direction", "brier", UP, SAID) == pytest.approx(0.181875)
    assert measured("return", "information_coefficient", CAME, TOLD) == pytest.approx(0.5428571428571429)


def test_values_by_hand() -> None:
    squares = (CAME - TOLD) ** 2
    assert measured("return", "rmse", CAME, TOLD) == pytest.approx(math.sqrt(squares.mean()))
    assert measured("return", "r2_last_price", CAME, TOLD) == pytest.approx(1 - squares.sum() / (CAME**2).sum())
    assert measured("return", "directional_accuracy", CAME, TOLD) == 1.0
    assert measured("return", "r2_last_price", CAME, 0 * TOLD) == 0.0


def test_what_says_nothing_has_no_direction_and_no_rank() -> None:
    assert math.isnan(measured("return", "directional_accuracy", CAME, 0 * TOLD))
    assert math.isnan(measured("return", "information_coefficient", CAME, 0 * TOLD))


def test_two_classes_and_three_have_the_same_numbers() -> None:
    both = np.column_stack((1 - SAID, np.zeros(8), SAID))
    assert metric("direction3", "log_loss", 2 * UP, both) == pytest.approx(metric("direction", "log_loss", UP, SAID))
    assert metric("direction3", "brier", 2 * UP, both) == pytest.approx(2 * metric("direction", "brier", UP, SAID))
    assert measured("direction3", "balanced_accuracy", 2 * UP, both) == pytest.approx(0.6333333333333333)


def test_a_calibrated_forecast_is_off_by_little_and_a_bold_one_by_much() -> None:
    draw = np.random.default_rng(3)
    chance = draw.uniform(0.2, 0.8, 20_000)
    came = (draw.random(20_000) < chance).astype(float)
    assert measured("direction", "calibration_error", came, chance) < 0.02
    assert measured("direction", "calibration_error", came, np.where(chance > 0.5, 0.95, 0.05)) > 0.2


@pytest.mark.parametrize(("target", "kinds"), [("return", [LastPrice, Huber]), ("direction", [Majority, Logistic])])
def test_every_measure_has_an_interval_and_a_paired_difference(target: str, kinds: list[type[Model]]) -> None:
    data = planted(1, 1500, r2=0.2)
    folds = split(data, WalkForward(folds=3))
    found = evaluate(data, target, kinds, folds=folds, seed=1, level=0.95, tried=1)
    ours = {score.metric: score for score in found.scores if score.model == kinds[1].name}
    assert set(ours) == {*(one.name for one in METRICS[target]), *(one.name for one in MEASURES[target])}
    for name, score in ours.items():
        assert score.value.low < score.value.value < score.value.high, name
    skill = ours["r2_last_price" if target == "return" else "balanced_accuracy"]
    assert skill.difference.low > 0
    assert skill.difference.low < skill.difference.value < skill.difference.high


def test_the_interval_of_r2_holds_the_planted_share() -> None:
    held = 0
    for seed in range(10):
        data = planted(seed, 3000, r2=0.1)
        folds = split(data, WalkForward(folds=3))
        found = evaluate(data, "return", [LastPrice, Huber], folds=folds, seed=1, level=0.95, tried=1)
        r2 = next(one for one in found.scores if (one.model, one.metric) == ("huber", "r2_last_price")).value
        held += r2.low <= 0.1 <= r2.high
    assert held >= 8
