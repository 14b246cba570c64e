"""The baselines: what any model has to beat before it may answer.

``last_price`` says that the price stays, ``majority`` that each class comes as often as in training; ``momentum`` and
``mean_reversion`` put one coefficient of fixed sign on the return over the horizon before the row. Further baselines
are in `unconditional`, `persistence` and `seasonal`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np

from tapeline.models.base import Explanation, Model, State, log_odds, probability, share_up
from tapeline.types import Float

_LIMIT = 5.0
_STEPS = 50


class LastPrice(Model):
    """Say that the price stays: a return of 0.

    >>> LastPrice().fit(np.ones((2, 1)), np.ones(2), seed=0).predict(np.ones((2, 1))).tolist()
    [0.0, 0.0]
    """

    name = "last_price"
    target = "return"
    baseline = True

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
        """Learn nothing."""
        return self

    def predict(self, rows: Float) -> Float:
        """Return 0 for each row."""
        return np.zeros(len(rows))

    def explain(self, row: Float) -> Explanation:
        """Return no contribution."""
        return Explanation(0.0, (0.0,) * len(row), "log return")

    def state(self) -> State:
        """Return nothing."""
        return {}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it anew."""
        return cls()


class Majority(Model):
    """Give the share of rises in training, (ups + 1) / (n + 2), as the probability of every row."""

    name = "majority"
    target = "direction"
    baseline = True

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

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
        """Count."""
        self.share = share_up(labels)
        return self

    def predict(self, rows: Float) -> Float:
        """Return the share for each row."""
        return np.full(len(rows), self.share)

    def explain(self, row: Float) -> Explanation:
        """Return no contribution."""
        return Explanation(log_odds(self.share), (0.0,) * len(row), "log odds of going up")

    def state(self) -> State:
        """Return the share."""
        return {"share": self.share}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from the share."""
        return cls(float(state["share"]))


class _PastReturn(Model):
    """One coefficient on the past return, held at 5 standard deviations; 0 where the fit has the other sign."""

    sign: ClassVar[float]
    baseline = True

    def __init__(self, past: int = -1, scale: float = 1.0, base: float = 0.0, slope: float = 0.0) -> None:
        self.past = past
        self.scale = scale
        self.base = base
        self.slope = slope

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
        """Fit the coefficient; a past return that never moves gets none."""
        self.past = past % rows.shape[1]
        moves = rows[:, self.past]
        self.scale = float(np.sqrt(np.mean(moves * moves))) or 1.0
        self.base, self.slope = self._coefficients(self._moves(rows), labels)
        return self

    @abstractmethod
    def _coefficients(self, moves: Float, labels: Float) -> tuple[float, float]:
        """Return the base and the coefficient of the scaled past return."""

    def _moves(self, rows: Float) -> Float:
        return np.clip(rows[:, self.past] / self.scale, -_LIMIT, _LIMIT)

    def _scores(self, rows: Float) -> Float:
        return self.base + self.slope * self._moves(rows)

    def explain(self, row: Float) -> Explanation:
        """Return what the past return added."""
        added = [0.0] * len(row)
        added[self.past] = self.slope * float(self._moves(row[None])[0])
        unit = "log return" if self.target == "return" else "log odds of going up"
        return Explanation(self.base, tuple(added), unit)

    def state(self) -> State:
        """Return the column, its scale and the two coefficients."""
        return {"past": self.past, "scale": self.scale, "base": self.base, "slope": self.slope}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from its coefficients."""
        return cls(int(state["past"]), *(float(state[key]) for key in ("scale", "base", "slope")))


class _PastReturnToReturn(_PastReturn):
    target = "return"

    def _coefficients(self, moves: Float, labels: Float) -> tuple[float, float]:
        slope = float(moves @ labels) / (float(moves @ moves) or 1.0)
        return 0.0, slope if slope * self.sign > 0 else 0.0

    def predict(self, rows: Float) -> Float:
        """Return coefficient * past return."""
        return self._scores(rows)


class _PastReturnToDirection(_PastReturn):
    target = "direction"

    def _coefficients(self, moves: Float, labels: Float) -> tuple[float, float]:
        if labels.min() == labels.max():
            return log_odds(share_up(labels)), 0.0
        base, slope = _logistic(moves, labels)
        return (base, slope) if slope * self.sign > 0 else (log_odds(share_up(labels)), 0.0)

    def predict(self, rows: Float) -> Float:
        """Return the logistic function of base + coefficient * past return."""
        return probability(self._scores(rows))


class MomentumReturn(_PastReturnToReturn):
    """Say that a part of the last move is repeated (least squares through 0, coefficient >= 0)."""

    name = "momentum"
    sign = 1.0


class MeanReversionReturn(_PastReturnToReturn):
    """Say that a part of the last move is taken back (least squares through 0, coefficient <= 0)."""

    name = "mean_reversion"
    sign = -1.0


class MomentumDirection(_PastReturnToDirection):
    """Say that a rise makes a rise more likely (logistic, coefficient >= 0)."""

    name = "momentum"
    sign = 1.0


class MeanReversionDirection(_PastReturnToDirection):
    """Say that a rise makes a rise less likely (logistic, coefficient <= 0)."""

    name = "mean_reversion"
    sign = -1.0


def _logistic(moves: Float, labels: Float) -> tuple[float, float]:
    """Fit base and slope by Newton's method, with a ridge of 1 row on the slope so that separable rows end, too."""
    base, slope = log_odds(share_up(labels)), 0.0
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-(base + slope * moves)))
        weight = chance * (1 - chance) + 1e-12
        gradient = np.array([(labels - chance).sum(), ((labels - chance) * moves).sum() - slope])
        cross = float((weight * moves).sum())
        hessian = np.array([[weight.sum(), cross], [cross, float((weight * moves * moves).sum()) + 1.0]])
        step = np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
        base, slope = float(np.clip(base + step[0], -20, 20)), slope + float(step[1])
        if math.hypot(*step) < 1e-10:
            break
    return base, slope
