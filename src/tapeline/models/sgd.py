"""Linear models that go on learning one row at a time: normalised stochastic gradient descent.

``w += rate * weight * gradient * z / (1 + z z)`` for standardised inputs z: three passes in `fit`, then one step per
`learn_one`. The scaling is that of `fit`. The rate stays, so that the model follows a market that changes.

Source: Widrow and Hoff (1960); normalised: Haykin, Adaptive filter theory, chapter 6.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numba import njit

from tapeline.errors import InputError
from tapeline.models.base import Explanation, Online, State
from tapeline.models.goals import Goal
from tapeline.models.linear import Scaler
from tapeline.types import Float

_RATE = 0.01
_PASSES = 3


class _SGD(Online):
    """A weighted sum of standardised inputs, added in the order of the columns."""

    name = "sgd"
    by_default = False

    def __init__(self) -> None:
        self.goal: Goal | None = None
        self.scaler = Scaler(np.empty(0), np.empty(0))
        self.weights: Float = np.empty(0)

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
        """Pass over the rows three times, in order of time."""
        self.goal, self.scaler = Goal.of(self.target, labels), Scaler.of(rows)
        self.weights = np.zeros(rows.shape[1])
        scaled, counts = self.scaler.apply(rows), np.ones(len(rows)) if weights is None else weights
        for _ in range(_PASSES):
            self._pass(scaled, self.goal.learnt(labels), counts)
        return self

    def learn_one(self, row: Float, label: float) -> None:
        """Take one step."""
        self._pass(self.scaler.apply(row[None]), self._goal().learnt(np.array([label])), np.ones(1))

    def _pass(self, scaled: Float, learnt: Float, counts: Float) -> None:
        goal = self._goal()
        base = goal.base[0] if goal.classes else 0.0
        _steps(np.ascontiguousarray(scaled), learnt, counts, self.weights, base, goal.classes > 0)

    def _goal(self) -> Goal:
        if self.goal is None:
            raise InputError(f"model {self.name}", "has learnt nothing", expected="fit or load first", was="neither")
        return self.goal

    def _terms(self, rows: Float) -> Float:
        base = np.full((len(rows), 1), self._goal().base[0])
        return np.concatenate((base, self.scaler.apply(rows) * self.weights), axis=1)

    def predict(self, rows: Float) -> Float:
        """Return the expected log return, or the probability of going up (n)."""
        scores = np.cumsum(self._terms(rows), axis=1)[:, -1:]
        return self._goal().said(scores)

    def explain(self, row: Float) -> Explanation:
        """Return weight * standardised input of each column."""
        goal = self._goal()
        terms = self._terms(row[None])[0] * goal.scale
        return Explanation(float(terms[0]), tuple(terms[1:].tolist()), goal.unit)

    def state(self) -> State:
        """Return weights, scaling and goal."""
        goal = self._goal()
        link = {"goal_base": list(goal.base), "goal_scale": goal.scale}
        return {**self.scaler.state(), **link, "weights": self.weights.tolist()}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from weights, scaling and goal."""
        made = cls()
        made.goal = Goal.from_state({"target": cls.target, "base": state["goal_base"], "scale": state["goal_scale"]})
        made.scaler, made.weights = Scaler.from_state(state), np.array(state["weights"], np.float64)
        if made.weights.shape != made.scaler.mean.shape:
            raise ValueError("mean, scale and weights are not of one length")
        return made


@njit(cache=True, nogil=True)
def _steps(scaled: Any, learnt: Any, counts: Any, weights: Any, base: float, classes: bool) -> None:
    """Take one step per row; errors of numbers are held at 3."""
    for row in range(len(scaled)):
        score, power = base, 1.0
        for column in range(len(weights)):
            score += weights[column] * scaled[row, column]
            power += scaled[row, column] ** 2
        if classes:
            error = 4.0 * (learnt[row] - 1.0 / (1.0 + np.exp(-score)))
        else:
            error = min(max(learnt[row] - score, -3.0), 3.0)
        for column in range(len(weights)):
            weights[column] += _RATE * counts[row] * error * scaled[row, column] / power


class SGDReturn(_SGD):
    """Regress the return."""

    target = "return"


class SGDDirection(_SGD):
    """Classify the direction."""

    target = "direction"
