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
_DECAY = 0.94


def seen_lately(moves: Float, counts: Float) -> Float:
    """Return the logarithm of how far the price moved lately (n): of the root of the weighted mean of squared returns.

    Args:
        moves: past returns, the newest last (n x w).
        counts: how much each place in the window counts (w).
    """
    squares = np.cumsum(moves * moves * counts, axis=1)[:, -1] / math.fsum(counts.tolist())
    return np.array([math.log(math.sqrt(square) + _FLOOR) for square in squares.tolist()])


class _LogLine(Model):
    """``log(volatility) = base + slopes . log(what was seen lately)``."""

    target = "volatility"
    baseline = True
    unit: ClassVar[str] = "log volatility"

    def __init__(
        self, past: int = -1, base: float = 0.0, slopes: Float | None = None, usual: Float | None = None
    ) -> None:
        self.past = past
        self.base = base
        self.slopes = np.empty(0) if slopes is None else slopes
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
        """Fit the line by least squares; one that falls on the whole is flat."""
        self.past, self.usual = past % rows.shape[-1], reference(rows)
        wanted, lately = np.log(floored(labels)), self._lately(rows)
        middle = lately.mean(axis=0)
        slopes = np.linalg.lstsq(lately - middle, wanted - wanted.mean(), rcond=1e-9)[0]
        self.slopes = slopes if slopes.sum() > 0 else np.zeros(len(slopes))
        self.base = float(wanted.mean()) - float(self.slopes @ middle)
        return self

    @abstractmethod
    def _lately(self, rows: Float) -> Float:
        """Return the logarithms of what was seen lately (n x m)."""

    def _scores(self, rows: Float) -> Float:
        return np.cumsum(np.column_stack((np.full(len(rows), self.base), self._lately(rows) * self.slopes)), 1)[:, -1]

    def predict(self, rows: Float) -> Float:
        """Return the volatility of each row (n)."""
        return np.array([math.exp(min(max(score, -700.0), 700.0)) for score in self._scores(rows).tolist()])

    def explain(self, row: Float) -> Explanation:
        """Return what the past return added to the logarithm."""
        return attribute(self._scores, self.usual, row, self.unit)

    def state(self) -> State:
        """Return the column and the line."""
        line = {"past": self.past, "base": self.base, "slopes": self.slopes.tolist()}
        return line | {"usual": self.usual.tolist()}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from its line."""
        slopes, usual = (np.array(state[name], np.float64) for name in ("slopes", "usual"))
        return cls(int(state["past"]), float(state["base"]), slopes, usual)


class Constant(_LogLine):
    """Say that the volatility is the one of training (its geometric mean)."""

    name = "constant"

    def _lately(self, rows: Float) -> Float:
        return np.zeros((len(rows), 0))


class Persistence(_LogLine):
    """Say that a part of the volatility of the last 30 rows goes on.

    What was seen lately is the root mean square of the past returns in the window.
    """

    name = "persistence"
    window = 30

    def _lately(self, rows: Float) -> Float:
        return seen_lately(rows[:, :, self.past], np.ones(self.window))[:, None]


class LastVolatility(Persistence):
    """Say that the volatility of the last 30 rows goes on as it was: nothing is fitted."""

    name = "last_volatility"

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
        """Note which column is the past return."""
        self.past, self.base, self.slopes = past % rows.shape[-1], 0.0, np.ones(1)
        self.usual = reference(rows)
        return self


class Ewma(_LogLine):
    """Say that a part of the exponentially weighted volatility (decay 0.94 a row) goes on.

    Source: J. P. Morgan and Reuters (1996), RiskMetrics technical document, section 5.2.
    """

    name = "ewma"
    window = 60

    def _lately(self, rows: Float) -> Float:
        counts = np.array([_DECAY**age for age in range(self.window - 1, -1, -1)])
        return seen_lately(rows[:, :, self.past], counts)[:, None]


class Har(_LogLine):
    """Say that parts of the volatility of the last 5, 20 and 60 rows go on: those who look near, and far.

    Source: Corsi (2009), A simple approximate long-memory model of realized volatility.
    """

    name = "har"
    window = 60
    spans: ClassVar[tuple[int, ...]] = (5, 20, 60)

    def _lately(self, rows: Float) -> Float:
        moves = rows[:, :, self.past]
        return np.column_stack([seen_lately(moves[:, -span:], np.ones(span)) for span in self.spans])
