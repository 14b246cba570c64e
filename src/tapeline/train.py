"""Training: walk every model forward, let the gate decide, fit the champion on all rows.

Pure but for the folder it may be given to keep what is done: a dataset comes in, a report and artefacts go out. Storing
and drawing them is the caller's business (`tapeline.registry`, `tapeline.learning.report`). The same dataset, settings
and seed give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tapeline.errors import NotEnoughData, UnknownName
from tapeline.learning.artifact import Artifact, content_hash
from tapeline.learning.checks import DataCheck
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import split
from tapeline.learning.kept import InFolder, InMemory
from tapeline.learning.leaks import Leak
from tapeline.learning.ordinary import ordinary_models
from tapeline.learning.record import Found, Outcome, report_record, run_folder, settings_record
from tapeline.learning.settings import TrainSettings
from tapeline.learning.task import TUNED, Task, count_tried, tunable
from tapeline.models.base import Model, find_models, own_files

__all__ = ["Progress", "TrainSettings", "Training", "pick_models", "train"]

Progress = Callable[[str, int, int], None]
"""Told what is done, how many steps are done, and of how many."""

_LIBRARY = {"xgboost": "xgboost"}


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A run: its id, what it was asked, what it found, and the models that answer from now on.

    ``report`` and ``settings`` are plain JSON values; ``outcomes`` are by target.
    """

    run: str
    dataset: Dataset
    settings: dict[str, Any]
    report: dict[str, Any]
    outcomes: dict[str, Outcome]

    @property
    def artifacts(self) -> list[Artifact]:
        """Return the champions, fitted on all rows."""
        return [outcome.artifact for outcome in self.outcomes.values()]


def train(
    dataset: Dataset,
    settings: TrainSettings | None = None,
    *,
    models: Sequence[type[Model]] | None = None,
    leak_check: Callable[[], list[Leak]] | None = None,
    data_checks: Sequence[DataCheck] | None = None,
    definition: str = "",
    progress: Progress = lambda text, done, total: None,
    runs: Path | None = None,
) -> Training:
    """Evaluate all models of all targets, decide, and fit the champions on all rows.

    Args:
        dataset: the rows.
        settings: how.
        models: the classes to run instead of those found by name; with at least one baseline per target.
        leak_check: run before anything is accepted, such as a call of `tapeline.learning.leaks.check_leaks`.
        data_checks: what was checked of the data, for the record.
        definition: of the feature set, for the record.
        progress: told each step.
        runs: the folder of runs: what is done is kept there at once, and the same run goes on with it after a kill.

    Raises:
        UnknownName: no model has a name asked for.
        UsageError: a setting makes no sense.
        NotEnoughData: the rows are too few for the main target. Those for another may be: then only it is left out,
            and the report says so.
    """
    asked = settings or TrainSettings()
    asked.check()
    chosen = pick_models(asked) if models is None else list(models)
    folds = len(split(dataset.for_target(asked.main_target), asked.plan))
    tried = count_tried(chosen, asked)
    told = _told(asked)
    record = settings_record(dataset, told, chosen, definition)
    run = content_hash(json.dumps(record, sort_keys=True).encode())[:12]
    work = None if runs is None else run_folder(runs, dataset, run) / "work"
    step = _steps(progress, _count_steps(chosen, asked, folds))
    leaks = leak_check() if leak_check else None
    refusals = _refusals(leaks, data_checks)

    def task(kinds: Sequence[type[Model]], target: str) -> Task:
        journal = None if work is None else work / f"tuning-{target}.log"
        kept = InMemory() if work is None else InFolder(work)
        return Task.of(dataset, kinds, target, asked, tried=tried, run=run, kept=kept, journal=journal)

    outcomes, refused = _outcomes(asked, chosen, task, refusals, step)
    found = Found(run, dataset, told, outcomes, leaks, data_checks, tried, refused)
    return Training(run, dataset, record, report_record(found), outcomes)


def _outcomes(
    asked: TrainSettings,
    chosen: Sequence[type[Model]],
    task: Callable[[Sequence[type[Model]], str], Task],
    refusals: Mapping[str, str],
    step: Callable[[str], None],
) -> tuple[dict[str, Outcome], dict[str, str]]:
    """Return by target what was found, and why others but the main one have too few rows."""
    outcomes, refused = {}, {}
    for target in asked.targets:
        kinds = [kind for kind in chosen if kind.target == target]
        try:
            cut = task(kinds, target)
        except NotEnoughData as error:
            if target == asked.main_target:
                raise
            refused[target] = str(error)
        else:
            outcomes[target] = cut.outcome(kinds, refusals, step)
    return outcomes, refused


def pick_models(settings: TrainSettings) -> list[type[Model]]:
    """Return the baselines and the candidates asked for, of all targets of a run.

    With a sweep those run too that are no candidates by default, but for networks, which are asked for by name.

    Raises:
        UnknownName: no model has a name asked for.
    """
    found = find_models(settings.model_paths)
    names = sorted({name for name, _ in found})
    for name in settings.models or ():
        if name not in names:
            raise UnknownName(f"model {name}", "is not known", expected=f"one of {', '.join(names)}", was=name)
    return [kind for kind in found.values() if kind.target in settings.targets if _asked(kind, settings)]


def _asked(kind: type[Model], settings: TrainSettings) -> bool:
    if kind.baseline:
        return True
    if settings.models is not None:
        return kind.name in settings.models
    if kind.by_default:
        return True
    return settings.sweep and (not kind.extra or find_spec(_LIBRARY.get(kind.extra, "-")) is not None)


def _told(asked: TrainSettings) -> dict[str, Any]:
    files = tuple(f"{path.name}@{content_hash(path.read_bytes())[:12]}" for path in own_files(asked.model_paths))
    return asdict(replace(asked, model_paths=files))


def _refusals(leaks: Sequence[Leak] | None, checks: Sequence[DataCheck] | None) -> dict[str, str]:
    """Return by check why nothing may be promoted; what was not checked is not named."""
    refusals = {}
    if leaks is not None:
        refusals["leaks"] = str(leaks[0]) if leaks else ""
    if checks is not None:
        refusals["data"] = ", ".join(f"data check {check.name}: {check.found}" for check in checks if not check.passed)
    return refusals


def _count_steps(kinds: Sequence[type[Model]], asked: TrainSettings, folds: int) -> int:
    total = 0
    for target in asked.targets:
        ours = [kind for kind in kinds if kind.target == target]
        tuned = min(TUNED, len(tunable(ours))) if asked.tune else 0
        total += (len(ours) + tuned) * folds
        total += len(ordinary_models(target)) if asked.sweep else 0
    return total


def _steps(progress: Progress, total: int) -> Callable[[str], None]:
    done = 0

    def step(text: str) -> None:
        nonlocal done
        done += 1
        progress(text, min(done, total), total)

    return step
