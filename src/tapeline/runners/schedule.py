"""One round of the retraining that a live process does from time to time, for a database that nothing follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tapeline.clock import Clock
from tapeline.config import Settings
from tapeline.errors import InputError, UsageError
from tapeline.learning.artifact import model_name
from tapeline.registry import Registry
from tapeline.runners.learner import Task, runs_of, tasks_of
from tapeline.runs import Run, train_instrument
from tapeline.stores.base import Store
from tapeline.train import Progress, TrainSettings


@dataclass(frozen=True, slots=True)
class Retrained:
    """What came of a model: its status in the registry now and why; without a version it was not trained."""

    model: str
    version: str | None
    status: str
    run: str | None
    reason: str


def retrain(
    store: Store,
    settings: Settings,
    instruments: Sequence[str],
    *,
    clock: Clock,
    progress: Progress = lambda text, done, total: None,
) -> list[Retrained]:
    """Train what the settings ask to foretell of instruments anew, and let the gate decide, as a live process does.

    Beside a champion that has an edge a new model becomes its challenger, unless the setting ``shadow`` is 0s.

    Args:
        store: keeps the tape and the models.
        settings: what is foretold, and the folder of runs.
        instruments: of what.
        clock: tells when models were registered.
        progress: is told each step.
    """
    found: list[Retrained] = []
    for task in tasks_of(settings, instruments):
        for _, asked in runs_of(settings):
            try:
                run = _trained(store, settings, task, asked, clock, progress)
            except (UsageError, InputError) as error:
                found += [_not_trained(task, target, str(error)) for target in asked.targets]
                continue
            found += _became(store, run)
            found += [_not_trained(task, target, why) for target, why in run.training.report["not_evaluated"].items()]
    return found


def _trained(
    store: Store, settings: Settings, task: Task, asked: TrainSettings, clock: Clock, progress: Progress
) -> Run:
    return train_instrument(
        store,
        settings,
        task.instrument,
        timeframe=task.timeframe,
        horizon=task.horizon,
        feature_set=None,
        asked=asked,
        clock=clock,
        progress=progress,
        shadow=settings.shadow != "0s",
    )


def _became(store: Store, run: Run) -> list[Retrained]:
    made = {outcome.artifact.version: outcome for outcome in run.training.outcomes.values()}
    return [
        Retrained(entry.name, entry.version, entry.status, run.training.run, made[entry.version].decision.reason)
        for entry in Registry(store).entries(run.training.dataset.instrument)
        if entry.version in made
    ]


def _not_trained(task: Task, target: str, why: str) -> Retrained:
    name = model_name(task.instrument, task.timeframe, task.horizon, target)
    return Retrained(name, None, "not trained", None, why)
