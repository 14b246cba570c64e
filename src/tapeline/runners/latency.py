"""How long things take: a histogram of few buckets, each 4 % wide, over the last minute or so."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

_PER_DOUBLING = 16
_BUCKETS = 40 * _PER_DOUBLING
_FULL = 1 << 17
"""After so many times the older half is forgotten."""


@dataclass(slots=True)
class Histogram:
    """Count times (ns) from 1 us to 12 days by their logarithm.

    >>> times = Histogram(); times.add(1_000_000); times.add(3_000_000)
    >>> round(times.quantile(0.5) / 1e6, 1), times.count
    (1.0, 2)
    """

    count: int = 0
    _now: np.ndarray[tuple[int], np.dtype[np.int64]] = field(default_factory=lambda: np.zeros(_BUCKETS, np.int64))
    _before: np.ndarray[tuple[int], np.dtype[np.int64]] = field(default_factory=lambda: np.zeros(_BUCKETS, np.int64))
    _held: int = 0

    def add(self, ns: int, times: int = 1) -> None:
        """Count a time; below a microsecond, and less than nothing (a clock was set back), it is a microsecond."""
        place = int(math.log2(max(ns, 1000) / 1000) * _PER_DOUBLING)
        self._now[min(place, _BUCKETS - 1)] += times
        self.count += times
        self._held += times
        if self._held > _FULL:
            self._before, self._now, self._held = self._now, np.zeros(_BUCKETS, np.int64), 0

    def quantile(self, share: float) -> float:
        """Return the time (ns) below which this share lies, NaN before the first."""
        counts = np.cumsum(self._now + self._before)
        if not counts[-1]:
            return math.nan
        place = int(np.searchsorted(counts, share * counts[-1]))
        return float(1000 * 2 ** ((place + 0.5) / _PER_DOUBLING))

    def to_json(self) -> dict[str, float | int | None]:
        """Return the median and the 99th percentile in ms, and how many were counted."""
        half, most = self.quantile(0.5) / 1e6, self.quantile(0.99) / 1e6
        return {
            "p50": None if math.isnan(half) else round(half, 3),
            "p99": None if math.isnan(most) else round(most, 3),
            "count": self.count,
        }
