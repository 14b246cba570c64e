"""Intervals for means of dependent rows: the circular block bootstrap."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tapeline.types import Float, Int

_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the bounds around it."""

    value: float
    low: float
    high: float


def block_length(rows: int, overlap: int) -> int:
    """Return the rows of a block: twice the overlap of the outcomes, at least the cube root of the rows.

    >>> block_length(1000, 5), block_length(27_000, 5)
    (10, 30)
    """
    return max(2 * overlap, math.ceil(round(math.cbrt(rows), 9)))


class BlockBootstrap:
    """Resample columns of one length together, in circular blocks, so that differences stay paired.

    The interval is the percentile one, widened where that is known to be too narrow: for b blocks by the ratio of
    Student's to the normal quantile and by sqrt(b / (b - 1)); for dependence across the ends of blocks of l rows by
    1 / sqrt(1 - (h^2 - 1) / (3 l h)), which is exact for rows that share h periods with their neighbours.

    Source: Politis and Romano (1992), A circular block-resampling procedure for stationary data.

    >>> boot = BlockBootstrap(400, block=4, resamples=500, seed=1)
    >>> got = boot.interval(np.tile([0.0, 1.0], 200), 0.95)
    >>> got.value, got.low == got.high == 0.5
    (0.5, True)
    """

    def __init__(self, rows: int, *, block: int, resamples: int, seed: int, overlap: int = 1) -> None:
        self.rows = rows
        self.overlap = overlap
        self.block = min(block, rows)
        self.blocks = math.ceil(rows / self.block)
        self.resamples = resamples
        self.seed = seed

    def means(self, values: Float) -> Float:
        """Return the mean of each resample: of one column (m -> resamples), or of several (m x c -> resamples x c).

        The draws are the same for every column of the same length.
        """
        wrapped = np.concatenate((values, values[: self.block - 1]))
        total = np.concatenate((np.zeros((1, *values.shape[1:])), np.cumsum(wrapped, axis=0)))
        sums = total[self.block :] - total[: -self.block]
        parts = [_summed(sums, draws) for draws in self._draws()]
        return np.concatenate(parts) / (self.blocks * self.block)

    def _draws(self) -> Iterator[Int]:
        """Yield where the blocks of some resamples begin (resamples x blocks), a part at a time."""
        generator = np.random.default_rng(self.seed)
        step = max(1, _CHUNK // self.blocks)
        for start in range(0, self.resamples, step):
            yield generator.integers(0, self.rows, (min(step, self.resamples - start), self.blocks))

    def interval(self, values: Float, level: float) -> Interval:
        """Return the mean of ``values`` with its two-sided interval at ``level``; NaN bounds with one block."""
        value = float(values.mean())
        if values.min() == values.max():
            return Interval(value, value, value)
        if self.blocks < 2:
            return Interval(value, math.nan, math.nan)
        return self.around(value, self.means(values), level)

    def around(self, value: float, resampled: Float, level: float) -> Interval:
        """Return the two-sided interval of any number, from what it is in each resample."""
        if self.blocks < 2 or not math.isfinite(value):
            return Interval(value, math.nan, math.nan)
        tail = (1 - level) / 2
        low, high = np.quantile(resampled, (tail, 1 - tail))
        wider = self._widening(tail)
        return Interval(value, value - (value - float(low)) * wider, value + (float(high) - value) * wider)

    def _widening(self, tail: float) -> float:
        few = student_quantile(1 - tail, self.blocks - 1) / NormalDist().inv_cdf(1 - tail)
        kept = 1 - (self.overlap**2 - 1) / (3 * self.block * self.overlap)
        return few * math.sqrt(self.blocks / (self.blocks - 1) / max(kept, 0.5))


def _summed(sums: Float, draws: Int) -> Float:
    """Return the sum of the blocks of each resample; for several columns at once, as one sparse product."""
    if sums.ndim == 1:
        return np.asarray(sums[draws].sum(axis=1), np.float64)
    from scipy.sparse import csr_array

    ends = np.arange(0, draws.size + 1, draws.shape[1])
    counts = csr_array((np.ones(draws.size), draws.ravel(), ends), shape=(len(draws), len(sums)))
    return np.asarray(counts @ sums, np.float64)


def student_quantile(p: float, degrees: int) -> float:
    """Return Student's quantile: exact for 1 and 2 degrees, else by the Cornish-Fisher expansion (1 % from 4 on).

    Source: Abramowitz and Stegun (1964), 26.7.5.

    >>> round(student_quantile(0.975, 10), 2)
    2.23
    """
    if degrees == 1:
        return math.tan(math.pi * (p - 0.5))
    if degrees == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    z = NormalDist().inv_cdf(p)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3
