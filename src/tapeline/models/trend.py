"""Whether the market trends or ranges: how far it goes over the horizon, beside a walk of the same steps.

The past return over the horizon is seen in units of what a walk would make of the steps around it. The steps come from
the same numbers: a return over h rows less that of the row before is the step that came less the one that left, so its
mean square is twice that of a step, and h / 2 times it is what a walk makes over the horizon. The ratio is one of
variances (Lo and MacKinlay 1988): it knows no volatility, so that a loud market is no trend.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np

from tapeline.models.base import State
from tapeline.models.explaining import reference
from tapeline.models.mixture import Mixture
from tapeline.models.regime import HiddenMarkov
from tapeline.types import Float

_LIMIT = 20.0
_STILL = 1e-12
_LEAST = 1e-3


def beside_a_walk(moves: Float, steps: int) -> Float:
    """Return past returns in units of a walk of the same steps (n x w), held at 20; 1 where nothing moved.

    ``R_t / sqrt(h / 2 * mean((R_t - R_(t-1))^2))``, the mean over the window.

    Args:
        moves: past returns over the horizon, the newest last (n x w).
        steps: how many rows the horizon spans, h.

    >>> beside_a_walk(np.array([[1.0, -1.0, 1.0], [0.0, 0.0, 0.0]]), 1).round(3).tolist()
    [[0.707, -0.707, 0.707], [1.0, 1.0, 1.0]]
    """
    squares = np.cumsum(np.diff(moves, axis=1) ** 2, axis=1)[:, -1:]
    walk = np.sqrt(squares * (steps / 2 / (moves.shape[1] - 1)))
    seen = np.clip(moves / np.maximum(walk, _STILL), -_LIMIT, _LIMIT)
    return np.where(np.abs(moves).max(axis=1, keepdims=True) > _STILL, seen, 1.0)


class _Trend:
    """What both models of trends explain from: where nothing moves nothing is known."""

    past: int

    def _usual(self, rows: Float) -> Float:
        usual = reference(rows)
        usual[self.past] = 0.0
        return usual


class TrendMixture(_Trend, Mixture):
    """Two normals of the logarithm of the ratio of variances of the last 30 rows; it knows no chain."""

    target = "trend"

    def __init__(self) -> None:
        super().__init__()
        self.steps = 1

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
        """Learn centres, spread and shares; nothing is random but the data."""
        self.steps = max(1, overlap)
        return super().fit(rows, labels, seed=seed, overlap=overlap, past=past, weights=weights)

    def _level(self, rows: Float) -> Float:
        seen = beside_a_walk(rows[:, :, self.past], self.steps)
        squares = np.cumsum(seen * seen, axis=1)[:, -1] / self.window
        return np.array([math.log(max(square, _LEAST)) for square in squares.tolist()])

    def state(self) -> State:
        """Return centres, spread, shares and the horizon."""
        return super().state() | {"steps": self.steps}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from centres, spread, shares and the horizon."""
        made = super().from_state(state)
        made.steps = int(state["steps"])
        return made


class TrendMarkov(_Trend, HiddenMarkov):
    """A hidden Markov model of two regimes: returns that are smaller than a walk's, and larger ones."""

    target = "trend"

    def _begin(self, moves: Float) -> Float:
        """Return the spreads of the stretches that range and trend most: single returns of both are alike."""
        level: Float = np.sqrt(np.quantile((moves * moves).mean(axis=1), (0.2, 0.8)))
        return level

    def _seen(self, rows: Float) -> Float:
        return beside_a_walk(rows[:, :, self.past], round(1 / self.counts))
