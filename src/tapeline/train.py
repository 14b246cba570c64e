"""Training: walk every model forward, let the gate decide, fit the champion on all rows.

Pure: a dataset comes in, a report and artefacts go out. Storing and drawing them is the caller's business
(`tapeline.registry`, `tapeline.learning.report`). The same dataset, settings and seed give the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tapeline.errors import NotEnoughData, UnknownName, UsageError
from tapeline.evaluate import Evaluation, evaluate
from tapeline.learning.artifact import Artifact, code_version, content_hash
from tapeline.learning.conformal import conformal_bounds, covered_share
from tapeline.learning.dataset import Dataset
from tapeline.learning.fitting import fit
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.gate import Costs, decide, trading
from tapeline.learning.leaks import Leak, shuffled
from tapeline.learning.metrics import METRICS
from tapeline.learning.record import Outcome, report_record, settings_record
from tapeline.models.base import Model, find_models
from tapeline.types import Float

Progress = Callable[[str, int, int], None]
"""Told what is done, how many steps are done, and of how many."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train.

    Attributes:
        models: names of the candidates; None for all. Baselines always run.
        main_target: whose champion the report names first.
        plan: how the rows are cut in time.
        costs: of trading.
        level: of the intervals.
        coverage: of the intervals of predictions.
        seed: of all randomness.
        resamples: of the bootstrap.
        model_paths: files with a user's own models.
    """

    models: tuple[str, ...] | None = None
    main_target: str = "return"
    plan: WalkForward = field(default_factory=WalkForward)
    costs: Costs = field(default_factory=Costs)
    level: float = 0.95
    coverage: float = 0.8
    seed: int = 7
    resamples: int = 2000
    model_paths: tuple[str, ...] = ()


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
    definition: str = "",
    progress: Progress = lambda text, done, total: None,
) -> Training:
    """Evaluate all models of both targets, decide, and fit the champions on all rows.

    Args:
        dataset: the rows.
        settings: how.
        models: the classes to run instead of those found by name; with at least one baseline per target.
        leak_check: run before anything is accepted, such as a call of `tapeline.learning.leaks.check_leaks`.
        definition: of the feature set, for the record.
        progress: told each step.

    Raises:
        UnknownName: no model has a name asked for.
        UsageError: a setting makes no sense.
        NotEnoughData: the rows are too few for the main target. Those for the other may be: then only it is left out,
            and the report says so.
    """
    asked = settings or TrainSettings()
    _check(asked)
    chosen = pick_models(asked) if models is None else list(models)
    split(dataset.for_target(asked.main_target), asked.plan)
    tried = sum(not kind.baseline for kind in chosen)
    files = tuple(f"{Path(path).name}@{content_hash(Path(path).read_bytes())[:12]}" for path in asked.model_paths)
    told = asdict(replace(asked, model_paths=files))
    record = settings_record(dataset, told, chosen, definition)
    run = content_hash(json.dumps(record, sort_keys=True).encode())[:12]
    step = _steps(progress, len(chosen) * asked.plan.folds)
    leaks = leak_check() if leak_check else None
    outcomes, refused = {}, {}
    for target in METRICS:
        kinds = [kind for kind in chosen if kind.target == target]
        try:
            task = _Task.of(dataset, kinds, target, asked, max(1, tried), run)
        except NotEnoughData as error:
            refused[target] = str(error)
            continue
        outcomes[target] = task.outcome(kinds, leaks or [], step)
    return Training(run, dataset, record, report_record(run, dataset, told, outcomes, leaks, tried, refused), outcomes)


def pick_models(settings: TrainSettings) -> list[type[Model]]:
    """Return the baselines and the candidates asked for, of both targets.

    Raises:
        UnknownName: no model has a name asked for.
    """
    found = find_models(settings.model_paths)
    names = sorted({name for name, _ in found})
    for name in settings.models or ():
        if name not in names:
            raise UnknownName(f"model {name}", "is not known", expected=f"one of {', '.join(names)}", was=name)
    asked = settings.models
    return [
        kind
        for kind in found.values()
        if kind.target in METRICS
        if kind.baseline or (kind.by_default if asked is None else kind.name in asked)
    ]


def _check(settings: TrainSettings) -> None:
    for name in ("level", "coverage"):
        if not 0 < getattr(settings, name) < 1:
            raise UsageError(f"settings {name}", "is no share", expected="between 0 and 1", was=getattr(settings, name))
    if settings.main_target not in METRICS:
        raise UsageError("settings main_target", "is unknown", expected=" or ".join(METRICS), was=settings.main_target)
    if not (math.isfinite(settings.costs.round_trip) and settings.costs.round_trip >= 0):
        raise UsageError("settings costs", "are no costs", expected="finite and >= 0", was=settings.costs)


def _steps(progress: Progress, total: int) -> Callable[[str], None]:
    done = 0

    def step(text: str) -> None:
        nonlocal done
        done += 1
        progress(text, min(done, total), total)

    return step


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """One target of a run."""

    whole: Dataset
    dataset: Dataset
    target: str
    settings: TrainSettings
    tried: int
    run: str
    evaluate: Callable[..., Evaluation]

    @classmethod
    def of(
        cls, whole: Dataset, kinds: Sequence[type[Model]], target: str, settings: TrainSettings, tried: int, run: str
    ) -> _Task:
        data = whole.for_target(target, max((kind.window for kind in kinds), default=1))
        folds = split(data, settings.plan)
        bound = partial(evaluate, data, target, folds=folds, resamples=settings.resamples)
        return cls(whole, data, target, settings, tried, run, bound)

    def outcome(self, kinds: Sequence[type[Model]], leaks: Sequence[Leak], step: Callable[[str], None]) -> Outcome:
        seed, level = self.settings.seed, self.settings.level
        found = self.evaluate(kinds, seed=seed, level=level, tried=self.tried, progress=step)
        decision = decide(found, level=level, tried=self.tried, leaks=leaks)
        if decision.promoted:
            why = self._in_noise(kinds, found, decision.champion)
            decision = decide(found, level=level, tried=self.tried, shuffled=why)
        follow = decision.champion if decision.promoted else found.best_candidate
        returns = self.dataset.returns[found.rows]
        moved = len(self.dataset) / len(self.whole)
        earned = trading(found, follow, self.settings.costs, returns=returns, level=level, moved=moved)
        residuals = found.labels - found.said[decision.champion]
        coverage = self.settings.coverage
        covered = covered_share(residuals, found.folds, coverage) if self.target == "return" else math.nan
        kind = next(kind for kind in kinds if kind.name == decision.champion)
        return Outcome(self.dataset, found, decision, earned, self._fitted(kind, residuals), covered)

    def _in_noise(self, kinds: Sequence[type[Model]], found: Evaluation, champion: str) -> str:
        """Walk the champion-to-be over shuffled outcomes, where nothing is to be found; say so if it finds it."""
        noise = shuffled(self.dataset.labels(self.target), self.settings.seed)
        again = [kind for kind in kinds if kind.baseline or kind.name == champion]
        low = (
            self.evaluate(again, seed=self.settings.seed, level=0.99, tried=1, labels=noise)
            .score(champion)
            .difference.low
        )
        return f"{champion} also finds an edge in shuffled outcomes: the procedure leaks" if low > 0 else ""

    def _fitted(self, kind: type[Model], residuals: Float) -> Artifact:
        data, settings = self.dataset, self.settings
        model = fit(kind, data, seed=settings.seed)
        unknown = (math.nan, math.nan)
        low, high = conformal_bounds(residuals, settings.coverage) if kind.target == "return" else unknown
        return Artifact(
            instrument=data.instrument,
            timeframe=data.timeframe,
            horizon=data.horizon,
            target=kind.target,
            model=kind.name,
            content=model.dump().decode(),
            columns=data.columns,
            feature_set=data.feature_set,
            feature_version=data.feature_version,
            low=low,
            high=high,
            coverage=settings.coverage,
            trained_from=int(data.as_of[0]),
            trained_to=int(data.known_at[-1]),
            rows=len(data),
            run=self.run,
            data_hash=self.whole.digest(),
            seed=settings.seed,
            code_version=code_version(),
        )
