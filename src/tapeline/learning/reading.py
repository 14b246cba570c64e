"""Descriptions, of which nothing tells afterwards whether they were right: by what they are judged.

A description is worth what it tells of something that can be seen: the classes of held-out rows are read as the
outcome that the target is `read_as`, each class as the mean of what followed it in the training rows. For a **regime**
that is the geometric mean of volatilities, for a **trend** the mean of ratios of variances. Of an **anomaly** it is
whether planted spikes are flagged, and nothing else.

Every other target is judged by its own outcomes, as it was said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import Fold
from tapeline.models.base import Model
from tapeline.models.goals import floored
from tapeline.models.targets import TARGETS
from tapeline.types import Bool, Float

PLANTED = 0.02
"""The share of held-out rows in which a spike is planted."""
SPIKE = 10.0
"""How large a spike is, in deviations of the input that has it."""
_READ = 5000
_NEVER = 1e-9
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Reading:
    """How what followed a class becomes one level: ``log`` of the mean of ``taken(outcomes)`` is the level's logarithm.

    Attributes:
        what: is read, in words.
        taken: outcomes (n) to the numbers whose mean is taken (n).
        log: means to the logarithms of levels.
    """

    what: str
    taken: Callable[[Float], Float]
    log: Callable[[Float], Float]


READINGS: Mapping[str, Reading] = {
    "volatility": Reading("volatility", lambda outcomes: np.log(floored(outcomes)), lambda means: means),
    "variance_ratio": Reading(
        "variance ratio", lambda outcomes: outcomes, lambda means: np.log(np.maximum(means, _TINY))
    ),
}
"""By the outcome that a target is `read_as`. The middle of volatilities is geometric; the mean of ratios of variances
is 1 in a walk, their geometric one is nothing."""


def judged_by(dataset: Dataset, target: str, seed: int) -> Float:
    """Return what the answers to a target are judged by (n): for anomalies 1 where a spike will be planted, else 0."""
    if read_as := TARGETS[target].read_as:
        return dataset.labels(read_as)
    if target == "anomaly":
        return (np.random.default_rng(seed).random(len(dataset)) < PLANTED).astype(np.float64)
    return dataset.labels(target)


def rows_asked(dataset: Dataset, kind: type[Model], fold: Fold, outcomes: Float, seed: int) -> Float:
    """Return the test rows of a fold as a model is shown them, with the spikes planted that it is to find."""
    rows = dataset.shown(kind, fold.test)
    return spiked(rows, outcomes[fold.test] > 0, dataset.inputs[fold.train], seed) if kind.target == "anomaly" else rows


def spiked(rows: Float, planted: Bool, before: Float, seed: int) -> Float:
    """Return rows (n x k, or n x w x k) with a spike where ``planted``: one input, `SPIKE` deviations from the mean.

    Which input, and to which side, is drawn for each; an input that never moved in the rows ``before`` (m x k) is none.
    """
    draw = np.random.default_rng(seed)
    spread = before.std(axis=0)
    moving = np.flatnonzero(spread > 0)
    at = np.flatnonzero(planted)
    made = rows.copy()
    if len(moving):
        which, side = draw.choice(moving, len(at)), draw.choice((-SPIKE, SPIKE), len(at))
        made.reshape(len(rows), -1, rows.shape[-1])[at, -1, which] = before.mean(axis=0)[which] + side * spread[which]
    return made


def heard(model: Model, said: Float, dataset: Dataset, outcomes: Float, fold: Fold, rate: float) -> Float:
    """Return what a model's answers to the test rows of a fold come to, in the form of what they are judged by.

    Args:
        model: fitted on the training rows.
        said: its answers to the test rows.
        dataset: the rows.
        outcomes: what they are judged by (n).
        fold: which rows.
        rate: the share of quiet rows to be called anomalies.
    """
    if model.target == "anomaly":
        return (said > 1 - rate).astype(np.float64)
    if not (read_as := TARGETS[model.target].read_as):
        return said
    reading = READINGS[read_as]
    some = np.unique(np.linspace(fold.train.start, fold.train.stop - 1, _READ).astype(np.int64))
    chances, taken = model.predict(dataset.shown(type(model), some)), reading.taken(outcomes[some])
    weight = chances.sum(axis=0) + _NEVER
    meant = ((chances * taken[:, None]).sum(axis=0) + _NEVER * taken.mean()) / weight
    return np.asarray(np.exp(reading.log((said * meant).sum(axis=1))), np.float64)
