"""One target of a run: evaluate, tune, sweep, decide, fit who answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tapeline.errors import NotEnoughData
from tapeline.evaluate import Evaluation, evaluate
from tapeline.learning.artifact import Artifact, code_version
from tapeline.learning.conformal import conformal_bounds, rate_of
from tapeline.learning.covering import covered
from tapeline.learning.dataset import Dataset
from tapeline.learning.describing import described
from tapeline.learning.fitting import fit
from tapeline.learning.folds import Fold, split
from tapeline.learning.gate import Check, Evidence, candidate_of, decide
from tapeline.learning.importance import Importance, importance
from tapeline.learning.kept import Kept, seconds_by_model
from tapeline.learning.placebo import LEVEL, find_in_nothing, inputs_that_are_outcomes
from tapeline.learning.record import Outcome
from tapeline.learning.resample import Interval
from tapeline.learning.settings import TrainSettings
from tapeline.learning.spread import floor_of
from tapeline.learning.sweep import Sweep, sweep
from tapeline.learning.trading import Market, earnings, trading
from tapeline.learning.tuning import served, tuned
from tapeline.models.anomaly import rows_compared, rows_needed
from tapeline.models.base import Model
from tapeline.models.targets import TARGETS
from tapeline.types import Float, Timeframe

TUNED = 2
"""How many models are tuned: the best of those that can be."""
_TAIL_DRAWS = 10


def tunable(kinds: Sequence[type[Model]]) -> list[type[Model]]:
    """Return the candidates that have something to tune."""
    return [kind for kind in kinds if kind.space and not kind.baseline]


def count_tried(kinds: Sequence[type[Model]], settings: TrainSettings) -> int:
    """Return how many models may be promoted in a run: the candidates, and each that may come to be tuned."""
    candidates = sum(not kind.baseline for kind in kinds)
    return max(1, candidates + (len(tunable(kinds)) if settings.tune else 0))


def _refuse_few(dataset: Dataset, folds: Sequence[Fold], needed: int) -> None:
    """Refuse rows among which the rarest share asked for cannot be told."""
    compared = rows_compared(min(fold.train.stop - fold.train.start for fold in folds))
    if compared < needed:
        where = f"anomalies of {dataset.instrument} {dataset.timeframe}"
        problem = "have too few rows to be compared with in the first fold"
        raise NotEnoughData(where, problem, expected=f"at least {needed}", was=compared, next_step="import more trades")


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One target of a run.

    Attributes:
        whole: the rows of the run.
        dataset: those that have an outcome of the target.
        target: its name.
        settings: how.
        tried: how many candidates the run tries.
        run: its id.
        folds: of the dataset.
        kept: what was said before, in a run that was killed.
        journal: where tuning keeps its trials, if anywhere.
    """

    whole: Dataset
    dataset: Dataset
    target: str
    settings: TrainSettings
    tried: int
    run: str
    folds: tuple[Fold, ...]
    kept: Kept
    journal: Path | None

    @classmethod
    def of(
        cls,
        whole: Dataset,
        kinds: Sequence[type[Model]],
        target: str,
        settings: TrainSettings,
        *,
        tried: int,
        run: str,
        kept: Kept,
        journal: Path | None,
    ) -> Task:
        """Cut the rows of a target.

        Raises:
            NotEnoughData: they are too few.
        """
        data = whole.for_target(target, max((kind.window for kind in kinds), default=1))
        folds = split(data, settings.plan)
        if target == "anomaly":
            _refuse_few(data, folds, rows_needed(settings.anomaly_rate))
        return cls(whole, data, target, settings, tried, run, folds, kept, journal)

    def outcome(
        self, kinds: Sequence[type[Model]], refusals: Mapping[str, str], step: Callable[[str], None]
    ) -> Outcome:
        """Evaluate, decide, and fit who answers.

        Args:
            kinds: the models of the target.
            refusals: by check, why nothing may be promoted; empty texts where it may.
            step: told each model and fold.
        """
        found = self._walk(kinds, step)
        if extra := self._tuned(kinds, found):
            kinds = [*kinds, *extra]
            names = tuple(kind.name for kind in extra)
            found = self._walk(kinds, lambda text: step(text) if text.startswith(names) else None)
        swept = self._swept(kinds, step)
        evidence = self._evidence(found, refusals)
        level = self.settings.level
        decision = decide(found, level=level, tried=self.tried, evidence=evidence)
        if decision.promoted:
            evidence.refusals["placebo"] = self._placebo(kinds, decision.champion)
            decision = decide(found, level=level, tried=self.tried, evidence=evidence)
        if decision.champion != decision.candidate:
            decision = replace(decision, checks=(*decision.checks, *self._described(found, decision.champion)))
        follow = decision.candidate or found.best_baseline
        held = covered(found, decision.champion, self.settings.coverage, level)
        earned = trading(
            found,
            follow,
            self.settings.costs,
            self._market(found),
            level=level,
            least=self._least,
            rivals=self._rivals(found, follow, swept),
        )
        by_name = {kind.name: kind for kind in kinds}
        artifact = self._fitted(by_name[decision.champion], found)
        worth = self._importance(by_name[follow])
        costs = seconds_by_model(self.kept.seconds(), self.target)
        return Outcome(self.dataset, found, decision, earned, artifact, held, swept, worth, tuple(kinds), costs)

    @property
    def _least(self) -> float:
        """Return what must be promised for a trade: its costs, where the objective is to trade."""
        return self.settings.costs.round_trip if self.settings.objective == "trade" else 0.0

    def _resamples(self, level: float) -> int:
        return max(self.settings.resamples, math.ceil(2 * _TAIL_DRAWS / (1 - level)))

    def _described(self, found: Evaluation, name: str) -> tuple[Check, ...]:
        return described(found, name, level=self.settings.level, rate=self.settings.anomaly_rate)

    def _walk(self, kinds: Sequence[type[Model]], step: Callable[[str], None]) -> Evaluation:
        asked, level = self.settings, self.settings.level
        corrected = 1 - (1 - level) / self.tried
        return evaluate(
            self.dataset,
            self.target,
            kinds,
            folds=self.folds,
            seed=asked.seed,
            level=level,
            tried=self.tried,
            resamples=self._resamples(corrected),
            progress=step,
            kept=self.kept,
            rate=asked.anomaly_rate,
            weighted=asked.weighted,
        )

    def _tuned(self, kinds: Sequence[type[Model]], found: Evaluation) -> list[type[Model]]:
        """Return the best models that can be tuned, with a search before each fit."""
        able = tunable(kinds) if self.settings.tune else []
        best = sorted(able, key=lambda kind: -found.score(kind.name).difference.value)[:TUNED]
        windows = self.settings.plan.windows
        share = 0.2 if windows is None else windows.validated
        return [tuned(kind, trials=self.settings.tune, share=share, journal=self.journal) for kind in best]

    def _swept(self, kinds: Sequence[type[Model]], step: Callable[[str], None]) -> Sweep | None:
        asked = self.settings
        if not asked.sweep or self.target not in {"return", "direction"}:
            return None
        return sweep(
            self.dataset,
            self.target,
            [kind for kind in kinds if kind.baseline],
            folds=self.folds,
            seed=asked.seed,
            level=asked.level,
            resamples=asked.resamples,
            budget=asked.sweep_budget,
            kept=self.kept,
            progress=step,
        )

    def _market(self, found: Evaluation) -> Market:
        returns = self.dataset.returns
        usual = float(abs(returns[: found.rows.start]).mean())
        step = Timeframe.parse(self.dataset.timeframe).step
        return Market(returns[found.rows], usual, step, len(self.dataset) / len(self.whole))

    def _evidence(self, found: Evaluation, refusals: Mapping[str, str]) -> Evidence:
        asked = self.settings
        held = {**refusals, "inputs": inputs_that_are_outcomes(self.dataset, self.target)}
        earned = self._earned(found) if asked.objective == "trade" else {}
        evidence = Evidence(asked.objective, earned, None, asked.coverage, held)
        if found.candidates:
            name = candidate_of(found, evidence)
            share = covered(found, name, asked.coverage, asked.level).share
            evidence = Evidence(asked.objective, earned, share, asked.coverage, held, self._described(found, name))
        return evidence

    def _earned(self, found: Evaluation) -> dict[str, Interval]:
        """Return by how much each candidate earns more a row than the best baseline, or than not trading at all."""
        market, costs = self._market(found), self.settings.costs
        net = {name: earnings(found, name, costs, market, least=self._least) for name in found.said}
        best = max((net[name] for name in found.baselines), key=lambda row: float(row.mean()))
        base = best if best.mean() > 0 else best * 0.0
        corrected = 1 - (1 - self.settings.level) / self.tried
        return {name: found.bootstrap.interval(net[name] - base, corrected) for name in found.candidates}

    def _rivals(self, found: Evaluation, follow: str, swept: Sweep | None) -> list[Float]:
        """Return what following every other model that was tried would have earned."""
        market, costs = self._market(found), self.settings.costs
        names = [(found, name) for name in found.candidates if name != follow]
        names += [(swept.evaluation, name) for name in swept.ended] if swept else []
        return [earnings(where, name, costs, market, least=self._least) for where, name in names]

    def _placebo(self, kinds: Sequence[type[Model]], champion: str) -> str:
        again = [kind for kind in kinds if kind.baseline or kind.name == champion]
        asked = self.settings

        def walk(data: Dataset, labels: Float) -> Evaluation:
            return evaluate(
                data,
                self.target,
                again,
                folds=self.folds,
                seed=asked.seed,
                level=LEVEL,
                tried=1,
                labels=labels,
                weighted=asked.weighted,
            )

        return find_in_nothing(self.dataset, self.target, champion, walk, seed=asked.seed)

    def _importance(self, kind: type[Model]) -> list[Importance]:
        if not TARGETS[self.target].supervised:
            return []
        asked = self.settings
        return importance(self.dataset, kind, self.folds[-1], seed=asked.seed, weighted=asked.weighted)

    def _fitted(self, kind: type[Model], found: Evaluation) -> Artifact:
        data, settings = self.dataset, self.settings
        model = fit(kind, data, seed=settings.seed, weighted=settings.weighted)
        unknown = (math.nan, math.nan)
        low, high = unknown
        if kind.target == "return":
            low, high = conformal_bounds((found.labels - found.said[kind.name]) / found.unit, settings.coverage)
        return Artifact(
            instrument=data.instrument,
            timeframe=data.timeframe,
            horizon=data.horizon,
            target=kind.target,
            model=served(kind).name,
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
            floor=floor_of(data.inputs[: found.rows.start], data.columns),
            interval_rate=0.0 if math.isnan(low) else rate_of(data.overlap),
        )
