"""Drift: whether numbers still come as they came in training.

A number counts as drifted where the difference is both large and more than chance: PSI, the Kolmogorov-Smirnov
distance and the share in the tails each have a bound of size, and two bounds of chance that are measured on the
reference itself: by resampling it in blocks, for numbers that hang together in time, and by comparing stretches of it
with the rest, for what wanders from day to day. Bins are open-ended: what lies outside everything seen before counts,
and so does what is missing. Rows are compared with reference rows of the same hours of the day, so the hour is no
drift.

Sources: Yurdakul (2018), Statistical properties of the population stability index; Kuensch (1989), The jackknife and
the bootstrap for general stationary observations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tapeline.clock import DAY
from tapeline.errors import NotEnoughData, UsageError
from tapeline.monitor.distances import counted, distances, edges_of, equal_rows, hours_of, like_hours, range_of, worth
from tapeline.types import Float, Int

Level = Literal["none", "moderate", "major"]

PSI_BOUNDS = (0.1, 0.2)
"""From which PSI on a drift is moderate, and major."""
KS_BOUNDS = (0.15, 0.3)
"""From which Kolmogorov-Smirnov distance on it is."""
TAIL_BOUNDS = (3.0, 6.0)
"""From which factor on, by which the share in the outer hundredth grew, it is."""

_STRETCHES = (3, 12)
"""How few stretches of the reference tell how far one more may lie from the others, and how many are looked at."""
_A_DAY = 3
"""How many stretches of one day count: what wanders from day to day is much the same within one."""
_NONE = np.array([0.01, 0.01, 0.25])
"""PSI, distance and tail that are as good as none: a tail without any extremes tells not how heavy one may be."""


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
        self._hours, self._days = hours_of(as_of), round(int(as_of[-1] - as_of[0]) / DAY)
        self._edges = [edges_of(column) for column in reference.T]
        self._bins = [
            np.searchsorted(edges, column).astype(np.int64)
            for edges, column in zip(self._edges, reference.T, strict=True)
        ]
        self._ranges = [range_of(column) for column in reference.T]
        self._quantile = 1 - false_alarms / (3 * max(1, len(columns)))
        self._block, self._resamples, self._seed = block, resamples, seed
        self._reference, self._false_alarms = reference, false_alarms
        self._chance: dict[int, list[Float]] = {}
        self._apart: dict[int, Float] = {}

    def check(self, rows: Float, as_of: Int) -> list[Drift]:
        """Return how each column of newer rows (m x k, at instants m) differs from the reference.

        Raises:
            NotEnoughData: the rows are fewer than one block, or reference rows of their hours are.
        """
        if len(rows) < self._block:
            step = "wait for more rows"
            raise NotEnoughData("drift", "has few rows", expected=f"{self._block}", was=len(rows), next_step=step)
        weights = self._like_hours(hours_of(as_of))
        size = len(rows) // self._block * self._block
        if size not in self._chance:
            self._chance[size] = [self._by_chance(at, size) for at in range(len(self.columns))]
            self._apart[size] = self._between_stretches(size)
        luck = zip(self._chance[size], self._apart[size], strict=True)
        return [self._compare(at, rows[:, at], weights, *bounds) for at, bounds in enumerate(luck)]

    def _like_hours(self, hours: Int) -> Float:
        """Return a weight per reference row, so that they are of the same hours as the rows to compare."""
        weights = like_hours(hours, self._hours)
        if (like := worth(weights)) < self._block:
            rule, step = f"{self._block} reference rows of the same hours", "take a reference of more days"
            raise NotEnoughData("drift", "has few like hours", expected=rule, was=round(like), next_step=step)
        return weights

    def _compare(self, at: int, column: Float, weights: Float, chance: Float, apart: Float) -> Drift:
        edges = self._edges[at]
        before = np.asarray(np.bincount(self._bins[at], weights, len(edges) + 2), np.float64)
        before, now = equal_rows(before, weights), counted(edges, column)
        chance = np.maximum(chance * self._own_error(at, weights, len(column)), apart)
        psi, kl, ks, tail = distances(before[None], now[None])[:, 0].tolist()
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
        psi, _, ks, tail = distances(whole, drawn)
        reached: Float = np.quantile(np.stack([psi, ks, tail]), self._quantile, axis=1)
        return reached

    def _between_stretches(self, size: int) -> Float:
        """Return what PSI, distance and tail of so many rows in a row reach against all others (k x 3).

        Blocks miss what wanders for longer than they are, as volatility does over days. So stretches of the reference
        are each compared with the rest of it: a further one, by Student's prediction of the logarithms, exceeds this
        with a quarter of the rate of false alarms: there are three measures, of columns that wander nearly as one. Few
        days tell little of how far days lie apart, however many stretches they are cut into. It is 0 where fewer than
        three stretches can be compared.
        """
        from scipy.stats import t as student

        starts = np.arange(len(self._hours) % size, len(self._hours) - size + 1, size)
        least, most = _STRETCHES
        places = np.linspace(0, len(starts) - 1, min(len(starts), most)).astype(np.int64)
        found = [apart for start in starts[places].tolist() if (apart := self._stretch(start, size)) is not None]
        if len(found) < least:
            return np.zeros((len(self.columns), 3))
        logs = np.log(np.array(found) + _NONE)
        many = min(len(found), max(least, _A_DAY * self._days))
        reach = student.ppf(1 - self._false_alarms / 4, many - 1) * math.sqrt(1 + 1 / many)
        bound: Float = np.exp(logs.mean(axis=0) + reach * logs.std(axis=0, ddof=1)) - _NONE
        return bound

    def _stretch(self, start: int, size: int) -> Float | None:
        """Return how far a stretch is from the rest (k x 3), None where too little of it is of the same hours."""
        inside, rest = slice(start, start + size), np.r_[0:start, start + size : len(self._hours)]
        weights = like_hours(self._hours[inside], self._hours[rest])
        if worth(weights) < self._block:
            return None
        found = []
        for column in self._reference.T:
            edges = edges_of(column[rest])
            before = equal_rows(counted(edges, column[rest], weights), weights)
            found.append(distances(before[None], counted(edges, column[inside])[None])[[0, 2, 3], 0])
        return np.array(found)

    def _own_error(self, at: int, weights: Float, size: int) -> Float:
        """Return by what chance grows because the reference is a sample too; in the tails by how many extremes it saw.

        Only rows of the same hours count: of few of them much can come by chance.
        """
        more = 1 + size / worth(weights)
        last = len(self._edges[at])
        extremes = np.flatnonzero(((self._bins[at] == 0) | (self._bins[at] == last)) & (weights > 0))
        apart = 1 + int((np.diff(extremes) > self._block // 4).sum())
        return np.array([more, math.sqrt(more), 1 + 2 / math.sqrt(apart)])
