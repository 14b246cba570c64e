"""The baseline of regimes: low, normal or high volatility by the level of late alone.

It knows no chain: what came before the last 30 rows says nothing. A model of regimes that remembers must beat it.
Trend and range have the same baseline of another level: `tapeline.models.trend`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np

from tapeline.models.base import Explanation, Model, State, log_odds
from tapeline.models.explaining import attribute, reference
from tapeline.models.goals import softmax
from tapeline.models.persistence import seen_lately
from tapeline.models.targets import TARGETS
from tapeline.types import Float

_PASSES = 50
_LEAST = 1e-3


class Mixture(Model):
    """A mixture of normals, one per class, of the logarithm of the volatility of the last 30 rows, learnt by EM.

    All have one spread, so that the higher the volatility, the likelier the higher regime, however far out.

    Source: McLachlan and Peel (2000), Finite mixture models.
    """

    name = "mixture"
    target = "regime"
    baseline = True
    window = 30

    def __init__(self) -> None:
        self.past = -1
        self.usual: Float = np.empty(0)
        self.centres: Float = np.empty(0)
        self.spread = 1.0
        self.shares: Float = np.empty(0)

    @property
    def reads(self) -> Sequence[int]:
        """Return the place of the past return."""
        return (self.past,)

    def _usual(self, rows: Float) -> Float:
        """Return the row that explanations begin from (k)."""
        return reference(rows)

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
        from scipy import special

        self.past = past % rows.shape[-1]
        self.usual = self._usual(rows)
        level, classes = self._level(rows), TARGETS[self.target].width
        self.centres = np.quantile(level, (np.arange(classes) + 0.5) / classes)
        self.spread, self.shares = max(float(level.std()), _LEAST), np.full(classes, 1 / classes)
        for _ in range(_PASSES):
            chances = special.softmax(self._scores(level), axis=1)
            weight = chances.sum(axis=0) + _LEAST
            self.shares = weight / weight.sum()
            self.centres = ((chances * level[:, None]).sum(axis=0) + _LEAST * self.centres) / weight
            away = (level[:, None] - self.centres) ** 2
            self.spread = max(math.sqrt(float((chances * away).sum()) / len(level)), _LEAST)
        order = np.argsort(self.centres, kind="stable")
        self.shares, self.centres = self.shares[order], self.centres[order]
        return self

    def _level(self, rows: Float) -> Float:
        return seen_lately(rows[:, :, self.past], np.ones(self.window))

    def _scores(self, level: Float) -> Float:
        return np.log(self.shares) - 0.5 * ((level[:, None] - self.centres) / self.spread) ** 2

    def predict(self, rows: Float) -> Float:
        """Return the probability of each class, the lowest first (n x classes)."""
        return softmax(self._scores(self._level(rows)))

    def explain(self, row: Float) -> Explanation:
        """Return what the past returns added to the log odds of the likeliest regime."""
        which = int(self.predict(row[None])[0].argmax())

        def score(rows: Float) -> Float:
            chances = np.clip(self.predict(rows)[:, which], 1e-9, 1 - 1e-9)
            return np.array([log_odds(chance) for chance in chances.tolist()])

        return attribute(score, self.usual, row, "log odds of the likeliest class")

    def state(self) -> State:
        """Return centres, spread and shares."""
        arrays = {name: getattr(self, name).tolist() for name in ("usual", "centres", "shares")}
        return {"past": self.past, "spread": self.spread, **arrays}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from centres, spread and shares."""
        made = cls()
        made.past, made.spread = int(state["past"]), float(state["spread"])
        for name in ("usual", "centres", "shares"):
            setattr(made, name, np.array(state[name], np.float64))
        if not made.centres.shape == made.shares.shape == (TARGETS[cls.target].width,):
            raise ValueError("there is not one centre per class")
        return made
