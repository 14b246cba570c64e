"""A training run: from an instrument in a store to a run folder and the models that answer from then on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tapeline.clock import Clock
from tapeline.config import Settings
from tapeline.learning.artifact import Artifact
from tapeline.learning.report import write_run
from tapeline.model_rows import ModelRows, dataset_of, leaks_of, learning_set, model_rows
from tapeline.models.base import find_models
from tapeline.registry import Registry
from tapeline.serving import keep_definition
from tapeline.stores.base import Store
from tapeline.train import Progress, Training, TrainSettings, train


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
    feature_set: str,
    asked: TrainSettings,
    clock: Clock,
    progress: Progress = lambda text, done, total: None,
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
        feature_set: name of the set, or a TOML file.
        asked: models, folds, costs, seed.
        clock: tells when models were registered.
        progress: is told each step.

    Raises:
        UnknownName: the instrument, the set or a model is not known.
        NotEnoughData: the rows are too few.
        UsageError: the horizon is not on the grid.
    """
    data = model_rows(store, settings, instrument, timeframe, learning_set(feature_set, timeframe, horizon))
    training = learn(data, horizon, asked, progress=progress)
    folder = write_run(training, settings.runs)
    with store.transaction():
        register(store, data, training, now=clock.now())
    return Run(training, folder)


def learn(
    data: ModelRows, horizon: int, asked: TrainSettings, *, progress: Progress = lambda text, done, total: None
) -> Training:
    """Train every model on rows that were read before: no store, so it can be done in another process.

    Raises:
        NotEnoughData: the rows are too few.
    """
    return train(
        dataset_of(data, horizon),
        asked,
        leak_check=lambda: leaks_of(data),
        definition=data.features.definition,
        progress=progress,
    )


def register(store: Store, data: ModelRows, training: Training, *, now: int) -> None:
    """Register a run's models and who answers from now on, inside the caller's transaction."""
    keep_definition(store, data.features)
    registry = Registry(store)
    for target, outcome in training.outcomes.items():
        artifact, decision = outcome.artifact, outcome.decision
        record = {"run": training.run, "report": training.report["targets"][target]}
        registry.register(artifact, now=now, record=record)
        if decision.promoted or not _untried_champion(registry, artifact, training):
            registry.promote(artifact.name, artifact.version, now=now, why=decision.reason)


def _untried_champion(registry: Registry, artifact: Artifact, training: Training) -> bool:
    """Return whether a model answers that beat the baselines once and was not among those this run tried."""
    before = registry.champion(artifact.instrument, artifact.timeframe, artifact.horizon, artifact.target)
    if before is None:
        return False
    kind = find_models().get((before.model, before.target))
    tried = {score.model for score in training.outcomes[artifact.target].evaluation.scores}
    return (kind is None or not kind.baseline) and before.model not in tried
