"""Scoring predictions as their outcomes become known, against the forecast that the price stays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from tapeline.types import Prediction, Records


@dataclass(frozen=True, slots=True)
class Scored:
    """A prediction and the log return that came."""

    prediction: Prediction
    outcome: float

    @property
    def inside(self) -> bool:
        """Return whether the outcome lies in the interval."""
        return self.prediction.low <= self.outcome <= self.prediction.high


@dataclass(slots=True)
class Score:
    """Join predictions with outcomes, each once, and sum up how they did.

    ``error`` and ``baseline`` are mean squared errors of the model and of "the price stays"; NaN before the first.
    """

    open: dict[int, Prediction] = field(default_factory=dict)
    newest: list[Scored] = field(default_factory=list)
    count: int = 0
    hits: int = 0
    calls: int = 0
    inside: int = 0
    squared: float = 0.0
    squared_baseline: float = 0.0

    def expect(self, predictions: Iterable[Prediction]) -> None:
        """Wait for the outcomes of predictions."""
        self.open.update((prediction.target_time, prediction) for prediction in predictions)

    def close(self, candles: Records) -> None:
        """Take closed candles of the predictions' timeframe, in order of time, and score what they decide."""
        for candle in candles:
            prediction = self.open.pop(int(candle["close_time"]), None)
            if prediction is not None:
                self._add(Scored(prediction, math.log(float(candle["close"]) / prediction.close)))
        if len(candles):
            newest = int(candles["close_time"][-1])
            self.open = {target: one for target, one in self.open.items() if target > newest}

    def _add(self, scored: Scored) -> None:
        value, outcome = scored.prediction.value, scored.outcome
        self.count += 1
        self.inside += scored.inside
        self.squared += (value - outcome) ** 2
        self.squared_baseline += outcome**2
        if value != 0 and outcome != 0:
            self.calls += 1
            self.hits += (value > 0) == (outcome > 0)
        self.newest = [*self.newest[-7:], scored]

    @property
    def error(self) -> float:
        """Return the model's mean squared error."""
        return self.squared / self.count if self.count else math.nan

    @property
    def baseline(self) -> float:
        """Return the mean squared error of "the price stays"."""
        return self.squared_baseline / self.count if self.count else math.nan

    @property
    def saved(self) -> float:
        """Return the share of the baseline's error that the model saves; negative where it is worse, NaN unknown."""
        return 1 - self.squared / self.squared_baseline if self.squared_baseline else math.nan
