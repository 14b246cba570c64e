"""Ordinary scikit-learn estimators as models: to be compared with, not to be served.

They have no form in which Tapeline saves a model, so the gate never promotes one. What LazyPredict tries is the
yardstick; estimators that need several outcomes, other estimators or inputs that cannot be negative are left out.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Self, cast

import numpy as np

from tapeline.errors import UsageError
from tapeline.models.base import Explanation, Model, State, inner_split
from tapeline.types import Float

_LEFT_OUT = {
    *("CCA", "IsotonicRegression", "PLSCanonical", "RadiusNeighborsRegressor", "GammaRegressor", "PoissonRegressor"),
    *("TweedieRegressor", "DummyRegressor", "DummyClassifier", "RadiusNeighborsClassifier", "CategoricalNB"),
    *("ComplementNB", "MultinomialNB", "ClassifierChain", "RegressorChain", "FrozenEstimator"),
}
_MOST_ROWS = {
    500: "GaussianProcess",
    1_000: "RandomForest",
    2_000: "KernelRidge SVR NuSVR SVC NuSVC Quantile Label TheilSen LogisticRegressionC",
    3_000: "ExtraTrees Bagging GradientBoosting",
    5_000: "KNeighbors MLP SelfTraining AdaBoost",
    10_000: "ARD LassoC ElasticNetC DecisionTree Calibrated LinearSV",
    20_000: "HistGradientBoosting",
}
_PASSES = 200
_CERTAIN = 1e-3
_SIZE = 6.0


@dataclass(frozen=True, slots=True)
class Estimator:
    """One of scikit-learn's."""

    name: str
    kind: Any

    def made(self, seed: int) -> Any:
        """Return it behind a scaler."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), _instance(self.kind, seed))


class Ordinary(Model):
    """One estimator behind a scaler; made by `ordinary_models`.

    Attributes:
        estimator: makes it, from a seed.
        most_rows: it learns from the newest so many rows: some take the square of them, or their cube.
    """

    estimator: ClassVar[Estimator]
    most_rows: ClassVar[int]
    by_default = False

    def __init__(self) -> None:
        self.fitted: Any = None
        self.scale = 1.0
        self.shares: dict[float, Float] = {}

    def fit(
        self,
        rows: Float,
        labels: Float,
        *,
        seed: int,
        overlap: int = 1,
        past: int = -1,
        weights: Float | None = None,
    ) -> Self:
        """Fit it; its warnings are its own business."""
        rows, labels = rows[-self.most_rows :], labels[-self.most_rows :]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.target == "return":
                self.scale = float(labels.std()) or 1.0
                self.fitted = self.estimator.made(seed).fit(rows, np.clip(labels / self.scale, -_SIZE, _SIZE))
                return self
            self.fitted = self.estimator.made(seed)
            if not hasattr(self.fitted, "predict_proba"):
                early, late = inner_split(len(rows), overlap)
                told = self.estimator.made(seed).fit(rows[early], labels[early]).predict(rows[late])
                self.shares = {side: _share_up(labels[late][told == side]) for side in (0.0, 1.0)}
            self.fitted.fit(rows, labels)
        return self

    def predict(self, rows: Float) -> Float:
        """Return its numbers; of a classifier without probabilities how often each of its answers came true."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.target == "return":
                return self.scale * np.asarray(self.fitted.predict(rows), np.float64).reshape(len(rows))
            if self.shares:
                told = self.fitted.predict(rows)
                return np.where(told > 0, self.shares[1.0], self.shares[0.0])
            up: Float = self.fitted.predict_proba(rows)[:, -1]
        return np.clip(up, _CERTAIN, 1 - _CERTAIN)

    def explain(self, row: Float) -> Explanation:
        """Refuse."""
        self._refuse()

    def state(self) -> State:
        """Refuse."""
        self._refuse()

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Refuse."""
        raise UsageError(f"model {cls.name}", "cannot be served", expected="a model that can be saved", was=cls.name)

    def _refuse(self) -> NoReturn:
        raise UsageError(f"model {self.name}", "cannot be served", expected="a model that can be saved", was=self.name)


def ordinary_models(target: str) -> list[type[Model]]:
    """Return scikit-learn's regressors for ``return``, its classifiers for ``direction``, none for others."""
    from sklearn.utils import all_estimators

    wanted = {"return": "regressor", "direction": "classifier"}.get(target)
    if wanted is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = all_estimators(type_filter=wanted)
    return [_model(name, kind, target) for name, kind in found if _usable(name, kind)]


def _usable(name: str, kind: Any) -> bool:
    several = name.startswith(("Multi", "OneVs", "Output", "Voting", "Stacking", "FixedThreshold", "TunedThreshold"))
    return name not in _LEFT_OUT and not several and not getattr(kind, "__abstractmethods__", None)


def _model(name: str, kind: Any, target: str) -> type[Model]:
    most = next((rows for rows, names in _MOST_ROWS.items() if name.startswith(tuple(names.split()))), 1_000_000)
    own = {
        "name": name,
        "target": target,
        "most_rows": most,
        "estimator": Estimator(name, kind),
    }
    return cast("type[Model]", type(name, (Ordinary,), own))


def _instance(kind: Any, seed: int) -> Any:
    """Make an estimator with its defaults, but one that repeats itself and goes on for a bounded time."""
    from sklearn.semi_supervised import SelfTrainingClassifier
    from sklearn.tree import DecisionTreeClassifier

    made = kind(DecisionTreeClassifier(max_depth=3)) if kind is SelfTrainingClassifier else kind()
    known = made.get_params()
    asked: dict[str, Any] = {key: seed for key in known if key.endswith("random_state")}
    asked |= {key: 1 for key in known if key.endswith("n_jobs")}
    if isinstance(known.get("max_iter"), int) and known["max_iter"] > _PASSES:
        asked["max_iter"] = _PASSES
    return made.set_params(**asked)


def _share_up(labels: Float) -> Float:
    return np.array((float(labels.sum()) + 1) / (len(labels) + 2)) if len(labels) else np.array(0.5)
