"""How far numbers are from numbers of before: PSI, KL, Kolmogorov-Smirnov distance, and the share in the tails."""

from __future__ import annotations

import math

import numpy as np

from tapeline.clock import DAY, HOUR
from tapeline.types import Float, Int

_COARSE, _FINE = 10, 100
_TAIL = 0.005


def counted(edges: Float, column: Float, weights: Float | None = None) -> Float:
    """Return how many numbers lie in each bin between edges, the last bin being the missing; rows may have weights."""
    return np.asarray(np.bincount(np.searchsorted(edges, column), weights, len(edges) + 2), np.float64)


def equal_rows(counts: Float, weights: Float) -> Float:
    """Return counts of weighted rows as those of as many equal rows as would tell as much: weights tell shares only."""
    scaled: Float = counts * (worth(weights) / counts.sum())
    return scaled


def worth(weights: Float) -> float:
    """Return how many equal rows tell as much as weighted ones do (Kish's effective sample size)."""
    total = float(weights.sum())
    return total * total / float((weights * weights).sum()) if total else 0.0


def like_hours(now: Int, before: Int) -> Float:
    """Return a weight per row before (n), so that these are of the same hours of the day as the rows now (m)."""
    now_counts, before_counts = (np.bincount(each, minlength=24) for each in (now, before))
    weights: Float = np.divide(now_counts, before_counts, out=np.zeros(24), where=before_counts > 0)[before]
    return weights


def hours_of(as_of: Int) -> Int:
    """Return the hour of the day of each instant."""
    return as_of % DAY // HOUR


def range_of(column: Float) -> tuple[float, float]:
    """Return the least and the greatest number; NaN, which nothing is beyond, where none is known."""
    known = column[np.isfinite(column)]
    return (float(known.min()), float(known.max())) if len(known) else (math.nan, math.nan)


def edges_of(column: Float) -> Float:
    """Return the inner edges: the hundredths, the tails, and both sides of every value that often repeats."""
    known = np.sort(column[np.isfinite(column)])
    if not len(known):
        return np.zeros(1)
    inner = np.quantile(known, [_TAIL, *np.arange(1, _FINE) / _FINE, 1 - _TAIL])
    values, counts = np.unique(known, return_counts=True)
    often = values[counts * _FINE > len(known)]
    return np.unique(np.concatenate([inner, often, np.nextafter(often, -np.inf)]))


def distances(before: Float, now: Float) -> Float:
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
