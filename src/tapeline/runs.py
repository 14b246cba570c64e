"""A training run: from an instrument in a store to a run folder and the models that answer from then on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tapeline.clock import Clock
from tapeline.config import Settings
from tapeline.duel import has_duels
from tapeline.learning.artifact import Artifact
from tapeline.learning.checks import check_candles, refuse_bad_data
from tapeline.learning.report import write_run
from tapeline.model_rows import ModelRows, dataset_of, leaks_of, learning_set, model_rows
from tapeline.models.base import find_models
from tapeline.registry import Registry
from tapeline.serving import keep_definition
from tapeline.stores.base import Store
from tapeline.train import Progress, Training, TrainSettings, train

_KNOWN = 0.5
"""The share of rows of the market set that must be known for it to be learnt from unasked."""


@dataclass(frozen=True, slots=True)
class Run:
    """A training run, and where its folder is."""

    training: Training
    folder: Path


def train_instrument(
    store: Store,
    settings: Settings,
    instrument: str,
    *,
    timeframe: str,
    horizon: int,
    feature_set: str | None,
    asked: TrainSettings,
    clock: Clock,
    progress: Progress = lambda text, done, total: None,
    shadow: bool = False,
) -> Run:
    """Train every model on an instrument's rows, let the gate decide, write the run and register who answers.

    What the gate promotes becomes champion. Without an edge the best baseline does, unless a champion answers that
    this run did not try.

    Args:
        store: keeps the tape and the models.
        settings: names the folder of runs.
        instrument: what to learn from.
        timeframe: of its candles.
        horizon: how far ahead, ns.
        feature_set: name of the set, or a TOML file; None: see `usual_rows`.
        asked: models, folds, costs, seed.
        clock: tells when models were registered.
        progress: is told each step.
        shadow: see `register`.

    Raises:
        UnknownName: the instrument, the set or a model is not known.
        NotEnoughData: the rows are too few.
        UsageError: the horizon is not on the grid.
    """
    if feature_set is None:
        data = usual_rows(store, settings, instrument, timeframe, horizon)
    else:
        data = model_rows(store, settings, instrument, timeframe, learning_set(feature_set, timeframe, horizon))
    training = learn(data, horizon, asked, progress=progress, runs=settings.runs, now=clock.now())
    folder = write_run(training, settings.runs)
    with store.transaction():
        register(store, data, training, now=clock.now(), shadow=shadow)
    return Run(training, folder)


def usual_rows(store: Store, settings: Settings, instrument: str, timeframe: str, horizon: int) -> ModelRows:
    """Return the rows that are learnt from unless a set is named.

    Of ``market``, as a live process does, where the candles tell who bought and how often; else of ``technical``.

    Raises:
        UnknownName: the instrument is not known.
        NotEnoughData: it has no candles of that timeframe.
    """
    market, other = (learning_set(name, timeframe, horizon) for name in ("market", "technical"))
    data = model_rows(store, settings, instrument, timeframe, market)
    known = np.isfinite(data.inputs).all(axis=1)
    return data if known.mean() >= _KNOWN else model_rows(store, settings, instrument, timeframe, other)


def learn(
    data: ModelRows,
    horizon: int,
    asked: TrainSettings,
    *,
    progress: Progress = lambda text, done, total: None,
    runs: Path | None = None,
    now: int | None = None,
) -> Training:
    """Train every model on rows that were read before: no store, so it can be done in another process.

    Args:
        data: the rows.
        horizon: how far ahead, ns.
        asked: models, folds, costs, seed.
        progress: is told each step.
        runs: the folder of runs, where what is done is kept at once; without it a killed run begins anew.
        now: the present, ns UTC, for the check of age.

    Raises:
        NotEnoughData: the rows are too few.
        InputError: a check of the data failed.
    """
    checks = check_candles(data.candles, data.timeframe, limits=asked.limits, now=now)
    refuse_bad_data(f"training {data.instrument} {data.timeframe}", checks)
    return train(
        dataset_of(data, horizon),
        asked,
        leak_check=lambda: leaks_of(data),
        data_checks=checks,
        definition=data.features.definition,
        progress=progress,
        runs=runs,
    )


def register(store: Store, data: ModelRows, training: Training, *, now: int, shadow: bool = False) -> None:
    """Register a run's models and who answers from now on, inside the caller's transaction.

    With ``shadow`` a model does not replace a champion that has an edge at once: it becomes its challenger, where what
    comes can tell who was right.
    """
    keep_definition(store, data.features)
    registry = Registry(store)
    for target, outcome in training.outcomes.items():
        artifact, decision = outcome.artifact, outcome.decision
        record = {"run": training.run, "report": training.report["targets"][target]}
        registry.register(artifact, now=now, record=record)
        if shadow and decision.promoted and has_duels(artifact.target) and _has_edge(registry, artifact):
            challenge(registry, artifact, now=now, why=decision.reason)
        elif decision.promoted or not _untried_champion(registry, artifact, training):
            registry.promote(artifact.name, artifact.version, now=now, why=decision.reason, by="gate")


def challenge(registry: Registry, artifact: Artifact, *, now: int, why: str) -> None:
    """Let a model run in shadow beside the champion of its name; it takes the place of an earlier challenger."""
    for entry in registry.entries(artifact.instrument):
        if entry.name == artifact.name and entry.status == "challenger" and entry.version != artifact.version:
            registry.set_aside(entry.name, entry.version, "refused", now=now, why="a newer model challenges")
    registry.set_aside(artifact.name, artifact.version, "challenger", now=now, why=why)


def _has_edge(registry: Registry, artifact: Artifact) -> bool:
    """Return whether another version answers that is no baseline."""
    before = registry.champion(artifact.instrument, artifact.timeframe, artifact.horizon, artifact.target)
    if before is None or before.version == artifact.version:
        return False
    kind = find_models().get((before.model, before.target))
    return kind is None or not kind.baseline


def _untried_champion(registry: Registry, artifact: Artifact, training: Training) -> bool:
    """Return whether a model answers that beat the baselines once and was not among those this run tried."""
    before = registry.champion(artifact.instrument, artifact.timeframe, artifact.horizon, artifact.target)
    if before is None:
        return False
    kind = find_models().get((before.model, before.target))
    tried = {score.model for score in training.outcomes[artifact.target].evaluation.scores}
    return (kind is None or not kind.baseline) and before.model not in tried
