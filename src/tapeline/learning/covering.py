"""Do the intervals of predictions hold what they promise? Measured out of sample, on the intervals that are served."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tapeline.evaluate import Evaluation
from tapeline.learning.conformal import TrackedInterval, conformal_bounds, rate_of
from tapeline.learning.resample import BlockBootstrap, Interval
from tapeline.types import Float

_UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Covered:
    """The share of outcomes inside the intervals, and how wide these are (a log return); NaN where unknown."""

    share: Interval
    width: Interval


def intervals_made(evaluation: Evaluation, model: str, coverage: float) -> Float:
    """Return the ends of the interval of each test row (m x 2), a log return, as they would have been served.

    They begin with the bounds of the residuals of the first fold (or the first few, where that has too few), and from
    then on follow what came: at each row the outcomes that were known by then. NaN before.
    """
    said, came, unit, lag = evaluation.said[model], evaluation.labels, evaluation.unit, evaluation.bootstrap.overlap
    start = evaluation.folds[0].test.start
    made = np.full((len(said), 2), np.nan)
    for first in (fold.test.start - start for fold in evaluation.folds[1:]):
        known = slice(0, max(0, first - lag + 1))
        low, high = conformal_bounds((came[known] - said[known]) / unit[known], coverage)
        if not math.isnan(low):
            tracked = TrackedInterval(low, high, coverage, rate=rate_of(lag))
            made[first:] = _followed(tracked, said[first:], came[first:], unit[first:], lag)
            break
    return made


def _followed(tracked: TrackedInterval, said: Float, came: Float, unit: Float, lag: int) -> Float:
    made: list[tuple[float, float]] = []
    outcomes = came.tolist()
    for row, (value, scale) in enumerate(zip(said.tolist(), unit.tolist(), strict=True)):
        if row >= lag:
            low, high = made[row - lag]
            tracked.learn(below=outcomes[row - lag] < low, above=outcomes[row - lag] > high)
        low, high = tracked.bounds
        made.append((value + low * scale, value + high * scale))
    return np.array(made)


def covered(evaluation: Evaluation, model: str, coverage: float, level: float) -> Covered:
    """Return how well a model's intervals hold; unknown for other targets than the return, and with one fold."""
    if evaluation.target != "return":
        return Covered(_UNKNOWN, _UNKNOWN)
    made = intervals_made(evaluation, model, coverage)
    known = ~np.isnan(made[:, 0])
    if not known.any():
        return Covered(_UNKNOWN, _UNKNOWN)
    (low, high), came = made[known].T, evaluation.labels[known]
    inside = ((came >= low) & (came <= high)).astype(np.float64)
    like = evaluation.bootstrap
    boot = BlockBootstrap(len(inside), block=like.block, resamples=like.resamples, seed=like.seed, overlap=like.overlap)
    return Covered(boot.interval(inside, level), boot.interval(high - low, level))
