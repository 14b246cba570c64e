"""Do the intervals of predictions hold what they promise? Measured out of sample, fold by fold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tapeline.evaluate import Evaluation
from tapeline.learning.conformal import conformal_bounds
from tapeline.learning.folds import Fold
from tapeline.learning.resample import BlockBootstrap, Interval
from tapeline.types import Float

_UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Covered:
    """The share of outcomes inside the intervals, and how wide these are (a log return); NaN where unknown."""

    share: Interval
    width: Interval


def bounds_by_fold(residuals: Float, unit: Float, folds: Sequence[Fold], coverage: float) -> Float:
    """Return what is added to each test row's prediction for the ends of its interval (m x 2).

    Each fold's come from the residuals of the earlier folds only, in ``unit`` (m) of each row; NaN in the first.
    """
    start = folds[0].test.start
    made = np.full((len(residuals), 2), np.nan)
    for fold in folds[1:]:
        part = slice(fold.test.start - start, fold.test.stop - start)
        made[part] = conformal_bounds(residuals[: part.start] / unit[: part.start], coverage)
    return made * unit[:, None]


def covered(evaluation: Evaluation, model: str, coverage: float, level: float) -> Covered:
    """Return how well a model's intervals hold; unknown for other targets than the return, and with one fold."""
    if evaluation.target != "return":
        return Covered(_UNKNOWN, _UNKNOWN)
    residuals = evaluation.labels - evaluation.said[model]
    bounds = bounds_by_fold(residuals, evaluation.unit, evaluation.folds, coverage)
    known = ~np.isnan(bounds[:, 0])
    if not known.any():
        return Covered(_UNKNOWN, _UNKNOWN)
    low, high = bounds[known].T
    inside = ((residuals[known] >= low) & (residuals[known] <= high)).astype(np.float64)
    like = evaluation.bootstrap
    boot = BlockBootstrap(len(inside), block=like.block, resamples=like.resamples, seed=like.seed, overlap=like.overlap)
    return Covered(boot.interval(inside, level), boot.interval(high - low, level))
