"""Half-space trees: how many rows fell where a row falls, in complete trees of random halvings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit

from tapeline.models.base import State
from tapeline.types import Float, Int

_TREES = 25
_DEPTH = 8
_WINDOW = 250
_LEAST = 25
_TAIL = 0.02


@dataclass(slots=True, eq=False)
class HalfSpaces:
    """Trees as arrays: the children of node i are 2 i + 1 and 2 i + 2.

    Attributes:
        low: of each input in training, without its lowest 2 % (k).
        span: from there to without its highest 2 %; infinite where it does not move (k).
        column: which input each inner node halves (trees x inner nodes).
        cut: where, in units of the span (trees x inner nodes).
        counted: how many of the last whole window of rows fell into each node (trees x nodes).
        counting: how many of the running window did.
        seen: how many rows the running window has.
    """

    low: Float
    span: Float
    column: Int
    cut: Float
    counted: Int
    counting: Int
    seen: int = 0

    @classmethod
    def of(cls, rows: Float, seed: int) -> Self:
        """Make trees for rows of this kind: each halves the range around a random middle, input after input."""
        draw = np.random.default_rng(seed)
        low, high = np.quantile(rows, (_TAIL, 1 - _TAIL), axis=0)
        span = np.where(high > low, high - low, np.inf)
        inner = 2**_DEPTH - 1
        column = draw.integers(0, rows.shape[1], (_TREES, inner))
        middles = draw.uniform(size=(_TREES, rows.shape[1]))
        cut = np.stack([_halved(of_tree, middle) for of_tree, middle in zip(column, middles, strict=True)])
        counts = np.zeros((2, _TREES, 2 * inner + 1), np.int64)
        return cls(low, span, column, cut, counts[0], counts[1])

    def learn(self, rows: Float) -> None:
        """Count rows; every 250 of them become the reference."""
        scaled = self._scaled(rows)
        self.seen = int(_learn(scaled, self.column, self.cut, self.counted, self.counting, self.seen))

    def mass(self, rows: Float) -> Float:
        """Return the logarithm of how crowded the place of each row is, summed over the trees (n)."""
        reference = self.counted if self.counted.any() else self.counting
        found: Float = _mass(self._scaled(rows), self.column, self.cut, reference)
        return found

    def _scaled(self, rows: Float) -> Float:
        return np.ascontiguousarray((rows - self.low) / self.span)

    def state(self) -> State:
        """Return everything as plain values; the span of an input that does not move is null."""
        span = [value if np.isfinite(value) else None for value in self.span.tolist()]
        arrays = {name: getattr(self, name).tolist() for name in ("low", "column", "cut", "counted", "counting")}
        return {**arrays, "span": span, "seen": self.seen}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it again from its plain values."""
        span = np.array([np.inf if value is None else value for value in state["span"]], np.float64)
        low, cut = np.array(state["low"], np.float64), np.array(state["cut"], np.float64)
        column, counted, counting = (np.array(state[name], np.int64) for name in ("column", "counted", "counting"))
        nodes = (len(cut), 2 * cut.shape[1] + 1)
        whole = column.shape == cut.shape and counted.shape == counting.shape == nodes and low.shape == span.shape
        if not whole or column.min() < 0 or column.max() >= len(low):
            raise ValueError("the trees are not whole")
        return cls(low, span, column, cut, counted, counting, int(state["seen"]))


def _halved(column: Int, middle: Float) -> Float:
    """Return the middle of each inner node's range; the range of an input holds its middle and all of [0, 1]."""
    reach = 2 * np.maximum(middle, 1 - middle)
    bounds = {0: np.stack((middle - reach, middle + reach))}
    cut: Float = np.empty(len(column))
    for node, which in enumerate(column.tolist()):
        low, high = bounds.pop(node)
        cut[node] = (low[which] + high[which]) / 2
        if 2 * node + 2 < 2 * len(column) + 1:
            left, right = np.stack((low, high)), np.stack((low, high))
            left[1, which] = right[0, which] = cut[node]
            bounds[2 * node + 1], bounds[2 * node + 2] = left, right
    return cut


@njit(cache=True, nogil=True)
def _learn(scaled: Any, column: Any, cut: Any, counted: Any, counting: Any, seen: int) -> int:
    """Count rows into the running window, and let it become the reference when it is whole."""
    inner = cut.shape[1]
    for row in range(len(scaled)):
        for tree in range(len(cut)):
            node = 0
            counting[tree, node] += 1
            while node < inner:
                node = 2 * node + 1 + (scaled[row, column[tree, node]] >= cut[tree, node])
                counting[tree, node] += 1
        seen += 1
        if seen == _WINDOW:
            counted[:] = counting
            counting[:] = 0
            seen = 0
    return seen


@njit(cache=True, nogil=True)
def _mass(scaled: Any, column: Any, cut: Any, counted: Any) -> Any:
    """Return the sum over trees of log2(count + 1) + depth at the first node with few rows, or at the leaf."""
    inner = cut.shape[1]
    total = np.zeros(len(scaled))
    for row in range(len(scaled)):
        for tree in range(len(cut)):
            node, depth = 0, 0
            while node < inner and counted[tree, node] > _LEAST:
                node = 2 * node + 1 + (scaled[row, column[tree, node]] >= cut[tree, node])
                depth += 1
            total[row] += np.log2(counted[tree, node] + 1.0) + depth
    return total
