"""Change: whether a stream of numbers, such as the live error of a model, has moved to another level."""

from __future__ import annotations

import math
from dataclasses import dataclass

from river.drift import ADWIN, PageHinkley

from tapeline.types import Float


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was noticed: at which number of the stream (from 0), and by which detector."""

    at: int
    detector: str


class ChangeDetector:
    """Watch a stream with two detectors: ADWIN finds any change of the mean, Page-Hinkley rises.

    Numbers are put on the scale of the first ``warmup`` of them, so that the same settings serve every stream.

    Args:
        warmup: how many numbers tell the scale; nothing is noticed before.
        delta: ADWIN's chance of a false alarm.
        threshold: of Page-Hinkley, in standard deviations that add up.

    Sources: Bifet and Gavalda (2007), Learning from time-changing data with adaptive windowing; Page (1954),
    Continuous inspection schemes.

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
        self._detectors = self._new()

    def _new(self) -> dict[str, ADWIN | PageHinkley]:
        rises = PageHinkley(min_instances=30, delta=0.25, threshold=self._threshold, mode="up")
        return {"ADWIN": ADWIN(delta=self._delta), "Page-Hinkley": rises}

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
        found = []
        for name, detector in self._detectors.items():
            detector.update(scaled)
            if detector.drift_detected:
                found.append(Change(self._count - 1, name))
        if found:
            self.changes += found
            self._detectors = self._new()
        return bool(found)

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
