"""How odd a row is: robust z-scores, isolation forest, and half-space trees that learn online.

Each gives a row a score of its own kind, and answers with the share of rows that were less odd. The rows it is compared
with are the last of those given to `fit`, which the score was not learnt from: a fifth of them, of few rows up to half.
So on quiet data "odder than 99 %" is said of 1 % of the rows, whatever the score's scale. That needs 99 rows to be
compared with (`rows_needed`): the oddest of fewer is no odder than one of them.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Self

import numpy as np

from tapeline.models.base import Explanation, Model, Online, State, inner_split
from tapeline.models.explaining import attribute, reference
from tapeline.models.half_space import HalfSpaces
from tapeline.models.onnx_graph import Graph
from tapeline.models.onnx_trees import mean_of_trees
from tapeline.types import Float

LEAST_RATE = 0.001
"""Rarer anomalies cannot be told: at most 2000 rows are kept to be compared with."""
_KNOTS = 2000
_COMPARED = 200
_TREES = 100
_SAMPLE = 256


def rows_needed(rate: float) -> int:
    """Return how many rows a row must be compared with, so that the oddest ``rate`` of them can be told.

    >>> rows_needed(0.01), rows_needed(0.05)
    (99, 19)
    """
    return math.ceil(round(1 / rate, 9)) - 1


def _parts(rows: int, overlap: int = 1) -> tuple[slice, slice]:
    """Split training rows into those the score is learnt from, and those that a row is compared with."""
    return inner_split(rows, overlap, min(0.5, max(0.2, _COMPARED / rows)))


def rows_compared(rows: int) -> int:
    """Return how many of so many training rows a row is compared with, at most as many as are kept.

    >>> rows_compared(197), rows_compared(1998), rows_compared(50_000)
    (98, 400, 2000)
    """
    _, later = _parts(rows)
    return min(len(range(rows)[later]), _KNOTS)


class _Anomaly(Model):
    """A score of oddness, turned into the share of comparable rows below it."""

    target = "anomaly"

    def __init__(self) -> None:
        self.usual: Float = np.empty(0)
        self.knots: Float = np.empty(0)

    def fit(
        self,
        rows: Float,
        labels: Float,
        *,
        seed: int,
        overlap: int = 1,
        past: int = -1,
        weights: Float | None = None,
    ) -> Self:
        """Learn the score from the earlier rows, and how it is distributed from the later ones."""
        learn, choose = _parts(len(rows), overlap)
        self.usual = reference(rows)
        self._learn(rows[learn], seed)
        scores = np.sort(self._odd(rows[choose]))
        if len(scores) > _KNOTS:
            scores = scores[np.linspace(0, len(scores) - 1, _KNOTS).round().astype(np.int64)]
        self.knots = scores
        return self

    @property
    def compared(self) -> int:
        """Return with how many rows a row is compared."""
        return len(self.knots)

    @abstractmethod
    def _learn(self, rows: Float, seed: int) -> None:
        """Learn what is usual."""

    @abstractmethod
    def _odd(self, rows: Float) -> Float:
        """Return how odd each row is (n), on a scale of its own."""

    def predict(self, rows: Float) -> Float:
        """Return which share of comparable rows was less odd (n), strictly between 0 and 1."""
        below = np.searchsorted(np.sort(self.knots), self._odd(rows)) if len(rows) else np.empty(0)
        return np.asarray((below + 1.0) / (len(self.knots) + 2.0), np.float64)

    def explain(self, row: Float) -> Explanation:
        """Return what changes with each input: see `attribute`."""
        return attribute(self.predict, self.usual, row, "share of rows that were less odd")

    def state(self) -> State:
        """Return the knots of the score's distribution, and what a subclass learnt."""
        return {"usual": self.usual.tolist(), "knots": self.knots.tolist(), **self._learnt()}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from what `state` gave."""
        made = cls()
        made.usual = np.array(state["usual"], np.float64)
        made.knots = np.array(state["knots"], np.float64)
        made._relearn(state)
        return made

    @abstractmethod
    def _learnt(self) -> State:
        """Return what was learnt, as plain values."""

    @abstractmethod
    def _relearn(self, state: State) -> None:
        """Take what `_learnt` gave."""


class RobustZScore(_Anomaly):
    """The largest distance of an input from its median, in 1.4826 median absolute deviations.

    Where more than half of the values of an input are equal, its standard deviation is the unit; an input that never
    moved says nothing.
    """

    name = "robust_zscore"
    baseline = True

    def _learn(self, rows: Float, seed: int) -> None:
        self.middle = np.median(rows, axis=0)
        spread = 1.4826 * np.median(np.abs(rows - self.middle), axis=0)
        spread = np.where(spread > 0, spread, rows.std(axis=0))
        self.spread = np.where((rows.min(axis=0) < rows.max(axis=0)) & (spread > 0), spread, np.inf)

    def _odd(self, rows: Float) -> Float:
        distance: Float = np.abs((rows - self.middle) / self.spread).max(axis=1)
        return distance

    def _learnt(self) -> State:
        spread = [value if np.isfinite(value) else None for value in self.spread.tolist()]
        return {"middle": self.middle.tolist(), "spread": spread}

    def _relearn(self, state: State) -> None:
        self.middle = np.array(state["middle"], np.float64)
        self.spread = np.array([np.inf if value is None else value for value in state["spread"]], np.float64)


class IsolationForest(_Anomaly):
    """How few random splits cut a row off from the others: ``2^(-mean depth / c(256))``.

    100 trees of scikit-learn on 256 rows each, served by ONNX Runtime.

    Source: Liu, Ting and Zhou (2008), Isolation forest.
    """

    name = "isolation_forest"

    def _learn(self, rows: Float, seed: int) -> None:
        from sklearn.ensemble import IsolationForest as Forest

        drawn = min(_SAMPLE, len(rows))
        forest = Forest(n_estimators=_TREES, max_samples=drawn, random_state=seed).fit(rows)
        trees = [tree.tree_ for tree in forest.estimators_]
        raw = mean_of_trees(trees, [_depths(tree) for tree in trees], rows.shape[1])
        self.graph = Graph("model isolation_forest", raw, rows.shape[1:], 1)
        self.usual_depth = float(_average_depth(np.array([drawn]))[0]) or 1.0

    def _odd(self, rows: Float) -> Float:
        return np.asarray(2.0 ** (-self.graph.run(rows)[:, 0] / self.usual_depth), np.float64)

    def _learnt(self) -> State:
        return {**self.graph.state(), "usual_depth": self.usual_depth}

    def _relearn(self, state: State) -> None:
        self.graph = Graph.from_state("model isolation_forest", state)
        self.usual_depth = float(state["usual_depth"])


class HalfSpaceTrees(_Anomaly, Online):
    """How few rows fell lately where this one falls, in random halvings of the space of inputs.

    `learn_one` replaces the reference every 250 rows, and the oldest score it is compared with.

    Source: Tan, Ting and Liu (2011), Fast anomaly detection for streaming data.
    """

    name = "half_space_trees"

    def _learn(self, rows: Float, seed: int) -> None:
        self.oldest = 0
        self.spaces = HalfSpaces.of(rows, seed)
        self.spaces.learn(rows)

    def learn_one(self, row: Float, label: float) -> None:
        """Count the row; the label is not looked at."""
        self.knots[self.oldest] = self._odd(row[None])[0]
        self.oldest = (self.oldest + 1) % len(self.knots)
        self.spaces.learn(row[None])

    def _odd(self, rows: Float) -> Float:
        return -self.spaces.mass(rows)

    def _learnt(self) -> State:
        return {"oldest": self.oldest, **self.spaces.state()}

    def _relearn(self, state: State) -> None:
        self.oldest = int(state["oldest"])
        self.spaces = HalfSpaces.from_state(state)


def _depths(tree: Any) -> Float:
    """Return for each node its depth and the mean depth of a random tree of its rows (nodes x 1)."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # a parent stands before its children
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return (depth + _average_depth(tree.n_node_samples))[:, None]


def _average_depth(rows: np.ndarray[Any, Any]) -> Float:
    """Return the mean depth of an unsuccessful search in a binary tree of so many rows: c(n) of the paper."""
    many = np.maximum(rows, 3)
    long = 2 * (np.log(many - 1.0) + np.euler_gamma) - 2 * (many - 1.0) / many
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, long))
