"""Gradient boosted trees (LightGBM).

The number of trees is chosen by early stopping on the last fifth of the training rows; where no tree helps there, none
is used and the model is the baseline's constant. The model is saved as LightGBM's own text and always predicts from
that text, so that it is the same before and after saving.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tapeline.errors import InputError
from tapeline.models.base import Explanation, Range, State
from tapeline.models.goals import Goal
from tapeline.models.scored import Lesson, Scored
from tapeline.types import Float

_PATIENCE = 30
_BINNED_ROWS = 20_000


class Trees:
    """LightGBM's trees, as their text."""

    def __init__(self, text: str, size: int) -> None:
        self.text = text
        self.size = size
        self._booster = _read(text)

    def scores(self, rows: Float) -> Float:
        """Return the sum of the trees (n x width)."""
        raw: Float = self._booster.predict(rows, raw_score=True, num_threads=1)
        return raw.reshape(len(rows), -1)

    def contributions(self, row: Float) -> Float:
        """Return the SHAP values of one row, and at last their base (k + 1)."""
        parts: Float = self._booster.predict(row[None], pred_contrib=True, num_threads=1)[0]
        return parts

    def state(self) -> State:
        """Return LightGBM's text."""
        return {"trees": self.text, "size": self.size}


class _Boosting(Scored):
    """Shallow trees on all inputs as they are, at most ``rounds`` (per class where there are several)."""

    name = "lightgbm"
    alone = False
    rounds: ClassVar[int] = 200
    space: ClassVar[Mapping[str, Range]] = {
        "learning_rate": Range(0.01, 0.3, 0.05, log=True),
        "num_leaves": Range(3, 63, 15, log=True, whole=True),
        "lambda_l2": Range(0.01, 1000.0, 1.0, log=True),
        "feature_fraction": Range(0.2, 1.0, 0.8),
        "bagging_fraction": Range(0.4, 1.0, 0.8),
    }

    @classmethod
    def largest(cls, rows: int) -> int:
        """Return ``rounds``."""
        return cls.rounds

    @classmethod
    def train(cls, early: Lesson, late: Lesson | None, size: int) -> Trees:
        """Boost; with late rows, stop where 30 more trees do not help on them."""
        import lightgbm

        parameters = {**_parameters(early.goal, len(early.rows), early.seed), **cls.chosen}
        data = _data(early, parameters)
        if late is None:
            return _grown(lightgbm.train(parameters, data, size), size)
        stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
        sets = [_data(late, parameters, data)]
        found = lightgbm.train(parameters, data, size, valid_sets=sets, callbacks=[stop])
        best = float(found.best_score["valid_0"][parameters["metric"]])
        constant = late.goal.loss(np.zeros((len(late.rows), len(late.goal.base))), late.learnt, late.weights)
        return _grown(found, found.best_iteration if best < constant else 0)

    @classmethod
    def restore(cls, state: State) -> Trees:
        """Read LightGBM's text."""
        return Trees(str(state["trees"]), int(state["size"]))

    def explain(self, row: Float) -> Explanation:
        """Return the SHAP values of one row where the score is one number."""
        if not isinstance(self.engine, Trees) or self.goal is None or len(self.goal.base) > 1:
            return super().explain(row)
        parts = self.engine.contributions(row) * self.slope * self.goal.scale
        base = self.goal.base[0] * self.goal.scale + float(parts[-1])
        return Explanation(base, tuple(parts[:-1].tolist()), self.goal.unit)


class LightGBMReturn(_Boosting):
    """Regress the return with squared loss; returns are held at 6 standard deviations while learning."""

    target = "return"


class LightGBMDirection(_Boosting):
    """Classify the direction with log loss, beginning at the share of rises in training."""

    target = "direction"


class LightGBMDirection3(_Boosting):
    """Classify the direction with a dead band."""

    target = "direction3"


class LightGBMBarrier(_Boosting):
    """Classify which barrier is met first."""

    target = "barrier"


class LightGBMVolatility(_Boosting):
    """Regress the logarithm of the volatility."""

    target = "volatility"


def _parameters(goal: Goal, rows: int, seed: int) -> dict[str, Any]:
    objective, metric = {0: ("regression", "l2"), 2: ("binary", "binary_logloss")}.get(
        goal.classes, ("multiclass", "multi_logloss")
    )
    return {
        "objective": objective,
        "metric": metric,
        "num_class": goal.classes if goal.classes > 2 else 1,
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
        "num_threads": 1,
        "bin_construct_sample_cnt": _BINNED_ROWS,
        "verbosity": -1,
    }


def _data(lesson: Lesson, parameters: dict[str, Any], like: Any = None) -> Any:
    import lightgbm

    start = np.repeat(lesson.goal.base, len(lesson.rows)) if lesson.goal.classes else None
    return lightgbm.Dataset(
        lesson.rows, lesson.learnt, weight=lesson.weights, reference=like, init_score=start, params=parameters
    )


def _grown(booster: Any, size: int) -> Trees:
    return Trees(booster.model_to_string(num_iteration=max(1, size)), size)


def _read(text: str) -> Any:
    import lightgbm

    try:
        return lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise InputError("model lightgbm", "cannot be read", expected="LightGBM's text", was=text[:40]) from error
