"""Intervals of predictions from residuals out of sample: fixed (split conformal), or adaptive."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from tapeline.errors import UsageError
from tapeline.learning.folds import Fold
from tapeline.types import Bool, Float

_LEAST_RESIDUALS = 20
_MEMORY = 1000
_RATE = 0.01


def conformal_bounds(residuals: Float, coverage: float) -> tuple[float, float]:
    """Return what to add to a prediction for the ends of an interval that covers ``coverage`` of the outcomes.

    The order statistics floor(t (n + 1)) and ceil((1 - t) (n + 1)) of the n residuals out of sample, t = (1 - coverage)
    / 2. NaN where n is too small for the tail (fewer than 1 / t - 1), and below 20.

    Source: Vovk, Gammerman and Shafer (2005), Algorithmic learning in a random world.

    >>> conformal_bounds(np.arange(1.0, 100.0), 0.8)
    (10.0, 90.0)
    """
    n = len(residuals)
    tail = (1 - coverage) / 2
    rank = math.floor(round(tail * (n + 1), 9))
    if rank < 1 or n < _LEAST_RESIDUALS:
        return math.nan, math.nan
    ranked = np.sort(residuals)
    return float(ranked[rank - 1]), float(ranked[n - rank])


def covered_share(residuals: Float, folds: Sequence[Fold], coverage: float) -> float:
    """Return the share of outcomes inside intervals made, fold by fold, from the earlier folds only; NaN with one."""
    start = folds[0].test.start
    inside: list[Bool] = []
    for fold in folds[1:]:
        low, high = conformal_bounds(residuals[: fold.test.start - start], coverage)
        part = residuals[fold.test.start - start : fold.test.stop - start]
        inside.append((part >= low) & (part <= high))
    return float(np.concatenate(inside).mean()) if inside else math.nan


class AdaptiveInterval:
    """Keep covering ``coverage`` of the outcomes while the market changes (adaptive conformal inference).

    The ends are order statistics of the last 1000 residuals (outcome less prediction), as in `conformal_bounds`, but
    the share left outside at each end is moved after every outcome: ``tail += 0.01 * (asked - missed)``. So too many
    misses widen the interval, whatever the reason, and in the long run each end is missed as often as asked.

    The ends are never further out than the residuals kept: what was never seen is not claimed.

    Source: Gibbs and Candes (2021), Adaptive conformal inference under distribution shift.

    >>> interval = AdaptiveInterval(0.8)
    >>> for residual in range(1, 100):
    ...     interval.learn(float(residual))
    >>> interval.bounds()
    (10.0, 90.0)
    """

    def __init__(self, coverage: float) -> None:
        if not 0 < coverage < 1:
            raise UsageError("interval coverage", "is no share", expected="between 0 and 1", was=coverage)
        self.coverage = coverage
        self._asked = (1 - coverage) / 2
        self._tails = [self._asked, self._asked]
        self._kept: deque[float] = deque(maxlen=_MEMORY)
        self._ranked: list[float] = []

    def bounds(self) -> tuple[float, float]:
        """Return what to add to the next prediction for the ends of its interval; NaN before 20 outcomes."""
        n = len(self._ranked)
        if n < _LEAST_RESIDUALS:
            return math.nan, math.nan
        low, high = (min(max(math.floor(round(tail * (n + 1), 9)), 1), n) for tail in self._tails)
        return self._ranked[low - 1], self._ranked[n - high]

    def learn(self, residual: float, bounds: tuple[float, float] = (math.nan, math.nan)) -> None:
        """Take the next outcome: its residual, and what `bounds` gave when its prediction was made."""
        low, high = bounds
        if not math.isnan(low):
            missed = (residual < low, residual > high)
            moved = (tail + _RATE * (self._asked - miss) for tail, miss in zip(self._tails, missed, strict=True))
            self._tails = [min(max(tail, 0.0), 0.5) for tail in moved]
        if len(self._kept) == _MEMORY:
            del self._ranked[bisect_left(self._ranked, self._kept[0])]
        self._kept.append(residual)
        insort(self._ranked, residual)

    def state(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {"coverage": self.coverage, "tails": self._tails, "residuals": list(self._kept)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Continue from what `state` gave: to the same bits."""
        made = cls(float(state["coverage"]))
        made._tails = [float(tail) for tail in state["tails"]]
        made._kept.extend(map(float, state["residuals"]))
        made._ranked = sorted(made._kept)
        return made


def adaptive_bounds(residuals: Float, coverage: float, *, lag: int = 1) -> Float:
    """Return the ends of an `AdaptiveInterval` at each row (n x 2), as they would have been made live.

    Args:
        residuals: outcome less prediction, in order of time (n).
        coverage: the share to cover.
        lag: after how many rows an outcome is known, at least 1.
    """
    interval = AdaptiveInterval(coverage)
    made = np.empty((len(residuals), 2))
    for row in range(len(residuals)):
        if row >= lag:
            known = row - lag
            interval.learn(float(residuals[known]), (float(made[known, 0]), float(made[known, 1])))
        made[row] = interval.bounds()
    return made
