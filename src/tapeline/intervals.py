"""A set of integers kept as intervals: memory grows with the number of holes, never with the number of members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tapeline.types import Bool, Int


class Intervals:
    """A set of integers as sorted, disjoint, non-touching intervals, both ends included.

    >>> seen = Intervals(); seen.add(np.array([1, 2, 3, 7])); seen.add(np.array([5]))
    >>> seen.spans(), seen.holes()
    ([(1, 3), (5, 5), (7, 7)], [(4, 4), (6, 6)])
    """

    def __init__(self, spans: Int | None = None) -> None:
        self._spans: Int = np.empty((0, 2), np.int64) if spans is None else spans

    def contains(self, ids: Int) -> Bool:
        """Return for each id whether it is a member."""
        if not len(self._spans):
            return np.zeros(len(ids), np.bool_)
        place = np.searchsorted(self._spans[:, 0], ids, side="right") - 1
        inside: Bool = (place >= 0) & (ids <= self._spans[np.maximum(place, 0), 1])
        return inside

    def add(self, ids: Int) -> None:
        """Add sorted ids."""
        if not len(ids):
            return
        cuts = np.flatnonzero(np.diff(ids) > 1)
        runs = np.column_stack([ids[np.r_[0, cuts + 1]], ids[np.r_[cuts, len(ids) - 1]]])
        if len(runs) == 1:
            self.add_span(int(runs[0, 0]), int(runs[0, 1]))
        else:
            self._add(runs)

    def add_span(self, first: int, last: int) -> None:
        """Add the ids from first to last."""
        if len(self._spans) and self._spans[-1, 1] + 1 == first:
            self._spans[-1, 1] = last
        else:
            self._add(np.array([[first, last]], np.int64))

    def add_spans(self, spans: Sequence[tuple[int, int]]) -> None:
        """Add the ids of many intervals, in any order, at once."""
        if spans:
            self._add(np.array(spans, np.int64))

    def _add(self, runs: Int) -> None:
        """Add intervals (at least one) in any order; what ends before all of them is not looked at."""
        at = int(np.searchsorted(self._spans[:, 1], runs[:, 0].min() - 1))
        self._spans = np.concatenate([self._spans[:at], _merged(np.vstack([self._spans[at:], runs]))])

    def end_of(self, value: int) -> int | None:
        """Return the last id of the interval that holds ``value``, None if none does."""
        if not len(self._spans):
            return None
        place = int(np.searchsorted(self._spans[:, 0], value, side="right")) - 1
        inside = place >= 0 and value <= self._spans[place, 1]
        return int(self._spans[place, 1]) if inside else None

    def holding(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """Return the intervals that hold members, in order."""
        places = np.unique(np.searchsorted(self._spans[:, 0], np.array(ids, np.int64), side="right") - 1)
        return [(first, last) for first, last in self._spans[places].tolist()]

    def newest(self, count: int) -> list[tuple[int, int]]:
        """Return the last intervals, at most ``count`` of them, in order."""
        return [(first, last) for first, last in self._spans[-count:].tolist()]

    def spans(self) -> list[tuple[int, int]]:
        """Return the intervals, in order."""
        return [(int(first), int(last)) for first, last in self._spans]

    def holes(self) -> list[tuple[int, int]]:
        """Return what is missing between the intervals, in order."""
        if len(self._spans) < 2:
            return []
        firsts, lasts = self._spans[:-1, 1] + 1, self._spans[1:, 0] - 1
        return list(zip(firsts.tolist(), lasts.tolist(), strict=True))

    def to_array(self) -> NDArray[np.int64]:
        """Return the intervals as n x 2 integers."""
        return self._spans

    def __len__(self) -> int:
        """Return the number of intervals."""
        return len(self._spans)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read back ``to_array().tobytes()``."""
        return cls(np.frombuffer(data, np.int64).reshape(-1, 2).copy())


def overlaps(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield what two sorted lists of disjoint intervals have in common.

    >>> list(overlaps([(1, 5), (8, 9)], [(4, 8)]))
    [(4, 5), (8, 8)]
    """
    at = 0
    for first, last in left:
        while at < len(right) and right[at][1] < first:
            at += 1
        for other in islice(right, at, None):
            if other[0] > last:
                break
            yield max(first, other[0]), min(last, other[1])


def without(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield what is in the first of two sorted lists of disjoint intervals and not in the second.

    >>> list(without([(1, 5), (8, 9)], [(4, 8)]))
    [(1, 3), (9, 9)]
    """
    at = 0
    for first, last in left:
        while at < len(right) and right[at][1] < first:
            at += 1
        rest = first
        for other in islice(right, at, None):
            if other[0] > last:
                break
            if other[0] > rest:
                yield rest, other[0] - 1
            rest = other[1] + 1
        if rest <= last:
            yield rest, last


def _merged(spans: Int) -> Int:
    """Sort intervals and join those that overlap or touch."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    begins = np.r_[True, spans[1:, 0] > reach[:-1] + 1]
    ends = np.r_[begins[1:], True]
    return np.ascontiguousarray(np.column_stack([spans[begins, 0], reach[ends]]))
