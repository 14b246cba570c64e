"""Walk-forward evaluation: what models said out of sample (`tapeline.learning.walking`), scored and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tapeline.errors import BrokenInvariant
from tapeline.learning.comparing import DieboldMariano, diebold_mariano
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import Fold
from tapeline.learning.kept import InMemory, Kept
from tapeline.learning.measures import MEASURES, Measure
from tapeline.learning.metrics import METRICS, Metric
from tapeline.learning.reading import judged_by
from tapeline.learning.resample import BlockBootstrap, Interval, block_length
from tapeline.learning.spread import floor_of, units
from tapeline.learning.walking import Said, Walker
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
        answers: the classes of a description that is read as something (m x classes), by name; else nothing.
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
    weighted: bool = False,
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
        weighted: whether models learn from rows by the uniqueness of their outcomes; all rows are judged alike.
    """
    outcomes = judged_by(dataset, target, seed) if labels is None else labels
    if np.isnan(outcomes).any():
        where = f"evaluation of {target}"
        raise BrokenInvariant(where, "a row has no outcome", expected="Dataset.for_target", was="NaN")
    walker = Walker(dataset, outcomes, folds, seed, rate, weighted)
    known = kept if kept is not None and labels is None else InMemory()
    said = walker.ask_all(models, known, progress)
    baselines = tuple(kind.name for kind in models if kind.baseline)
    return _judged(walker, target, said, baselines, level=level, tried=tried, resamples=resamples)


def _judged(
    walker: Walker,
    target: str,
    said: Mapping[str, Said],
    baselines: tuple[str, ...],
    *,
    level: float,
    tried: int,
    resamples: int,
) -> Evaluation:
    """Score what all models said of the test parts."""
    dataset, folds = walker.dataset, walker.folds
    rows = slice(folds[0].test.start, folds[-1].test.stop)
    count, overlap = rows.stop - rows.start, dataset.overlap
    block = block_length(count, overlap)
    bootstrap = BlockBootstrap(count, block=block, resamples=resamples, seed=walker.seed, overlap=overlap)
    read = {name: both.read for name, both in said.items()}
    table = _Table(target, walker.labels[rows], read, baselines, bootstrap, level, max(1, tried))
    return Evaluation(
        target=target,
        folds=tuple(folds),
        rows=rows,
        labels=table.labels,
        said=read,
        baselines=baselines,
        scores=tuple(table.scores()),
        bootstrap=bootstrap,
        unit=units(dataset.inputs[rows], dataset.columns, floor_of(dataset.inputs[: rows.start], dataset.columns)),
        answers={name: both.itself for name, both in said.items()} if TARGETS[target].read_as else {},
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """What all models of a target said, side by side; see `Evaluation` and `evaluate`."""

    target: str
    labels: Float
    said: Mapping[str, Float]
    baselines: tuple[str, ...]
    bootstrap: BlockBootstrap
    level: float
    tried: int

    def scores(self) -> Iterator[Score]:
        """Yield every score, those of the metric that decides first."""
        for metric in METRICS[self.target]:
            yield from self._means(metric)
        for measure in MEASURES[self.target]:
            yield from self._measured(measure)

    @property
    def _corrected(self) -> float:
        return 1 - (1 - self.level) / self.tried

    def _means(self, metric: Metric) -> Iterator[Score]:
        rows = {name: metric.rows(self.labels, values) for name, values in self.said.items()}
        best = max(self.baselines, key=lambda name: metric.sign * float(rows[name].mean()))
        for name, values in rows.items():
            gain = self.bootstrap.interval(_gain(metric.sign, values, rows[best]), self._corrected)
            yield Score(name, self.target, metric.name, self.bootstrap.interval(values, self.level), best, gain)

    def _measured(self, measure: Measure) -> Iterator[Score]:
        """Yield the scores of what is no mean over rows; all of them from the same resamples."""
        values, draws = {}, {}
        for name, answers in self.said.items():
            columns = measure.columns(self.labels, answers)
            values[name] = float(measure.value(columns.mean(axis=0)[None])[0])
            resampled = measure.value(self.bootstrap.means(columns))
            draws[name] = np.maximum(2 * values[name] - resampled, 0.0) if measure.grows else resampled
        known = [name for name in self.baselines if not np.isnan(values[name])] or self.baselines
        best = max(known, key=lambda name: measure.sign * values[name])
        for name, value in values.items():
            interval = self.bootstrap.around(value, draws[name], self.level)
            spread = measure.sign * (draws[name] - draws[best])
            gain = self.bootstrap.around(measure.sign * (value - values[best]) + 0.0, spread, self._corrected)
            yield Score(name, self.target, measure.name, interval, best, gain)


def _gain(sign: int, ours: Float, theirs: Float) -> Float:
    """Return how much better each row is; a difference of rounding (1e-9 of the metric) is none.

    Two ways to write one constant differ in the last bit: always to the same side, hence with an interval above zero.
    """
    gain = sign * (ours - theirs)
    return np.where(np.abs(gain) <= _ROUNDING * np.abs(theirs).mean(), 0.0, gain)
