"""Ridge regression for numbers, multinomial logistic regression for classes.

Inputs are standardised as in `tapeline.models.linear`; the slope of `Scored` decides how far the weights are trusted.
"""

from __future__ import annotations

import numpy as np

from tapeline.models.base import State
from tapeline.models.linear import Scaler
from tapeline.models.scored import Lesson, Scored
from tapeline.types import Float

_RIDGE = 0.1
_PASSES = 200


class Weights:
    """Standardised inputs times weights (k x width), added in the order of the columns."""

    size = 1

    def __init__(self, scaler: Scaler, weights: Float) -> None:
        self.scaler = scaler
        self.weights = weights

    def scores(self, rows: Float) -> Float:
        """Return the weighted sums (n x width)."""
        scaled = self.scaler.apply(rows)
        total: Float = np.cumsum(scaled[:, :, None] * self.weights, axis=1)[:, -1]
        return total

    def state(self) -> State:
        """Return weights and scaling; the scale of a constant input is null."""
        return {**self.scaler.state(), "weights": self.weights.tolist()}


class _Ridge(Scored):
    """One linear score per number said, with a penalty of 0.1 per row on the weights."""

    @classmethod
    def largest(cls, rows: int) -> int:
        """Return 1: there is nothing to choose."""
        return 1

    @classmethod
    def train(cls, early: Lesson, late: Lesson | None, size: int) -> Weights:
        """Solve for the weights."""
        scaler = Scaler.of(early.rows)
        scaled = scaler.apply(early.rows)
        solve = _logistic if early.goal.classes else _squares
        return Weights(scaler, solve(scaled, early))

    @classmethod
    def restore(cls, state: State) -> Weights:
        """Read weights and scaling."""
        weights = np.array(state["weights"], np.float64)
        scaler = Scaler.from_state(state)
        if weights.ndim != 2 or scaler.mean.shape != (len(weights),):
            raise ValueError("mean, scale and weights are not of one length")
        return Weights(scaler, weights)


def _squares(scaled: Float, lesson: Lesson) -> Float:
    count = np.ones(len(scaled)) if lesson.weights is None else lesson.weights
    weighted = scaled * count[:, None]
    penalty = _RIDGE * len(scaled) * np.eye(scaled.shape[1])
    wanted = lesson.learnt - np.average(lesson.learnt, weights=count)
    return np.asarray(np.linalg.solve(scaled.T @ weighted + penalty, weighted.T @ wanted), np.float64)[:, None]


def _logistic(scaled: Float, lesson: Lesson) -> Float:
    from sklearn.linear_model import LogisticRegression

    strength = 1 / (_RIDGE / 4 * len(scaled))
    model = LogisticRegression(C=strength, max_iter=_PASSES, tol=1e-6)
    model.fit(scaled, lesson.learnt, sample_weight=lesson.weights)
    coefficients = np.zeros((scaled.shape[1], len(lesson.goal.base)))
    if len(model.classes_) == 2:
        coefficients[:, int(model.classes_[1])] = model.coef_[0]
    else:
        coefficients[:, model.classes_.astype(np.int64)] = model.coef_.T
    return coefficients


class RidgeReturn(_Ridge):
    """Regress the return, held at 6 standard deviations, by least squares."""

    name = "ridge"
    target = "return"
    by_default = False


class RidgeVolatility(_Ridge):
    """Regress the logarithm of the volatility by least squares."""

    name = "ridge"
    target = "volatility"


class LogisticDirection3(_Ridge):
    """Classify the direction with a dead band."""

    name = "logistic"
    target = "direction3"


class LogisticBarrier(_Ridge):
    """Classify which barrier is met first."""

    name = "logistic"
    target = "barrier"
