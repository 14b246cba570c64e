from __future__ import annotations

import math

import numpy as np
import pytest

from tapeline.errors import UsageError
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.ordinary import Ordinary, ordinary_models
from tapeline.learning.sweep import Sweep, sweep
from tapeline.models.base import Model
from tapeline.models.naive import LastPrice, Majority
from tapeline.testing.models import planted
from tapeline.types import Float

LAZYPREDICT = {
    "return": """AdaBoostRegressor BaggingRegressor BayesianRidge DecisionTreeRegressor ElasticNet ElasticNetCV
    ExtraTreeRegressor ExtraTreesRegressor GaussianProcessRegressor GradientBoostingRegressor
    HistGradientBoostingRegressor HuberRegressor KNeighborsRegressor KernelRidge Lars LarsCV Lasso LassoCV LassoLars
    LassoLarsCV LassoLarsIC LinearRegression LinearSVR MLPRegressor NuSVR OrthogonalMatchingPursuit
    OrthogonalMatchingPursuitCV PassiveAggressiveRegressor QuantileRegressor RANSACRegressor RandomForestRegressor
    Ridge RidgeCV SGDRegressor SVR TransformedTargetRegressor""",
    "direction": """AdaBoostClassifier BaggingClassifier BernoulliNB CalibratedClassifierCV DecisionTreeClassifier
    ExtraTreeClassifier ExtraTreesClassifier GaussianNB KNeighborsClassifier LabelPropagation LabelSpreading
    LinearDiscriminantAnalysis LinearSVC LogisticRegression NearestCentroid NuSVC PassiveAggressiveClassifier Perceptron
    QuadraticDiscriminantAnalysis RandomForestClassifier RidgeClassifier RidgeClassifierCV SGDClassifier SVC""",
}
"""The scikit-learn models that LazyPredict 0.2.13 lists in its documentation."""


class Slow(LastPrice):
    """Take as long as the clock of the test says."""

    name = "slow"
    baseline = False


class Broken(LastPrice):
    """Fail."""

    name = "broken"
    baseline = False

    def predict(self, rows: Float) -> Float:
        raise ValueError("no such thing")


def swept(data: Dataset, target: str, models: list[type[Model]], budget: float = 60.0) -> Sweep:
    baseline: type[Model] = LastPrice if target == "return" else Majority
    folds = split(data, WalkForward(folds=3))
    asked = {"seed": 7, "level": 0.95, "resamples": 500}
    return sweep(data, target, [baseline], folds=folds, budget=budget, models=models, **asked)  # type: ignore[arg-type]


def some(target: str, *names: str) -> list[type[Model]]:
    return [kind for kind in ordinary_models(target) if kind.name in names]


@pytest.mark.services
@pytest.mark.parametrize("target", ["return", "direction"])
def test_what_lazypredict_tries_is_tried(target: str) -> None:
    ours = {kind.name for kind in ordinary_models(target)}
    gone = {"PassiveAggressiveRegressor", "PassiveAggressiveClassifier"}  # no longer in every scikit-learn
    assert set(LAZYPREDICT[target].split()) - gone <= ours
    assert len(ours) >= len(LAZYPREDICT[target].split()) - len(gone)
    assert ordinary_models("volatility") == []


def test_a_planted_signal_is_found_and_ranked_with_its_interval() -> None:
    found = swept(planted(1, 1200, r2=0.3), "return", some("return", "Ridge", "BayesianRidge", "DecisionTreeRegressor"))
    scores = {name: found.evaluation.score(name).difference for name in found.ended}
    assert scores["Ridge"].low > 0
    assert scores["BayesianRidge"].low > 0
    assert scores["DecisionTreeRegressor"].value < scores["Ridge"].value


def test_classifiers_without_probabilities_get_them_from_later_rows() -> None:
    found = swept(planted(1, 1200, r2=0.4), "direction", some("direction", "LinearSVC", "GaussianNB"))
    said = found.evaluation.said["LinearSVC"]
    assert len(np.unique(said)) <= 2 * 3
    assert ((said > 0) & (said < 1)).all()
    assert found.evaluation.score("LinearSVC").difference.low > 0


def test_what_fails_or_takes_too_long_is_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 10_000, 25))
    monkeypatch.setattr("tapeline.learning.sweep.time.thread_time", lambda: float(next(ticks)))
    found = swept(planted(1, 600), "return", [Slow, Broken], budget=20.0)
    assert found.failed == {
        "slow": "OutOfTime: its 20 s were over after fold 1 of 3",
        "broken": "ValueError: no such thing",
    }
    assert (found.tried, found.ended) == (2, ())
    assert math.isfinite(found.evaluation.score("last_price").value.value)


def test_two_sweeps_with_one_seed_are_equal() -> None:
    kinds = some("return", "SGDRegressor", "ExtraTreeRegressor")
    first, second = (swept(planted(2, 500, r2=0.1), "return", kinds) for _ in range(2))
    for name in first.ended:
        assert first.evaluation.said[name].tobytes() == second.evaluation.said[name].tobytes()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("target", ["return", "direction"])
def test_nothing_is_drawn_but_by_the_seed(target: str) -> None:
    """Also inside an estimator that holds another."""
    for kind in ordinary_models(target):
        assert issubclass(kind, Ordinary)
        made = kind.estimator.made(5).get_params()
        drawn = {key: value for key, value in made.items() if key.endswith("random_state")}
        assert set(drawn.values()) <= {5}, (kind.name, drawn)


def test_the_slow_ones_learn_from_the_newest_rows() -> None:
    kinds = {kind.name: kind for kind in ordinary_models("return") if issubclass(kind, Ordinary)}
    assert kinds["GaussianProcessRegressor"].most_rows < kinds["SVR"].most_rows < kinds["Ridge"].most_rows


def test_an_ordinary_model_cannot_be_saved() -> None:
    kind = some("return", "Ridge")[0]
    data = planted(1, 300)
    model = kind().fit(data.inputs, data.returns, seed=1)
    for ask in (model.dump, model.state, lambda: kind.from_state({}), lambda: model.explain(data.inputs[0])):
        with pytest.raises(UsageError, match="model Ridge: cannot be served: expected a model that can be saved"):
            ask()
