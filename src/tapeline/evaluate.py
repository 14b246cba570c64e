"""Walk-forward evaluation: every prediction is made by a model that had only seen what was known by then.

Per fold everything is learnt anew inside the training part: scaling, the choice of penalties, early stopping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from tapeline.errors import BrokenInvariant
from tapeline.learning.comparing import DieboldMariano, diebold_mariano
from tapeline.learning.dataset import Dataset
from tapeline.learning.fitting import fit
from tapeline.learning.folds import Fold
from tapeline.learning.kept import InMemory, Kept
from tapeline.learning.measures import MEASURES
from tapeline.learning.metrics import METRICS, Metric
from tapeline.learning.reading import heard, judged_by, rows_asked
from tapeline.learning.resample import BlockBootstrap, Interval, block_length
from tapeline.learning.spread import floor_of, units
from tapeline.learning.together import together
from tapeline.models.base import Model
from tapeline.models.targets import TARGETS
from tapeline.types import Float

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Score:
    """A model's metric out of sample, and its paired difference to the best baseline (positive = better)."""

    model: str
    target: str
    metric: str
    value: Interval
    baseline: str
    difference: Interval


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What all models of one target said out of sample.

    Attributes:
        target: one of `METRICS`.
        folds: the folds.
        rows: the test parts together, as positions of the dataset's rows.
        labels: what came (m).
        said: what each model said (m, or m x classes), by name, baselines first; of a description what it came to
            (`tapeline.learning.reading`).
        baselines: the names of the baselines.
        scores: per model and metric.
        bootstrap: what made the intervals.
        unit: in which the ends of each row's interval are measured (m).
        answers: the regimes themselves (m x classes), by name; nothing of other targets.
    """

    target: str
    folds: tuple[Fold, ...]
    rows: slice
    labels: Float
    said: Mapping[str, Float]
    baselines: tuple[str, ...]
    scores: tuple[Score, ...]
    bootstrap: BlockBootstrap
    unit: Float
    answers: Mapping[str, Float] = field(default_factory=dict)

    @property
    def metric(self) -> Metric:
        """Return the metric that decides."""
        return METRICS[self.target][0]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Return the models that are no baselines."""
        return tuple(name for name in self.said if name not in self.baselines)

    def score(self, model: str) -> Score:
        """Return a model's score in the metric that decides."""
        return next(score for score in self.scores if (score.model, score.metric) == (model, self.metric.name))

    def gains(self, model: str) -> Float:
        """Return by how much each row was better foretold than by the best baseline (m), in the deciding metric."""
        ours, theirs = (self.metric.rows(self.labels, self.said[name]) for name in (model, self.best_baseline))
        return _gain(self.metric.sign, ours, theirs)

    def diebold_mariano(self, model: str) -> DieboldMariano:
        """Return whether a model's loss differs from the best baseline's, tested the classical way."""
        return diebold_mariano(self.gains(model), self.bootstrap.overlap)

    @property
    def best_candidate(self) -> str:
        """Return the best candidate, before all of those whose interval is above 0; without any, the best baseline."""
        names = self.candidates or (self.best_baseline,)
        return max(names, key=lambda name: (self.score(name).difference.low > 0, self.score(name).difference.value))

    @property
    def best_baseline(self) -> str:
        """Return the baseline with the best value out of sample; of equals, the simpler."""
        return self.score(self.baselines[0]).baseline


def walk(
    dataset: Dataset, labels: Float, folds: Sequence[Fold], kind: type[Model], seed: int, rate: float = 0.01
) -> Iterator[Float]:
    """Fit a model anew in each fold and yield what it says about the test part.

    Of regimes it is what each row's come to as a volatility, and then the regimes themselves (m x 4); of anomalies the
    flags, of which the share ``rate`` is asked for on quiet rows.

    Raises:
        BrokenInvariant: it says something that is not a number, or no probability.
    """
    for fold in folds:
        model = fit(kind, dataset, seed=seed, rows=fold.train, labels=labels)
        said = model.predict(rows_asked(dataset, kind, fold, labels, seed))
        good = TARGETS[kind.target].usable(said)
        if len(said) != len(labels[fold.test]) or not good.all():
            where = f"model {kind.name} ({kind.target}) fold {fold.number}"
            was = f"{int((~good).sum())} others of {good.size}"
            raise BrokenInvariant(where, "is no forecast", expected=_rule(kind.target), was=was)
        read = heard(model, said, dataset, labels, fold, rate)
        yield np.column_stack((read, said)) if kind.target == "regime" else read


def _rule(target: str) -> str:
    asked = TARGETS[target]
    if asked.classes:
        return f"{asked.width} numbers inside (0, 1) a row, 1 in sum"
    return "one number inside (0, 1) a row" if asked.high == 1 else "one finite number a row"


