"""What ``POST /predict/...`` answers: documents made of the numbers that a model says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tapeline.models.targets import TARGETS

Told = dict[str, Any]
"""The fields that every answer has."""
_LABELS = {"flat": "neutral"}
_DIRECTIONS = {"down": -1, "neutral": 0, "up": 1}


class Said(msgspec.Struct, frozen=True):
    """What every answer tells of the model that answered."""

    symbol: str
    instrument: str
    timeframe: str
    horizon: str
    target: str
    model: str
    model_version: str
    feature_version: str
    as_of: str
    latency_ms: float


class Direction(Said, frozen=True):
    """The likeliest direction: -1, 0 or 1; a model of two classes says nothing of ``neutral``."""

    direction: int
    label: str
    probabilities: dict[str, float]


class Regime(Said, frozen=True):
    """The likeliest regime."""

    regime: int
    label: str
    probabilities: dict[str, float]


class Anomaly(Said, frozen=True):
    """How odd a row is: the share of comparable rows that were less odd; ``threshold`` leaves the share asked for."""

    anomaly_score: float
    is_anomaly: bool
    threshold: float


@dataclass(frozen=True, slots=True)
class Question:
    """What a route asks: a model of which targets, the first that there is one of, and how its numbers are told."""

    targets: tuple[str, ...]
    document: Callable[[Sequence[float], Told], Said]


def questions(threshold: float) -> dict[str, Question]:
    """Return what the routes ask, by their last word; ``threshold`` is the score above which a row is an anomaly."""

    def anomaly(numbers: Sequence[float], told: Told) -> Anomaly:
        score = numbers[0]
        return Anomaly(**told, anomaly_score=score, is_anomaly=score > threshold, threshold=threshold)

    return {
        "direction": Question(("direction3", "direction"), _direction),
        "regime": Question(("regime",), _regime),
        "anomaly": Question(("anomaly",), anomaly),
    }


def _direction(numbers: Sequence[float], told: Told) -> Direction:
    if told["target"] == "direction":
        chances = {"down": 1 - numbers[0], "up": numbers[0]}
    else:
        names = TARGETS[told["target"]].classes
        chances = dict(zip((_LABELS.get(name, name) for name in names), numbers, strict=True))
    label = max(chances, key=chances.__getitem__)
    return Direction(**told, direction=_DIRECTIONS[label], label=label, probabilities=chances)


def _regime(numbers: Sequence[float], told: Told) -> Regime:
    names = TARGETS["regime"].classes
    chances = dict(zip(names, numbers, strict=True))
    label = max(chances, key=chances.__getitem__)
    return Regime(**told, regime=names.index(label), label=label, probabilities=chances)
