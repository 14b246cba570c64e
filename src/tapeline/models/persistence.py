"""The baselines of volatility: it is as in training, or as it was lately."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np

from tapeline.models.base import Explanation, Model, State
from tapeline.models.explaining import attribute, reference
from tapeline.models.goals import floored
from tapeline.types import Float

_FLOOR = 1e-12


class _LogLine(Model):
    """``log(volatility) = base + slope * log(what was seen lately)``."""

    target = "volatility"
    baseline = True
    unit: ClassVar[str] = "log volatility"

    def __init__(self, past: int = -1, base: float = 0.0, slope: float = 0.0, usual: Float | None = None) -> None:
        self.past = past
        self.base = base
        self.slope = slope
        self.usual = np.empty(0) if usual is None else usual

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
        """Fit the line by least squares; a slope below 0 is none."""
        self.past, self.usual = past % rows.shape[-1], reference(rows)
        wanted, lately = np.log(floored(labels)), self._lately(rows)
        away = lately - lately.mean()
        power = float(away @ away)
        self.slope = max(float(away @ wanted) / power, 0.0) if power > 0 else 0.0
        self.base = float(wanted.mean()) - self.slope * float(lately.mean())
        return self

    @abstractmethod
    def _lately(self, rows: Float) -> Float:
        """Return the logarithm of what was seen lately (n)."""

    def _scores(self, rows: Float) -> Float:
        return self.base + self.slope * self._lately(rows)

    def predict(self, rows: Float) -> Float:
        """Return the volatility of each row (n)."""
        return np.array([math.exp(min(max(score, -700.0), 700.0)) for score in self._scores(rows).tolist()])

    def explain(self, row: Float) -> Explanation:
        """Return what the past return added to the logarithm."""
        return attribute(self._scores, self.usual, row, self.unit)

    def state(self) -> State:
        """Return the column and the line."""
        return {"past": self.past, "base": self.base, "slope": self.slope, "usual": self.usual.tolist()}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from its line."""
        usual = np.array(state["usual"], np.float64)
        return cls(int(state["past"]), float(state["base"]), float(state["slope"]), usual)


class Constant(_LogLine):
    """Say that the volatility is the one of training (its geometric mean)."""

    name = "constant"

    def _lately(self, rows: Float) -> Float:
        return np.zeros(len(rows))


class Persistence(_LogLine):
    """Say that a part of the volatility of the last 30 rows goes on.

    What was seen lately is the root mean square of the past returns in the window.
    """

    name = "persistence"
    window = 30

    def _lately(self, rows: Float) -> Float:
        moves = rows[:, :, self.past]
        squares = np.cumsum(moves * moves, axis=1)[:, -1] / self.window
        return np.array([math.log(math.sqrt(square) + _FLOOR) for square in squares.tolist()])
