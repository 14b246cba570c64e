"""Intervals of predictions from residuals out of sample (split conformal)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tapeline.learning.folds import Fold
from tapeline.types import Bool, Float

_LEAST_RESIDUALS = 20


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
