"""Targets: what a model may be asked, and what form its answer has.

The outcomes they are compared with come from `tapeline.labels`. Descriptions have none, as nothing tells afterwards
what the right answer was: two of them are read as something that can be seen, see `tapeline.learning.reading`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tapeline.types import Bool, Float

_SUM_ERROR = 1e-9


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that can be asked of a row.

    Attributes:
        name: such as ``return``.
        meaning: of the number a model says; of each of them where there are ``classes``.
        low: every number lies above it.
        high: every number lies below it.
        classes: a model says the probability of each, in this order (n x classes); without any, one number (n).
            The outcome of a row is the position of the class that came.
        supervised: whether outcomes exist.
        read_as: the outcome as which a description is read, to be judged by what followed; empty where none is.
        sided: whether an answer names a side to take.
    """

    name: str
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    classes: tuple[str, ...] = ()
    supervised: bool = True
    read_as: str = ""
    sided: bool = True

    @property
    def width(self) -> int:
        """Return how many numbers a model says of a row."""
        return max(1, len(self.classes))

    def usable(self, said: Float) -> Bool:
        """Return for each row (n) whether what was said of it is an answer at all.

        >>> TARGETS["direction"].usable(np.array([0.5, 1.0, np.nan])).tolist()
        [True, False, False]
        """
        inside: Bool = (said > self.low) & (said < self.high)
        if not self.classes:
            return inside & (said.ndim == 1)
        if said.ndim != 2 or said.shape[1] != len(self.classes):
            return np.zeros(len(said), np.bool_)
        good: Bool = inside.all(axis=1) & (np.abs(said.sum(axis=1) - 1) <= _SUM_ERROR)
        return good


def _described(name: str, meaning: str, classes: tuple[str, ...] = (), read_as: str = "") -> Target:
    """Return a target without outcomes; its classes rise in what it is read as."""
    return Target(name, meaning, 0.0, 1.0, classes, supervised=False, read_as=read_as, sided=False)


_MOVES = ("down", "flat", "up")

TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("return", "expected log return over the horizon"),
        Target("direction", "probability of a rise if the price moves", 0.0, 1.0),
        Target("direction3", "probability that the return is below, inside or above the dead band", 0.0, 1.0, _MOVES),
        Target("barrier", "probability that the lower, neither or the upper barrier is met first", 0.0, 1.0, _MOVES),
        Target("volatility", "root of the sum of squared log returns over the horizon", 0.0, sided=False),
        _described("regime", "probability of each volatility at the row", ("low", "normal", "high"), "volatility"),
        _described("trend", "probability of range and trend at the row", ("range", "trend"), "variance_ratio"),
        _described("anomaly", "share of rows in training that were less odd"),
    )
}
"""The targets by name."""
