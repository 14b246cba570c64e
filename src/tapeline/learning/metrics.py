"""What is measured, row by row.

The squared error decides for returns. It is least for the expected return, which is what a prediction claims to be.
The absolute error is least for the median: where prices move in ticks and half of the short returns are 0, the median
is 0 whatever is known, and no forecast can ever beat "the price stays". The difference of two squared errors,
2 r (p - q) + q^2 - p^2, has tails no heavier than those of the return r, as the forecasts p and q are bounded.

For volatilities the absolute error decides: models answer with the median. For classes it is the log loss. For ratios
of variances it is QLIKE, log(p) + v / p, which is least for the mean and heeds that large ratios scatter more (Patton
2011, Volatility forecast comparison using imperfect volatility proxies). What descriptions (regime, trend, anomaly) are
judged by is in `tapeline.learning.reading`.
Numbers that are no mean over rows are in `tapeline.learning.measures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tapeline.types import Float

TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Metric:
    """A number per row whose mean is the metric; ``sign`` is -1 where less is better."""

    name: str
    rows: Callable[[Float, Float], Float]
    sign: int = -1


def chances(labels: Float, said: Float) -> Float:
    """Return the probability of each class (n x classes), also where only that of a rise was said (n)."""
    return np.column_stack((1 - said, said)) if said.ndim == 1 else said


def came(labels: Float, said: Float) -> Float:
    """Return which class came, as 0 and 1 (n x classes)."""
    return np.eye(chances(labels, said).shape[1])[labels.astype(np.int64)]


def _log_loss(labels: Float, said: Float) -> Float:
    hit = chances(labels, said)[np.arange(len(labels)), labels.astype(np.int64)]
    return -np.log(np.maximum(hit, TINY))


def _right(labels: Float, said: Float) -> Float:
    likeliest = said > 0.5 if said.ndim == 1 else said.argmax(axis=1)
    return np.asarray(likeliest == labels, np.float64)


def _brier(labels: Float, said: Float) -> Float:
    square: Float = (chances(labels, said) - came(labels, said)) ** 2
    total: Float = square.sum(axis=1)
    return total / 2 if said.ndim == 1 else total


def _wrong(labels: Float, said: Float) -> Float:
    return np.asarray(labels != said, np.float64)


_SQUARED = Metric("mse", lambda labels, said: (labels - said) ** 2)
_ABSOLUTE = Metric("mae", lambda labels, said: np.abs(labels - said))
_CLASSES = (Metric("log_loss", _log_loss), Metric("accuracy", _right, sign=1), Metric("brier", _brier))

METRICS: Mapping[str, tuple[Metric, ...]] = {
    "return": (_SQUARED, _ABSOLUTE),
    "direction": _CLASSES,
    "direction3": _CLASSES,
    "barrier": _CLASSES,
    "volatility": (_ABSOLUTE, _SQUARED),
    "regime": (_ABSOLUTE, _SQUARED),
    "trend": (Metric("qlike", lambda labels, said: np.log(said) + labels / said),),
    "anomaly": (Metric("wrong_flags", _wrong),),
}
"""The metrics of each target that can be evaluated; the first decides the gate."""
