"""Gradient boosted trees (XGBoost), where the extra ``xgboost`` is installed.

As LightGBM's: shallow trees, early stopping on the last fifth of the training rows, saved as the library's own JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tapeline.errors import InputError
from tapeline.models.base import Explanation, Range, State
from tapeline.models.extras import optional
from tapeline.models.goals import Goal
from tapeline.models.scored import Lesson, Scored
from tapeline.types import Float

_PATIENCE = 30


class Trees:
    """XGBoost's trees, as its JSON; one thread, so that one row is as fast as can be."""

    def __init__(self, text: str, size: int) -> None:
        self.text = text
        self.size = size
        self._booster = _read(text)

    def scores(self, rows: Float) -> Float:
        """Return the sum of the trees (n x width)."""
        raw = self._booster.inplace_predict(rows, predict_type="margin")
        return np.asarray(raw, np.float64).reshape(len(rows), -1)

    def contributions(self, row: Float) -> Float:
        """Return the SHAP values of one row, and at last their base (k + 1)."""
        data = _library().DMatrix(row[None])
        parts: Float = np.asarray(self._booster.predict(data, pred_contribs=True), np.float64)[0]
        return parts

    def state(self) -> State:
        """Return XGBoost's JSON."""
        return {"trees": self.text, "size": self.size}


class _XGBoost(Scored):
    """Shallow trees on all inputs as they are, at most ``rounds`` (per class where there are several)."""

    name = "xgboost"
    alone = False
    rounds: ClassVar[int] = 200
    by_default = False
    extra = "xgboost"
    space: ClassVar[Mapping[str, Range]] = {
        "eta": Range(0.01, 0.3, 0.05, log=True),
        "max_depth": Range(2, 8, 4, whole=True),
        "lambda": Range(0.01, 1000.0, 1.0, log=True),
        "subsample": Range(0.4, 1.0, 0.8),
        "colsample_bynode": Range(0.2, 1.0, 0.8),
    }

    @classmethod
    def largest(cls, rows: int) -> int:
        """Return ``rounds``."""
        return cls.rounds

    @classmethod
    def train(cls, early: Lesson, late: Lesson | None, size: int) -> Trees:
        """Boost; with late rows, stop where 30 more trees do not help on them."""
        library = _library()
        parameters = {**_parameters(early.goal, len(early.rows), early.seed), **cls.chosen}
        data = _data(early)
        if late is None:
            return _grown(library.train(parameters, data, size), size)
        watched, log = [(_data(late), "late")], {"verbose_eval": False, "early_stopping_rounds": _PATIENCE}
        found = library.train(parameters, data, size, evals=watched, **log)
        return _grown(found[: found.best_iteration + 1], found.best_iteration + 1)

    @classmethod
    def restore(cls, state: State) -> Trees:
        """Read XGBoost's JSON."""
        return Trees(str(state["trees"]), int(state["size"]))

    def explain(self, row: Float) -> Explanation:
        """Return the SHAP values of one row where the score is one number."""
        if not isinstance(self.engine, Trees) or self.goal is None or len(self.goal.base) > 1:
            return super().explain(row)
        parts = self.engine.contributions(row) * self.slope * self.goal.scale
        base = self.goal.base[0] * self.goal.scale + float(parts[-1])
        return Explanation(base, tuple(parts[:-1].tolist()), self.goal.unit)


def _library() -> Any:
    return optional("xgboost", model="xgboost", extra="xgboost")


def _parameters(goal: Goal, rows: int, seed: int) -> dict[str, Any]:
    objective = {0: "reg:squarederror", 2: "binary:logistic"}.get(goal.classes, "multi:softprob")
    classes = {"num_class": goal.classes} if goal.classes > 2 else {}
    return {
        "objective": objective,
        "eta": 0.05,
        "max_depth": 4,
        "min_child_weight": max(20, rows // 50) / (1 if goal.classes == 0 else 4),
        "lambda": 1.0,
        "subsample": 0.8,
        "colsample_bynode": 0.8,
        "base_score": 0.5 if goal.classes else 0.0,
        "seed": seed,
        "nthread": 1,
        **classes,
    }


def _data(lesson: Lesson) -> Any:
    start = np.tile(lesson.goal.base if lesson.goal.classes else (0.0,), (len(lesson.rows), 1))
    return _library().DMatrix(lesson.rows, lesson.learnt, weight=lesson.weights, base_margin=start)


def _grown(booster: Any, size: int) -> Trees:
    return Trees(booster.save_raw("json").decode(), size)


def _read(text: str) -> Any:
    library = _library()
    booster = library.Booster({"nthread": 1})
    try:
        json.loads(text)
        booster.load_model(bytearray(text.encode()))
    except (ValueError, library.core.XGBoostError) as error:
        raise InputError("model xgboost", "cannot be read", expected="XGBoost's JSON", was=text[:40]) from error
    return booster


class XGBoostReturn(_XGBoost):
    """Regress the return."""

    target = "return"


class XGBoostDirection(_XGBoost):
    """Classify the direction."""

    target = "direction"


class XGBoostDirection3(_XGBoost):
    """Classify the direction with a dead band."""

    target = "direction3"


class XGBoostBarrier(_XGBoost):
    """Classify which barrier is met first."""

    target = "barrier"


class XGBoostVolatility(_XGBoost):
    """Regress the logarithm of the volatility."""

    target = "volatility"