def evaluate(
    dataset: Dataset,
    target: str,
    models: Sequence[type[Model]],
    *,
    folds: Sequence[Fold],
    seed: int,
    level: float,
    tried: int,
    labels: Float | None = None,
    resamples: int = 2000,
    progress: Callable[[str], None] = lambda text: None,
    kept: Kept | None = None,
    rate: float = 0.01,
) -> Evaluation:
    """Walk every model forward, and set each beside the best baseline.

    Args:
        dataset: the rows that have an outcome of the target (`Dataset.for_target`).
        target: one of `METRICS`.
        models: of that target; at least one baseline.
        folds: from `split`.
        seed: of models and bootstrap.
        level: of the intervals of the values; those of the differences are at ``1 - (1 - level) / tried``
            (Bonferroni), so that a run of many candidates promotes falsely no more often than one of a single one.
        tried: how many candidates the whole run tries.
        labels: other outcomes than the dataset's (n): for tests of the procedure itself.
        resamples: of the bootstrap.
        progress: told each model and fold.
        kept: what was said before of the dataset's own outcomes, and what is said now.
        rate: the share of quiet rows to be called anomalies.
    """
    outcomes = judged_by(dataset, target, seed) if labels is None else labels
    if np.isnan(outcomes).any():
        raise BrokenInvariant(
            f"evaluation of {target}", "a row has no outcome", expected="Dataset.for_target", was="NaN"
        )
    known = kept if kept is not None and labels is None else InMemory()
    said = _walk_all(dataset, outcomes, models, folds, seed, progress, known, rate)
    answers = {name: both[:, 1:] for name, both in said.items()} if target == "regime" else {}
    said = {name: said[name][:, 0] for name in answers} or said
    rows = slice(folds[0].test.start, folds[-1].test.stop)
    block = block_length(rows.stop - rows.start, dataset.overlap)
    bootstrap = BlockBootstrap(
        rows.stop - rows.start, block=block, resamples=resamples, seed=seed, overlap=dataset.overlap
    )
    baselines = tuple(kind.name for kind in models if kind.baseline)
    asked = (outcomes[rows], said, baselines, bootstrap, level, max(1, tried))
    scores = [score for metric in METRICS[target] for score in _scores(target, metric, *asked)]
    scores.extend(_measured(target, *asked))
    floor = floor_of(dataset.inputs[: rows.start], dataset.columns)
    unit = units(dataset.inputs[rows], dataset.columns, floor)
    made = (rows, outcomes[rows], said, baselines, tuple(scores), bootstrap, unit, answers)
    return Evaluation(target, tuple(folds), *made)


def _walk_all(
    dataset: Dataset,
    labels: Float,
    models: Sequence[type[Model]],
    folds: Sequence[Fold],
    seed: int,
    progress: Callable[[str], None],
    kept: Kept,
    rate: float,
) -> dict[str, Float]:
    """Return what each model says about all test parts, baselines first; several fits at once where models allow it."""
    ordered = sorted(models, key=lambda kind: not kind.baseline)
    wanted = [(kind, number) for kind in ordered for number in range(len(folds))]
    parts: dict[tuple[str, int], Float] = {}
    for kind, number in wanted:
        part = kept.get(part_name(kind, number))
        if part is not None and len(part) == folds[number].test.stop - folds[number].test.start:
            parts[kind.name, number] = part
            progress(_told(kind, number, folds))
    for alone in (True, False):
        asked = [one for one in wanted if (one[0].name, one[1]) not in parts and one[0].alone == alone]
        jobs = [partial(_said_of, dataset, labels, folds[number], kind, seed, rate) for kind, number in asked]
        for done in together(jobs, alone=alone):
            kind, number = asked[done.place]
            kept.put(part_name(kind, number), done.gave, done.seconds)
            parts[kind.name, number] = done.gave
            progress(_told(kind, number, folds))
    return {kind.name: np.concatenate([parts[kind.name, number] for number in range(len(folds))]) for kind in ordered}


def part_name(kind: type[Model], number: int) -> str:
    """Return the name under which it is kept what a model said of the test part of a fold."""
    return f"{kind.target}-{kind.name}-{number}"


def _said_of(dataset: Dataset, labels: Float, fold: Fold, kind: type[Model], seed: int, rate: float) -> Float:
    return next(walk(dataset, labels, [fold], kind, seed, rate))


def _told(kind: type[Model], number: int, folds: Sequence[Fold]) -> str:
    return f"{kind.name} ({kind.target}) fold {number + 1} of {len(folds)}"


def _scores(
    target: str,
    metric: Metric,
    labels: Float,
    said: Mapping[str, Float],
    baselines: Sequence[str],
    bootstrap: BlockBootstrap,
    level: float,
    tried: int,
) -> Iterator[Score]:
    rows = {name: metric.rows(labels, values) for name, values in said.items()}
    best = max(baselines, key=lambda name: metric.sign * float(rows[name].mean()))
    corrected = 1 - (1 - level) / tried
    for name, values in rows.items():
        interval = bootstrap.interval(_gain(metric.sign, values, rows[best]), corrected)
        yield Score(name, target, metric.name, bootstrap.interval(values, level), best, interval)


def _measured(
    target: str,
    labels: Float,
    said: Mapping[str, Float],
    baselines: Sequence[str],
    bootstrap: BlockBootstrap,
    level: float,
    tried: int,
) -> Iterator[Score]:
    """Yield the scores that are no means over rows; all of them from the same resamples."""
    corrected = 1 - (1 - level) / tried
    for measure in MEASURES[target]:
        values, draws = {}, {}
        for name, answers in said.items():
            columns = measure.columns(labels, answers)
            values[name] = float(measure.value(columns.mean(axis=0)[None])[0])
            resampled = measure.value(bootstrap.means(columns))
            draws[name] = np.maximum(2 * values[name] - resampled, 0.0) if measure.grows else resampled
        known = [name for name in baselines if not np.isnan(values[name])] or list(baselines)
        best = max(known, key=lambda name: measure.sign * values[name])
        for name, value in values.items():
            gain = measure.sign * (value - values[best]) + 0.0
            spread = measure.sign * (draws[name] - draws[best])
            interval = bootstrap.around(value, draws[name], level)
            yield Score(name, target, measure.name, interval, best, bootstrap.around(gain, spread, corrected))


def _gain(sign: int, ours: Float, theirs: Float) -> Float:
    """Return how much better each row is; a difference of rounding (1e-9 of the metric) is none.

    Two ways to write one constant differ in the last bit: always to the same side, hence with an interval above zero.
    """
    gain = sign * (ours - theirs)
    return np.where(np.abs(gain) <= _ROUNDING * np.abs(theirs).mean(), 0.0, gain)
