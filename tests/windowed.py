"""A model of a user that looks back: a tenth of the mean past return of its last 7 rows."""

from __future__ import annotations

from typing import Self

import numpy as np

from tapeline.models.base import Explanation, Model, State
from tapeline.models.explaining import attribute
from tapeline.types import Float


class Windowed(Model):
    name = "windowed"
    target = "return"
    window = 7

    def __init__(self, past: int = -1) -> None:
        self.past = past

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
        assert rows.shape[1] == 7
        self.past = past
        return self

    def predict(self, rows: Float) -> Float:
        total: Float = np.cumsum(rows[:, :, self.past], axis=1)[:, -1]
        return total / 70

    def explain(self, row: Float) -> Explanation:
        return attribute(self.predict, np.zeros(row.shape[1]), row, "log return")

    def state(self) -> State:
        return {"past": self.past}

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls(int(state["past"]))
