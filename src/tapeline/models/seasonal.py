"""The baseline of the clock: what usually happens at this hour of the day (UTC)."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from tapeline.models.base import Explanation, Model, State, log_odds, share_up
from tapeline.types import Float

_HOURS = 24


class _Seasonal(Model):
    """The mean outcome of the row's hour, drawn to the mean of all by ``strength`` rows."""

    name = "seasonal"
    baseline = True
    timed = True
    strength: ClassVar[float]
    unit: ClassVar[str]

    def __init__(self, base: float = 0.0, hours: tuple[float, ...] = (0.0,) * _HOURS) -> None:
        self.base = base
        self.hours = hours

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
        """Take the mean of each hour."""
        self.base = self._middle(labels)
        hour = self._hour(rows)
        counts = np.bincount(hour, minlength=_HOURS) / overlap
        sums = np.bincount(hour, weights=labels - self.base, minlength=_HOURS) / overlap
        self.hours = tuple((sums / (counts + self.strength)).tolist())
        return self

    @staticmethod
    def _middle(labels: Float) -> float:
        return float(labels.mean())

    @staticmethod
    def _hour(rows: Float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.clip(rows[:, -1] * _HOURS, 0, _HOURS - 1).astype(np.int64)

    def predict(self, rows: Float) -> Float:
        """Return the mean of each row's hour (n)."""
        return self.base + np.array(self.hours)[self._hour(rows)]

    def explain(self, row: Float) -> Explanation:
        """Return what the hour added."""
        added = self.hours[int(self._hour(row[None])[0])]
        return Explanation(self.base, (*(0.0,) * (len(row) - 1), added), self.unit)

    def state(self) -> State:
        """Return the mean, and what each hour adds."""
        return {"base": self.base, "hours": list(self.hours)}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from its means."""
        hours = tuple(float(hour) for hour in state["hours"])
        if len(hours) != _HOURS:
            raise ValueError("there are not 24 hours")
        return cls(float(state["base"]), hours)


class SeasonalReturn(_Seasonal):
    """The mean return of the hour, as if 100 more rows without overlap had been as the whole day."""

    target = "return"
    strength = 100.0
    unit = "log return"


class SeasonalDirection(_Seasonal):
    """The share of rises in the hour, likewise."""

    target = "direction"
    strength = 100.0
    unit = "log odds of going up"

    @staticmethod
    def _middle(labels: Float) -> float:
        return share_up(labels)

    def explain(self, row: Float) -> Explanation:
        """Return what the hour added to the log odds."""
        said = float(self.predict(row[None])[0])
        base = log_odds(self.base)
        return Explanation(base, (*(0.0,) * (len(row) - 1), log_odds(said) - base), self.unit)
