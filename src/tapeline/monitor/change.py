"""Change: whether a stream of numbers, such as the live error of a model, has moved to another level.

River has both detectors, but brings pandas and scikit-learn into a process that is live: tests compare with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tapeline.types import Float

_CLOCK = 32
_LEAST = 5
_MOST = 4_000
_FORGET = 0.9999


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was noticed: at which number of the stream (from 0), by which detector, whether upwards."""

    at: int
    detector: str
    rose: bool


@dataclass(slots=True)
class Adwin:
    """Keep a window of the newest numbers, and drop its older part where the means of both differ by more than chance.

    They differ by more than ``sqrt(2 v d / m) + 2 d / (3 m)`` where v is the variance of the window, m the harmonic
    sum of the lengths of the parts and ``d = ln(2 ln(n) / delta)``. Looked at every 32 numbers, among the newest 4,000.

    Source: Bifet and Gavalda (2007), Learning from time-changing data with adaptive windowing, section 3: every cut is
    tried, not only those between buckets.
    """

    delta: float
    window: list[float] = field(default_factory=list)
    count: int = 0

    def update(self, value: float) -> float:
        """Take the next number; return by how much the newer part is above the dropped one, 0 without a change."""
        self.window.append(value)
        self.count += 1
        if self.count % _CLOCK or len(self.window) < 2 * _LEAST:
            return 0.0
        del self.window[:-_MOST]
        moved, cut = _best_cut(self.window, self.delta)
        del self.window[:cut]
        return moved


def _best_cut(window: Sequence[float], delta: float) -> tuple[float, int]:
    """Return by how much the mean rises at the clearest cut, and where that is; zeros where no cut is clear."""
    values = np.array(window)
    n = len(values)
    older = np.arange(_LEAST, n - _LEAST + 1)
    sums = values.cumsum()
    rises = (sums[-1] - sums[older - 1]) / (n - older) - sums[older - 1] / older
    parts = 1 / (older - _LEAST + 1) + 1 / (n - older - _LEAST + 1)
    doubt = math.log(2 * math.log(n) / delta)
    bounds = np.sqrt(2 * parts * values.var() * doubt) + 2 / 3 * doubt * parts
    best = int((np.abs(rises) / bounds).argmax())
    return (float(rises[best]), int(older[best])) if abs(rises[best]) > bounds[best] else (0.0, 0)


@dataclass(slots=True)
class PageHinkley:
    """Add up by how much numbers are above their mean by more than ``delta``; a rise is a sum above its least one.

    Source: Page (1954), Continuous inspection schemes; with the forgetting of Mouss et al. (2004).
    """

    threshold: float
    delta: float = 0.25
    least: int = 30
    count: int = 0
    mean: float = 0.0
    total: float = 0.0
    lowest: float = math.inf

    def update(self, value: float) -> bool:
        """Take the next number, and return whether it rose."""
        self.count += 1
        self.mean += (value - self.mean) / self.count
        self.total = _FORGET * self.total + value - self.mean - self.delta
        self.lowest = min(self.lowest, self.total)
        return self.count >= self.least and self.total - self.lowest > self.threshold


class ChangeDetector:
    """Watch a stream with two detectors: ADWIN finds any change of the mean, Page-Hinkley rises.

    Numbers are put on the scale of the first ``warmup`` of them, so that the same settings serve every stream.

    Args:
        warmup: how many numbers tell the scale; nothing is noticed before.
        delta: ADWIN's chance of a false alarm.
        threshold: of Page-Hinkley, in standard deviations that add up.

    >>> detector = ChangeDetector(warmup=50)
    >>> [detector.update(at % 7 + 20 * (at > 400)) for at in range(500)].index(True) > 400
    True
    """

    def __init__(self, *, warmup: int = 100, delta: float = 0.0005, threshold: float = 60.0) -> None:
        self.changes: list[Change] = []
        self._warmup = warmup
        self._seen: list[float] = []
        self._count = 0
        self._scale = (0.0, 1.0)
        self._delta, self._threshold = delta, threshold
        self._begin()

    def _begin(self) -> None:
        self._adwin, self._rises = Adwin(self._delta), PageHinkley(self._threshold)

    def update(self, value: float) -> bool:
        """Take the next number, and return whether a change was noticed; what is not finite is passed over."""
        if not math.isfinite(value):
            return False
        self._count += 1
        if len(self._seen) < self._warmup:
            self._learn(value)
            return False
        mean, deviation = self._scale
        scaled = (value - mean) / deviation
        moved, rose = self._adwin.update(scaled), self._rises.update(scaled)
        if not moved and not rose:
            return False
        if moved:
            self.changes.append(Change(self._count - 1, "ADWIN", moved > 0))
        if rose:
            self.changes.append(Change(self._count - 1, "Page-Hinkley", True))
        self._begin()
        return True

    def _learn(self, value: float) -> None:
        self._seen.append(value)
        if len(self._seen) == self._warmup:
            mean = sum(self._seen) / self._warmup
            variance = sum((one - mean) ** 2 for one in self._seen) / self._warmup
            self._scale = (mean, math.sqrt(variance) or 1.0)

    def update_all(self, values: Float) -> list[Change]:
        """Take many numbers, and return the changes noticed in them."""
        before = len(self.changes)
        for value in values.tolist():
            self.update(value)
        return self.changes[before:]
