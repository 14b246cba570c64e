"""Models made of an engine that gives scores: what trees and networks share.

An engine learns from the earlier four fifths of the training rows; on the last fifth it is decided how large it may be
(early stopping) and how far its scores are to be trusted (`Goal.slope`, which calibrates probabilities). Then it learns
anew from all rows, unless that takes too long.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from tapeline.errors import InputError
from tapeline.models.base import Explanation, Model, State, inner_split
from tapeline.models.explaining import attribute, reference
from tapeline.models.goals import Goal
from tapeline.types import Float


class Engine(Protocol):
    """What gives scores."""

    @property
    def size(self) -> int:
        """Return how many trees or passes it is made of."""

    def scores(self, rows: Float) -> Float:
        """Return what it adds to the base of each row (n x width)."""

    def state(self) -> Mapping[str, Any]:
        """Return it as plain values."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What an engine learns from: rows, what is to be learnt of each, how much each counts; and the goal."""

    rows: Float
    learnt: Float
    weights: Float | None
    goal: Goal
    seed: int

    def part(self, rows: slice) -> Lesson:
        """Return some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        return Lesson(self.rows[rows], self.learnt[rows], weights, self.goal, self.seed)


class Scored(Model):
    """Answer by the link of base + slope * the engine's scores."""

    refits: ClassVar[bool] = True

    def __init__(self) -> None:
        self.goal: Goal | None = None
        self.slope = 0.0
        self.usual: Float = np.empty(0)
        self.engine: Engine | None = None

    @classmethod
    @abstractmethod
    def train(cls, early: Lesson, late: Lesson | None, size: int) -> Engine:
        """Make an engine from early rows; with late rows they decide its size, at most ``size``."""

    @classmethod
    @abstractmethod
    def restore(cls, state: State) -> Engine:
        """Make an engine again from its plain values."""

    @classmethod
    @abstractmethod
    def largest(cls, rows: int) -> int:
        """Return the largest size to try for so many rows."""

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
        """Choose size and slope by time inside the rows, then fit on all of them."""
        self.goal, self.usual, self.slope, self.engine = Goal.of(self.target, labels), reference(rows), 0.0, None
        lesson = Lesson(rows, self.goal.learnt(labels), weights, self.goal, seed)
        parts = inner_split(len(rows), overlap)
        early, late = (lesson.part(part) for part in parts)
        if early.learnt.min() == early.learnt.max():
            return self
        engine = self.train(early, late, self.largest(len(early.rows)))
        self.slope = self.goal.slope(engine.scores(late.rows), late.learnt, late.weights) if engine.size else 0.0
        if self.slope > 0:
            self.engine = self.train(lesson, None, engine.size) if self.refits else engine
        return self

    def scores(self, rows: Float) -> Float:
        """Return the whole scores (n x width)."""
        if self.goal is None:
            raise InputError(f"model {self.name}", "has learnt nothing", expected="fit or load first", was="neither")
        base = np.broadcast_to(np.asarray(self.goal.base), (len(rows), len(self.goal.base)))
        if self.engine is None or not len(rows):
            return base.copy()
        return base + self.slope * self.engine.scores(rows)

    def predict(self, rows: Float) -> Float:
        """Return what the target asks of each row."""
        scores = self.scores(rows)
        assert self.goal is not None
        return self.goal.said(scores)

    def explain(self, row: Float) -> Explanation:
        """Return what changes with each input: see `attribute`."""
        which = int(self.scores(row[None])[0].argmax())
        goal = self.goal
        assert goal is not None
        return attribute(lambda rows: goal.explained(self.scores(rows), which), self.usual, row, goal.unit)

    def state(self) -> State:
        """Return goal, slope and the engine's own state."""
        if self.goal is None:
            raise InputError(f"model {self.name}", "has learnt nothing", expected="fit first", was="nothing")
        return {
            "base": list(self.goal.base),
            "scale": self.goal.scale,
            "slope": self.slope,
            "usual": self.usual.tolist(),
            "engine": None if self.engine is None else dict(self.engine.state()),
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from goal, slope and the engine's state."""
        made = cls()
        made.goal = Goal.from_state({**state, "target": cls.target})
        made.slope = float(state["slope"])
        made.usual = np.array(state["usual"], np.float64)
        made.engine = None if state["engine"] is None else cls.restore(state["engine"])
        return made
