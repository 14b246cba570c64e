"""Random forests (scikit-learn), served by ONNX Runtime.

Every tree sees a part of the rows and, at each split, a part of the inputs; leaves are large, as neighbouring rows
share their outcomes. For classes the trees learn each class as a number between 0 and 1, and the scores are its
logarithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from tapeline.models.base import Range, State
from tapeline.models.goals import Goal
from tapeline.models.onnx_graph import Graph
from tapeline.models.onnx_trees import mean_of_trees
from tapeline.models.scored import Lesson, Scored
from tapeline.types import Float

_TREES = 100
_LEAST = 1e-3
_SHARE = 0.6
_MOST_ROWS = 4_000


class Forest:
    """The mean of many trees."""

    size = _TREES

    def __init__(self, graph: Graph, base: tuple[float, ...], classes: int) -> None:
        self._graph = graph
        self._base = np.array(base)
        self._classes = classes

    def scores(self, rows: Float) -> Float:
        """Return what the trees add to the base (n x width)."""
        mean = self._graph.run(rows)
        if not self._classes:
            return mean
        share = np.clip(mean, _LEAST, 1 - _LEAST)
        odds = np.log(share / (1 - share)) if self._classes == 2 else np.log(share)
        return np.asarray(odds - self._base, np.float64)

    def state(self) -> State:
        """Return the graph."""
        return {**self._graph.state(), "base": self._base.tolist(), "classes": self._classes}


class _RandomForest(Scored):
    """100 trees with leaves of at least a fiftieth of the rows, each split among a third of the inputs.

    Each tree grows from six tenths of the rows, at most 4,000, drawn for it; its leaves are then as much smaller.
    """

    name = "forest"
    alone = False
    by_default = False
    space: ClassVar[Mapping[str, Range]] = {
        "leaf_share": Range(0.005, 0.1, 0.02, log=True),
        "inputs_share": Range(0.1, 0.5, 1 / 3),
    }
    quick: ClassVar[Mapping[str, float]] = {"trees": 10}

    @classmethod
    def largest(cls, rows: int) -> int:
        """Return 100 trees, always all of them; fewer while numbers are searched."""
        return int(cls.chosen.get("trees", _TREES))

    @classmethod
    def train(cls, early: Lesson, late: Lesson | None, size: int) -> Forest:
        """Grow the trees."""
        from sklearn.ensemble import RandomForestRegressor

        rows = len(early.rows)
        share, inputs = cls.chosen.get("leaf_share", 0.02), cls.chosen.get("inputs_share", 1 / 3)
        drawn = min(_MOST_ROWS, max(10, round(_SHARE * rows)))
        leaf = max(5, int(min(rows, _MOST_ROWS / _SHARE) * share + 1e-9))
        forest = RandomForestRegressor(
            cls.largest(rows),
            min_samples_leaf=leaf,
            max_features=inputs,
            max_samples=drawn,
            random_state=early.seed,
            n_jobs=1,
        )
        forest.fit(early.rows, _wanted(early.goal, early.learnt), sample_weight=early.weights)
        trees = [tree.tree_ for tree in forest.estimators_]
        leaves = [tree.value[:, :, 0] for tree in trees]
        raw = mean_of_trees(trees, leaves, early.rows.shape[1])
        graph = Graph(f"model {cls.name} ({cls.target})", raw, early.rows.shape[1:], len(early.goal.base))
        return Forest(graph, early.goal.base, early.goal.classes)

    @classmethod
    def restore(cls, state: State) -> Forest:
        """Read the graph."""
        graph = Graph.from_state(f"model {cls.name} ({cls.target})", state)
        return Forest(graph, tuple(float(base) for base in state["base"]), int(state["classes"]))


def _wanted(goal: Goal, learnt: Float) -> Float:
    return np.eye(goal.classes)[learnt.astype(np.int64)] if goal.classes > 2 else learnt


class ForestReturn(_RandomForest):
    """Regress the return."""

    target = "return"


class ForestDirection(_RandomForest):
    """Classify the direction."""

    target = "direction"


class ForestDirection3(_RandomForest):
    """Classify the direction with a dead band."""

    target = "direction3"


class ForestBarrier(_RandomForest):
    """Classify which barrier is met first."""

    target = "barrier"


class ForestVolatility(_RandomForest):
    """Regress the logarithm of the volatility."""

    target = "volatility"
