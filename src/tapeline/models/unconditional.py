"""Baselines that do not look at the row: the mean return of training, and how often each class came."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from tapeline.models.base import Explanation, Model, State, log_odds
from tapeline.models.goals import class_shares
from tapeline.models.targets import TARGETS
from tapeline.types import Float


class Drift(Model):
    """Say that the price goes on as it went in training: the mean return, for every row.

    >>> Drift().fit(np.ones((2, 1)), np.array([0.1, 0.3]), seed=0).predict(np.ones((1, 1))).tolist()
    [0.2]
    """

    name = "drift"
    target = "return"
    baseline = True

    def __init__(self, mean: float = 0.0) -> None:
        self.mean = mean

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
        """Take the mean."""
        self.mean = float(np.average(labels, weights=weights))
        return self

    def predict(self, rows: Float) -> Float:
        """Return the mean for each row."""
        return np.full(len(rows), self.mean)

    def explain(self, row: Float) -> Explanation:
        """Return no contribution."""
        return Explanation(self.mean, (0.0,) * len(row), "log return")

    def state(self) -> State:
        """Return the mean."""
        return {"mean": self.mean}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from the mean."""
        return cls(float(state["mean"]))


class _Shares(Model):
    """Give the share of each class in training, (count + 1) / (n + classes), as its probability."""

    name = "majority"
    baseline = True
    target: ClassVar[str]

    def __init__(self, shares: tuple[float, ...] = ()) -> None:
        self.shares = shares

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
        """Count."""
        self.shares = tuple(class_shares(labels, TARGETS[self.target].width))
        return self

    def predict(self, rows: Float) -> Float:
        """Return the shares for each row (n x classes)."""
        return np.tile(self.shares, (len(rows), 1))

    def explain(self, row: Float) -> Explanation:
        """Return no contribution."""
        return Explanation(log_odds(max(self.shares)), (0.0,) * len(row), "log odds of the likeliest class")

    def state(self) -> State:
        """Return the shares."""
        return {"shares": list(self.shares)}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from the shares."""
        shares = tuple(float(share) for share in state["shares"])
        if len(shares) != TARGETS[cls.target].width:
            raise ValueError("there is not one share per class")
        return cls(shares)


class MajorityDirection3(_Shares):
    """The shares of down, flat and up."""

    target = "direction3"


class MajorityBarrier(_Shares):
    """The shares of the barriers."""

    target = "barrier"
