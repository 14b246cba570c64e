"""Drift: whether numbers still come as they came in training.

A number counts as drifted where the difference is both large and more than chance: PSI, the Kolmogorov-Smirnov
distance and the share in the tails each have a bound of size, and a bound of chance that is measured on the reference
itself, by resampling it in blocks, so that numbers that hang together in time raise no alarm. Bins are open-ended:
what lies outside everything seen before counts, and so does what is missing. Rows are compared with reference rows of
the same hours of the day, so the hour is no drift.

Sources: Yurdakul (2018), Statistical properties of the population stability index; Kuensch (1989), The jackknife and
the bootstrap for general stationary observations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tapeline.clock import DAY, HOUR
from tapeline.errors import NotEnoughData, UsageError
from tapeline.types import Float, Int

Level = Literal["none", "moderate", "major"]

PSI_BOUNDS = (0.1, 0.2)
"""From which PSI on a drift is moderate, and major."""
KS_BOUNDS = (0.15, 0.3)
"""From which Kolmogorov-Smirnov distance on it is."""
TAIL_BOUNDS = (3.0, 6.0)
"""From which factor on, by which the share in the outer hundredth grew, it is."""

_COARSE, _FINE = 10, 100
_TAIL = 0.005


@dataclass(frozen=True, slots=True)
class Drift:
    """How a column differs from its reference.

    Attributes:
        column: its name.
        psi: population stability index over open-ended deciles and the missing, >= 0.
        kl: Kullback-Leibler divergence of now from the reference over the same bins, nats, >= 0.
        ks: greatest distance of the two distribution functions over the hundredths of the reference, in [0, 1].
        tail: the share outside the reference's 0.5 % and 99.5 % quantiles, as a multiple of that in the reference.
        missing: the share of unknown numbers now.
        missing_before: the share of unknown numbers in the reference.
        outside: the share of known numbers beyond everything in the reference; NaN where none is known.
        level: what all of that amounts to.
    """

    column: str
    psi: float
    kl: float
    ks: float
    tail: float
    missing: float
    missing_before: float
    outside: float
    level: Level


class DriftDetector:
    """Compare rows with a reference.

    Args:
        reference: rows of the time before, in order of time (n x k); NaN is unknown.
        as_of: their instants (n), ns UTC.
        columns: names (k).
        false_alarms: how often a check of all columns together may alarm by chance.
        block: how many rows in a row hang together.
        resamples: of the reference.
        seed: of the resampling.

    Raises:
        NotEnoughData: the reference is shorter than ten blocks.
        UsageError: rows, instants and names do not fit.
    """

    def __init__(
        self,
        reference: Float,
        as_of: Int,
        columns: Sequence[str],
        *,
        false_alarms: float = 0.05,
        block: int = 240,
        resamples: int = 1000,
        seed: int = 7,
    ) -> None:
        if reference.ndim != 2 or reference.shape != (len(as_of), len(columns)):
            rule = f"{len(as_of)} x {len(columns)}"
            raise UsageError("drift reference", "does not fit its names", expected=rule, was=reference.shape)
        if len(reference) < 10 * block:
            step = "take a longer time before, or shorter blocks"
            was = len(reference)
            raise NotEnoughData("drift reference", "is short", expected=f"{10 * block} rows", was=was, next_step=step)
        self.columns = tuple(columns)
        self._hours = _hours(as_of)
        self._edges = [_edges(column) for column in reference.T]
        self._bins = [
            np.searchsorted(edges, column).astype(np.int64)
            for edges, column in zip(self._edges, reference.T, strict=True)
        ]
        self._ranges = [_range(column) for column in reference.T]
        self._quantile = 1 - false_alarms / (3 * max(1, len(columns)))
        self._block, self._resamples, self._seed = block, resamples, seed
        self._chance: dict[int, list[Float]] = {}

    def check(self, rows: Float, as_of: Int) -> list[Drift]:
        """Return how each column of newer rows (m x k, at instants m) differs from the reference.

        Raises:
            NotEnoughData: the rows are fewer than one block, or reference rows of their hours are.
        """
        if len(rows) < self._block:
            step = "wait for more rows"
            raise NotEnoughData("drift", "has few rows", expected=f"{self._block}", was=len(rows), next_step=step)
        weights = self._like_hours(_hours(as_of))
        size = len(rows) // self._block * self._block
        if size not in self._chance:
            self._chance[size] = [self._by_chance(at, size) for at in range(len(self.columns))]
        return [self._compare(at, column, weights, self._chance[size][at]) for at, column in enumerate(rows.T)]

    def _like_hours(self, hours: Int) -> Float:
        """Return a weight per reference row, so that they are of the same hours as the rows to compare."""
        now, before = (np.bincount(each, minlength=24) for each in (hours, self._hours))
        ratio = np.divide(now, before, out=np.zeros(24), where=before > 0)
        weights: Float = ratio[self._hours]
        if (like := _worth(weights)) < self._block:
            rule, step = f"{self._block} reference rows of the same hours", "take a reference of more days"
            raise NotEnoughData("drift", "has few like hours", expected=rule, was=round(like), next_step=step)
        return weights

    def _compare(self, at: int, column: Float, weights: Float, chance: Float) -> Drift:
        edges = self._edges[at]
        wide = len(edges) + 2
        before = np.asarray(np.bincount(self._bins[at], weights, wide), np.float64)
        now = np.bincount(np.searchsorted(edges, column), minlength=wide).astype(np.float64)
        # Weights tell proportions only: the reference counts as as many equal rows as would tell as much.
        before *= _worth(weights) / before.sum()
        chance = chance * self._own_error(at, weights, len(column))
        psi, kl, ks, tail = _distances(before[None], now[None])[:, 0].tolist()
        sizes = ((psi, PSI_BOUNDS), (ks, KS_BOUNDS), (tail, TAIL_BOUNDS))
        level = max(
            (value > luck and value >= least) + (value > luck and value >= most)
            for (value, (least, most)), luck in zip(sizes, chance.tolist(), strict=True)
        )
        words: tuple[Level, ...] = ("none", "moderate", "major")
        shares = (float(now[-1] / now.sum()), float(before[-1] / before.sum()))
        return Drift(self.columns[at], psi, kl, ks, tail, *shares, self._outside(at, column), words[level])

    def _outside(self, at: int, column: Float) -> float:
        known = column[np.isfinite(column)]
        low, high = self._ranges[at]
        return float(((known < low) | (known > high)).mean()) if len(known) else math.nan

    def _by_chance(self, at: int, size: int) -> Float:
        """Return what PSI, distance and tail reach by chance in so many rows, drawn from the reference in blocks."""
        bins, wide = self._bins[at], len(self._edges[at]) + 2
        running = np.zeros((len(bins) + 1, wide), np.float32)
        running[np.arange(1, len(bins) + 1), bins] = 1
        np.cumsum(running, axis=0, out=running)
        random = np.random.default_rng([self._seed, at])
        starts = random.integers(0, len(bins) - self._block + 1, (self._resamples, size // self._block))
        drawn = (running[starts + self._block] - running[starts]).sum(axis=1, dtype=np.float64)
        whole = np.broadcast_to(running[-1].astype(np.float64), drawn.shape)
        psi, _, ks, tail = _distances(whole, drawn)
        reached: Float = np.quantile(np.stack([psi, ks, tail]), self._quantile, axis=1)
        return reached

    def _own_error(self, at: int, weights: Float, size: int) -> Float:
        """Return by what chance grows because the reference is a sample too; in the tails by how many extremes it saw.

        Only rows of the same hours count: of few of them much can come by chance.
        """
        more = 1 + size / _worth(weights)
        last = len(self._edges[at])
        extremes = np.flatnonzero(((self._bins[at] == 0) | (self._bins[at] == last)) & (weights > 0))
        apart = 1 + int((np.diff(extremes) > self._block // 4).sum())
        return np.array([more, math.sqrt(more), 1 + 2 / math.sqrt(apart)])


def _worth(weights: Float) -> float:
    """Return how many equal rows tell as much as weighted ones do (Kish's effective sample size)."""
    total = float(weights.sum())
    return total * total / float((weights * weights).sum()) if total else 0.0


def _hours(as_of: Int) -> Int:
    return as_of % DAY // HOUR


def _range(column: Float) -> tuple[float, float]:
    """Return the least and the greatest number; NaN, which nothing is beyond, where none is known."""
    known = column[np.isfinite(column)]
    return (float(known.min()), float(known.max())) if len(known) else (math.nan, math.nan)


def _edges(column: Float) -> Float:
    """Return the inner edges: the hundredths, the tails, and both sides of every value that often repeats."""
    known = np.sort(column[np.isfinite(column)])
    if not len(known):
        return np.zeros(1)
    inner = np.quantile(known, [_TAIL, *np.arange(1, _FINE) / _FINE, 1 - _TAIL])
    values, counts = np.unique(known, return_counts=True)
    often = values[counts * _FINE > len(known)]
    return np.unique(np.concatenate([inner, often, np.nextafter(often, -np.inf)]))


def _distances(before: Float, now: Float) -> Float:
    """Return PSI, KL, KS and tail ratio (4 x r) of counts over fine bins (r x b), the last bin being the missing."""
    p = before / before.sum(axis=1, keepdims=True)
    known_p, known_q = (
        counts[:, :-1] / np.maximum(counts[:, :-1].sum(axis=1, keepdims=True), 1) for counts in (before, now)
    )
    ks = np.abs(np.cumsum(known_p - known_q, axis=1)).max(axis=1)
    outside = [share[:, 0] + share[:, -1] for share in (known_p, known_q)]
    tail = outside[1] / np.maximum(outside[0], 2 * _TAIL)
    groups = _groups(p.mean(axis=0)[:-1])
    coarse = [np.concatenate([_summed(counts[:, :-1], groups), counts[:, -1:]], axis=1) for counts in (before, now)]
    a, b = ((counts + 0.5) / (counts.sum(axis=1, keepdims=True) + 0.5 * counts.shape[1]) for counts in coarse)
    ratio = np.log(b / a)
    return np.stack([((b - a) * ratio).sum(axis=1), (b * ratio).sum(axis=1), ks, tail])


def _groups(shares: Float) -> Int:
    """Return the first of each run of fine bins that together hold about a tenth; an end of no mass stands alone."""
    reached = np.minimum((np.cumsum(shares) - shares / 2) * _COARSE, _COARSE - 1e-9).astype(np.int64)
    starts = np.flatnonzero(np.diff(reached, prepend=-1))
    return np.unique(np.concatenate([starts, np.array([0, 1, len(shares) - 1])]))


def _summed(counts: Float, starts: Int) -> Float:
    summed: Float = np.add.reduceat(counts, starts[starts < counts.shape[1]], axis=1)
    return summed
