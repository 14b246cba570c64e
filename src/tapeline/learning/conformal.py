"""Intervals of predictions from residuals out of sample: where their ends begin, and how they follow the market."""

from __future__ import annotations

import math

import numpy as np

from tapeline.errors import UsageError
from tapeline.types import Float

RATE = 0.1
"""By what share of the width an end moves after an outcome that overlaps with no other; `rate_of` takes it apart."""
_LEAST_RESIDUALS = 20
_LEAST_WIDTH = 0.1
"""A silence is no certainty: the width is at least this share of the one it began with."""


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


def rate_of(overlap: int) -> float:
    """Return the rate for outcomes of which ``overlap`` in a row share a part: they say the same so many times."""
    return RATE / overlap


class TrackedInterval:
    """Keep covering ``coverage`` of the outcomes while the market changes (quantile tracking).

    After each outcome an end moves out if it was missed, else in, by a share of the width as it stands::

        end += width * (exp(rate * (missed - tail)) - 1)        missed is 1 or 0, tail = (1 - coverage) / 2

    An end that were missed more often than asked would move out without end, so in the long run each is missed as often
    as asked, whatever the market does. The whole state are the two ends. The width never falls below a tenth of the
    first one. Ends that are NaN stay NaN.

    Source: Angelopoulos, Candes and Tibshirani (2023), Conformal PID control for time series prediction (the P part).

    >>> interval = TrackedInterval(-1.0, 1.0, 0.8, rate=0.1)
    >>> interval.learn(below=False, above=True)
    >>> [round(end, 3) for end in interval.bounds]
    [-0.98, 1.188]
    """

    def __init__(self, low: float, high: float, coverage: float, *, rate: float) -> None:
        if not 0 < coverage < 1:
            raise UsageError("interval coverage", "is no share", expected="between 0 and 1", was=coverage)
        tail = (1 - coverage) / 2
        self._in, self._out = -math.expm1(-rate * tail), math.expm1(rate * (1 - tail))
        self._least = _LEAST_WIDTH * (high - low)
        self.bounds = (low, high)
        """What to add to the next prediction for the ends of its interval."""

    def learn(self, *, below: bool, above: bool) -> None:
        """Take the next outcome: whether it lay below or above the interval that was given for it."""
        low, high = self.bounds
        width = high - low
        low += width * (-self._out if below else self._in)
        high += width * (self._out if above else -self._in)
        if high - low >= self._least:
            self.bounds = (low, high)
