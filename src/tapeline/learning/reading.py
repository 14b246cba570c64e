"""Descriptions, of which nothing tells afterwards whether they were right: by what regimes and anomalies are judged.

A description is worth what it tells of something that can be seen. Of a **regime** that is the volatility over the
horizon that follows: the regimes of held-out rows are read as volatilities, each regime as the geometric mean of what
followed it in the training rows. Of an **anomaly** it is whether planted spikes are flagged, and nothing else.

Every other target is judged by its own outcomes, as it was said.
"""

from __future__ import annotations

import numpy as np

from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import Fold
from tapeline.models.base import Model
from tapeline.models.goals import floored
from tapeline.types import Bool, Float

PLANTED = 0.02
"""The share of held-out rows in which a spike is planted."""
SPIKE = 10.0
"""How large a spike is, in deviations of the input that has it."""
_READ = 5000
_NEVER = 1e-9


def judged_by(dataset: Dataset, target: str, seed: int) -> Float:
    """Return what the answers to a target are judged by (n): for anomalies 1 where a spike will be planted, else 0."""
    if target == "regime":
        return dataset.labels("volatility")
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
    if model.target != "regime":
        return said
    some = np.unique(np.linspace(fold.train.start, fold.train.stop - 1, _READ).astype(np.int64))
    chances, logs = model.predict(dataset.shown(type(model), some)), np.log(floored(outcomes[some]))
    weight = chances.sum(axis=0) + _NEVER
    meant = ((chances * logs[:, None]).sum(axis=0) + _NEVER * logs.mean()) / weight
    return np.asarray(np.exp((said * meant).sum(axis=1)), np.float64)
