"""Numbers that are no mean over rows but made of such means, so that one bootstrap gives intervals of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tapeline.learning.metrics import came, chances
from tapeline.types import Float

_BINS = 10


@dataclass(frozen=True, slots=True)
class Measure:
    """A number made of the means of columns.

    Attributes:
        name: of the number.
        columns: outcomes and answers of m rows to m x c columns.
        value: means of the columns (r x c) to the number (r), NaN where it does not exist.
        sign: 1 where more is better, -1 where less is.
        grows: whether noise makes it larger, so that resamples lie above it: then they are mirrored at it.
    """

    name: str
    columns: Callable[[Float, Float], Float]
    value: Callable[[Float], Float]
    sign: int = 1
    grows: bool = False


def ratio(above: Float, below: Float) -> Float:
    """Return above / below, NaN where below is not positive."""
    made: Float = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=made, where=below > 0)
    return made


def _squares(labels: Float, said: Float) -> Float:
    return np.column_stack(((labels - said) ** 2, labels**2))


def _signs(labels: Float, said: Float) -> Float:
    both = (labels != 0) & (said != 0)
    return np.column_stack((both & ((labels > 0) == (said > 0)), both)).astype(np.float64)


def _ranks(labels: Float, said: Float) -> Float:
    from scipy.stats import rankdata

    x, y = ((rankdata(values) - 0.5) / len(values) - 0.5 for values in (labels, said))
    return np.column_stack((x, y, x * y, x * x, y * y))


def _correlation(means: Float) -> Float:
    x, y, xy, xx, yy = means.T
    spread = (xx - x * x) * (yy - y * y)
    return ratio(xy - x * y, np.sqrt(np.where(spread > 1e-12, spread, 0.0)))


def _hits_by_class(labels: Float, said: Float) -> Float:
    true = came(labels, said)
    likeliest = chances(labels, said).argmax(axis=1) == labels
    return np.column_stack((true * likeliest[:, None], true))


def _mean_of_shares(means: Float) -> Float:
    hits, seen = np.split(means, 2, axis=1)
    shares = ratio(hits, seen)
    known = (~np.isnan(shares)).sum(axis=1)
    return ratio(np.nansum(shares, axis=1), known.astype(np.float64))


def bins_of(said: Float) -> Float:
    """Return the tenth of the answers that each answer is in (n): equal ones are in one bin."""
    edges = np.unique(np.quantile(said, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.asarray(np.searchsorted(edges, said, side="right"), np.float64)


def _miscalibration(labels: Float, said: Float) -> Float:
    told, true = chances(labels, said), came(labels, said)
    first = 1 if said.ndim == 1 else 0
    off = [
        (bins_of(told[:, k])[:, None] == np.arange(_BINS)) * (true[:, k] - told[:, k])[:, None]
        for k in range(first, told.shape[1])
    ]
    return np.column_stack(off)


def _summed_off(means: Float) -> Float:
    return np.asarray(np.abs(means).sum(axis=1) / (means.shape[1] // _BINS), np.float64)


def _flags(labels: Float, said: Float) -> Float:
    return np.column_stack((labels * said, said, labels, (1 - labels) * said, 1 - labels))


_RMSE = Measure("rmse", _squares, lambda means: np.sqrt(np.maximum(means[:, 0], 0.0)), -1)
_R2 = Measure("r2_last_price", _squares, lambda means: 1 - ratio(means[:, 0], means[:, 1]))
_IC = Measure("information_coefficient", _ranks, _correlation)
_SIDES = Measure("directional_accuracy", _signs, lambda means: ratio(means[:, 0], means[:, 1]))
_BALANCED = Measure("balanced_accuracy", _hits_by_class, _mean_of_shares)
_PRECISION = Measure("precision", _flags, lambda means: ratio(means[:, 0], means[:, 1]))
_RECALL = Measure("recall", _flags, lambda means: ratio(means[:, 0], means[:, 2]))
FLAGGED = Measure("flagged_share", _flags, lambda means: ratio(means[:, 3], means[:, 4]), -1)
"""The share of flags among rows in which nothing was planted."""
_CALIBRATION = Measure("calibration_error", _miscalibration, _summed_off, -1, grows=True)

MEASURES: Mapping[str, tuple[Measure, ...]] = {
    "return": (_RMSE, _R2, _SIDES, _IC),
    "direction": (_BALANCED, _CALIBRATION),
    "direction3": (_BALANCED, _CALIBRATION),
    "barrier": (_BALANCED, _CALIBRATION),
    "volatility": (_RMSE, _IC),
    "regime": (_RMSE, _IC),
    "trend": (_IC,),
    "anomaly": (_PRECISION, _RECALL, FLAGGED),
}
"""The measures of each target. ``r2_last_price`` is 1 - squared error / that of "the price stays"; the information
coefficient is Spearman's rank correlation; the calibration error is the mean over tenths of the answers of what came
less what was said, and above 0 by chance alone."""
