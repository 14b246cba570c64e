from __future__ import annotations

import numpy as np
import pytest

from tapeline.errors import BrokenInvariant
from tapeline.evaluate import Evaluation, evaluate
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.metrics import METRICS
from tapeline.learning.walking import Walker
from tapeline.models.base import Model
from tapeline.models.linear import Huber, Logistic
from tapeline.models.naive import LastPrice, Majority, MeanReversionReturn, MomentumReturn
from tapeline.testing.models import planted
from tapeline.types import Float

RETURN: list[type[Model]] = [LastPrice, MomentumReturn, MeanReversionReturn, Huber]


class Spy(LastPrice):
    """Remember what it was shown."""

    name = "spy"
    baseline = False
    seen: list[tuple[Float, Float]]

    def fit(
        self,
        rows: Float,
        labels: Float,
        *,
        seed: int,
        overlap: int = 1,
        past: int = -1,
        weights: Float | None = None,
    ) -> Spy:
        self.seen.append((rows, labels))
        return self


class Silent(LastPrice):
    """Say what is no number."""

    name = "silent"
    baseline = False

    def predict(self, rows: Float) -> Float:
        said = super().predict(rows)
        said[0] = np.nan
        return said


class Certain(Majority):
    """Say that it is certain."""

    name = "certain"
    baseline = False

    def predict(self, rows: Float) -> Float:
        return np.ones(len(rows))


def run(data: Dataset, target: str = "return", models: list[type[Model]] | None = None, tried: int = 1) -> Evaluation:
    kinds = models or (RETURN if target == "return" else [Majority, Logistic])
    folds = split(data, WalkForward(folds=3))
    return evaluate(data, target, kinds, folds=folds, seed=1, level=0.95, tried=tried)


def test_each_fold_learns_from_its_training_part_and_nothing_else() -> None:
    data = planted(1, 600)
    folds = split(data, WalkForward(folds=3))
    Spy.seen = []
    for number in range(3):
        Walker(data, data.returns, folds, 1).ask(Spy, number)
    assert len(Spy.seen) == 3
    for fold, (rows, labels) in zip(folds, Spy.seen, strict=True):
        assert rows.tobytes() == data.inputs[fold.train].tobytes()
        assert labels.tobytes() == data.returns[fold.train].tobytes()


@pytest.mark.parametrize("kind", [Huber, MomentumReturn])
def test_what_comes_after_a_fold_changes_nothing_it_said(kind: type[Model]) -> None:
    data = planted(2, 700, r2=0.2)
    folds = split(data, WalkForward(folds=3))
    walker = Walker(data, data.returns, folds, 1)
    said = [walker.ask(kind, number).read for number in range(3)]
    data.inputs[folds[1].test.start :] *= 3
    data.returns[folds[1].test.start :] *= -7
    again = [walker.ask(kind, number).read for number in range(3)]
    assert again[0].tobytes() == said[0].tobytes()
    assert again[2].tobytes() != said[2].tobytes()


def test_values_are_the_means_of_the_metrics() -> None:
    data = planted(3, 600)
    found = run(data)
    labels = data.returns[found.rows]
    values = {(score.model, score.metric): score.value.value for score in found.scores}
    assert values["last_price", "mse"] == pytest.approx(np.mean(labels**2))
    assert values["huber", "mae"] == pytest.approx(np.mean(np.abs(labels - found.said["huber"])))


def test_differences_are_paired_and_positive_where_better() -> None:
    found = run(planted(4, 900, r2=0.2))
    score = found.score("huber")
    base = found.score(found.best_baseline)
    assert score.difference.value == pytest.approx(base.value.value - score.value.value)
    assert 0 < score.difference.low < score.difference.value < score.difference.high
    assert base.difference.value == base.difference.low == base.difference.high == 0
    width = score.value.high - score.value.low
    assert score.difference.high - score.difference.low < width


def test_accuracy_is_better_when_more() -> None:
    found = run(planted(5, 900, r2=0.3), "direction")
    scores = {(score.model, score.metric): score for score in found.scores}
    assert scores["logistic", "accuracy"].value.value > scores["majority", "accuracy"].value.value
    assert scores["logistic", "accuracy"].difference.value > 0


def test_more_candidates_widen_the_differences_only() -> None:
    data = planted(6, 600)
    one, many = run(data, tried=1).score("huber"), run(data, tried=10).score("huber")
    assert many.difference.low < one.difference.low
    assert many.difference.high > one.difference.high
    assert many.value == one.value


def test_the_best_baseline_is_chosen_by_its_value() -> None:
    data = planted(7, 900)
    data.returns[:] = -data.inputs[:, data.past] * 0.5 + data.returns
    found = run(data)
    assert found.best_baseline == "mean_reversion"
    assert {score.baseline for score in found.scores} == {"mean_reversion"}


def test_of_equal_baselines_the_simplest_is_named() -> None:
    data = planted(8, 600)
    data.inputs[:, data.past] = 0.0
    assert run(data).best_baseline == "last_price"


@pytest.mark.parametrize(("kind", "rule"), [(Silent, "one finite number a row"), (Certain, r"inside \(0, 1\) a row")])
def test_what_is_no_forecast_stops_at_once(kind: type[Model], rule: str) -> None:
    naive: type[Model] = LastPrice if kind.target == "return" else Majority
    with pytest.raises(BrokenInvariant, match=rf"model {kind.name} \({kind.target}\) fold 0: is no forecast: .*{rule}"):
        run(planted(9, 600), kind.target, [naive, kind])


class Rounded(LastPrice):
    """Say the baseline's 0, but for the last bits."""

    name = "rounded"
    baseline = False

    def predict(self, rows: Float) -> Float:
        return np.where(rows[:, 0] > 0, 1e-17, -1e-17)


def test_a_difference_in_the_last_bits_is_none() -> None:
    data = planted(1, 600)
    data.inputs[:, 0] = data.returns  # the sign of the outcome: rounding always to the right side
    score = run(data, "return", [LastPrice, Rounded]).score("rounded")
    assert score.difference.value == score.difference.low == score.difference.high == 0


def test_the_direction_metrics_by_hand() -> None:
    labels, said = np.array([1.0, 0.0]), np.array([0.8, 0.6])
    log_loss, accuracy, _ = METRICS["direction"]
    assert log_loss.rows(labels, said).tolist() == pytest.approx([-np.log(0.8), -np.log(0.4)])
    assert accuracy.rows(labels, said).tolist() == [1.0, 0.0]


def test_rows_without_an_outcome_are_a_bug() -> None:
    data = planted(1, 600)
    data.returns[300] = 0.0
    with pytest.raises(BrokenInvariant, match="evaluation of direction: a row has no outcome"):
        run(data, "direction")
    assert len(data.for_target("direction")) == 599
    assert data.for_target("return") is data
    run(data.for_target("direction"), "direction")
