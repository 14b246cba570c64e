"""Gradient boosted trees (LightGBM) for the return and for the direction.

The number of trees is chosen by early stopping on the last fifth of the training rows, then the model is fitted on all
of them; where no tree helps there, none is used and the model is the baseline's constant. The model is saved as
LightGBM's own text and always predicts from that text, so that it is the same before and after saving.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from tapeline.errors import InputError
from tapeline.models.base import Explanation, Model, State, inner_split, log_odds, probability, share_up
from tapeline.types import Float

_PATIENCE = 30
_MANY_ROWS = 20_000
_LIMIT = 6.0


class _Boosting(Model):
    """Shallow trees on all inputs as they are: base + scale * sum of the trees."""

    rounds: ClassVar[int] = 200
    objective: ClassVar[str]
    metric: ClassVar[str]
    unit: ClassVar[str]

    def __init__(self, base: float = 0.0, scale: float = 1.0, text: str = "") -> None:
        self.base = base
        self.scale = scale
        self.text = text
        self._booster = _read(self.name, text) if text else None

    def fit(self, rows: Float, labels: Float, *, seed: int, overlap: int = 1, past: int = -1) -> Self:
        """Choose the number of trees by time inside the rows, then fit on all of them."""
        import lightgbm

        self.base, self.scale, goal = self._goal(labels)
        learn, choose = inner_split(len(rows), overlap)
        self.text, self._booster = "", None
        if goal[learn].min() == goal[learn].max():
            return self
        parameters = self._parameters(len(rows), seed)
        early = self._data(rows[learn], goal[learn], parameters)
        late = self._data(rows[choose], goal[choose], parameters, early)
        stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
        found = lightgbm.train(parameters, early, self.rounds, valid_sets=[late], callbacks=[stop])
        best = float(found.best_score["valid_0"][self.metric])
        if found.best_iteration and best < self._constant_loss(goal[choose]):
            whole = lightgbm.train(parameters, self._data(rows, goal, parameters), found.best_iteration)
            self.text = whole.model_to_string()
            self._booster = _read(self.name, self.text)
        return self

    @abstractmethod
    def _goal(self, labels: Float) -> tuple[float, float, Float]:
        """Return base, scale and what the trees learn."""

    @abstractmethod
    def _constant_loss(self, goal: Float) -> float:
        """Return the loss of using no tree."""

    def _parameters(self, rows: int, seed: int) -> dict[str, Any]:
        return {
            "objective": self.objective,
            "metric": self.metric,
            "learning_rate": 0.05,
            "num_leaves": 15,
            "min_data_in_leaf": max(20, rows // 50),
            "lambda_l2": 1.0,
            "feature_fraction": 0.8,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "boost_from_average": False,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1 if rows < _MANY_ROWS else 2,
            "verbosity": -1,
        }

    def _data(self, rows: Float, goal: Float, parameters: dict[str, Any], like: Any = None) -> Any:
        import lightgbm

        start = np.full(len(rows), self.base) if self.objective == "binary" else None
        return lightgbm.Dataset(rows, goal, reference=like, init_score=start, params=parameters)

    def scores(self, rows: Float) -> Float:
        """Return base + scale * sum of the trees (n)."""
        if self._booster is None:
            return np.full(len(rows), self.base)
        raw: Float = self._booster.predict(rows, raw_score=True, num_threads=1)
        return self.base + self.scale * raw

    def explain(self, row: Float) -> Explanation:
        """Return the SHAP values of one row."""
        if self._booster is None:
            return Explanation(self.base, (0.0,) * len(row), self.unit)
        parts = self._booster.predict(row[None], pred_contrib=True, num_threads=1)[0] * self.scale
        return Explanation(self.base + float(parts[-1]), tuple(parts[:-1].tolist()), self.unit)

    def state(self) -> State:
        """Return base, scale and LightGBM's text."""
        return {"base": self.base, "scale": self.scale, "trees": self.text}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from LightGBM's text."""
        return cls(float(state["base"]), float(state["scale"]), str(state["trees"]))


class LightGBMReturn(_Boosting):
    """Regress the return with squared loss; returns are held at 6 standard deviations while learning."""

    name = "lightgbm"
    target = "return"
    objective = "regression"
    metric = "l2"
    unit = "log return"

    def predict(self, rows: Float) -> Float:
        """Return the expected log return of each row (n)."""
        return self.scores(rows)

    def _goal(self, labels: Float) -> tuple[float, float, Float]:
        scale = float(labels.std()) or 1.0
        return 0.0, scale, np.clip(labels / scale, -_LIMIT, _LIMIT)

    def _constant_loss(self, goal: Float) -> float:
        return float(np.mean(goal**2))


class LightGBMDirection(_Boosting):
    """Classify the direction with log loss, beginning at the share of rises in training."""

    name = "lightgbm"
    target = "direction"
    objective = "binary"
    metric = "binary_logloss"
    unit = "log odds of going up"

    def predict(self, rows: Float) -> Float:
        """Return the probability of going up for each row (n)."""
        return probability(self.scores(rows))

    def _goal(self, labels: Float) -> tuple[float, float, Float]:
        return log_odds(share_up(labels)), 1.0, labels

    def _constant_loss(self, goal: Float) -> float:
        return float(np.mean(np.logaddexp(0, self.base) - goal * self.base))


def _read(name: str, text: str) -> Any:
    import lightgbm

    try:
        return lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise InputError(f"model {name}", "cannot be read", expected="LightGBM's text", was=text[:40]) from error
