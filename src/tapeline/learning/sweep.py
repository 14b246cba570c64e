"""The sweep: ordinary models in the same walk-forward as the candidates, ranked with intervals.

Each has a budget of time, looked at after every fold; one that uses it up, or fails, is listed with the reason. The
sweep only shows: what cannot be saved cannot be promoted, so it does not count among the candidates of the gate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tapeline.errors import BrokenInvariant
from tapeline.evaluate import Evaluation, evaluate, walk
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import Fold
from tapeline.learning.kept import InMemory, Kept
from tapeline.learning.ordinary import ordinary_models
from tapeline.models.base import Model
from tapeline.types import Float

_FAILURES = (ValueError, TypeError, ArithmeticError, RuntimeError, AttributeError, MemoryError, BrokenInvariant)


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """What the sweep of one target found: those that ended, beside the baselines; and why others did not."""

    evaluation: Evaluation
    ended: tuple[str, ...]
    failed: dict[str, str]

    @property
    def tried(self) -> int:
        """Return how many were tried."""
        return len(self.ended) + len(self.failed)


def sweep(
    dataset: Dataset,
    target: str,
    baselines: Sequence[type[Model]],
    *,
    folds: Sequence[Fold],
    seed: int,
    level: float,
    resamples: int,
    budget: float,
    progress: Callable[[str], None] = lambda text: None,
    models: Sequence[type[Model]] | None = None,
    kept: Kept | None = None,
) -> Sweep:
    """Walk ordinary models forward, each for at most ``budget`` seconds and the fold it is in.

    Args:
        dataset: the rows of the target.
        target: ``return`` or ``direction``; there is nothing to sweep for others.
        baselines: to be beaten.
        folds: from `split`.
        seed: of models and bootstrap.
        level: of the intervals; those of differences are corrected for all that is tried here.
        resamples: of the bootstrap.
        budget: seconds for each.
        progress: told each model.
        models: instead of scikit-learn's.
        kept: what was said before, in a run that was killed.
    """
    kinds = ordinary_models(target) if models is None else list(models)
    known: Kept = InMemory() if kept is None else kept
    failed = {}
    for kind in kinds:
        names = [f"{target}-{kind.name}-{number}" for number in range(len(folds))]
        try:
            if any(known.get(name) is None for name in names):
                for name, said in zip(names, _timed(dataset, target, folds, kind, seed, budget), strict=True):
                    known.put(name, said)
        except _FAILURES as error:
            failed[kind.name] = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        progress(f"{kind.name} ({target})")
    ended = [kind for kind in kinds if kind.name not in failed]
    found = evaluate(
        dataset,
        target,
        [*baselines, *ended],
        folds=folds,
        seed=seed,
        level=level,
        tried=max(1, len(kinds)),
        resamples=resamples,
        kept=known,
    )
    return Sweep(found, tuple(kind.name for kind in ended), failed)


class OutOfTime(RuntimeError):
    """The budget of a model is used up."""


def _timed(
    dataset: Dataset, target: str, folds: Sequence[Fold], kind: type[Model], seed: int, budget: float
) -> list[Float]:
    begun = time.perf_counter()
    parts: list[Float] = []
    for number, fold in enumerate(folds):
        parts.extend(walk(dataset, dataset.labels(target), [fold], kind, seed))
        if number + 1 < len(folds) and time.perf_counter() - begun > budget:
            raise OutOfTime(f"its {budget:g} s were over after fold {number + 1} of {len(folds)}")
    return parts
