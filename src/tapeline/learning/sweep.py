"""The sweep: ordinary models in the same walk-forward as the candidates, ranked with intervals.

Each has a budget of processor time, looked at after every fold; one that uses it up, or fails, is listed with the
reason. The sweep only shows: what cannot be saved cannot be promoted, so it does not count among the candidates of the
gate.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tapeline.errors import BrokenInvariant
from tapeline.evaluate import Evaluation, evaluate
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import Fold
from tapeline.learning.kept import InMemory, Kept
from tapeline.learning.ordinary import Ordinary, ordinary_models
from tapeline.learning.together import together
from tapeline.learning.walking import Walker, part_name
from tapeline.models.base import Model
from tapeline.types import Float

_FAILURES = (ValueError, TypeError, ArithmeticError, RuntimeError, AttributeError, MemoryError, BrokenInvariant)


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """What the sweep of one target found: those that ended, beside the baselines; and why others did not.

    ``most_rows`` says of those that ended how many rows they learn from at most.
    """

    evaluation: Evaluation
    ended: tuple[str, ...]
    failed: dict[str, str]
    most_rows: dict[str, int] = field(default_factory=dict)

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
    """Walk ordinary models forward, several at once, each for at most ``budget`` seconds and the fold it is in.

    Args:
        dataset: the rows of the target.
        target: ``return`` or ``direction``; there is nothing to sweep for others.
        baselines: to be beaten.
        folds: from `split`.
        seed: of models and bootstrap.
        level: of the intervals; those of differences are corrected for all that is tried here.
        resamples: of the bootstrap.
        budget: seconds of processor time for each.
        progress: told each model.
        models: instead of scikit-learn's.
        kept: what was said before, in a run that was killed.
    """
    kinds = ordinary_models(target) if models is None else list(models)
    known: Kept = InMemory() if kept is None else kept
    walker = Walker(dataset, dataset.labels(target), folds, seed)
    failed = _walked(walker, kinds, budget, known, lambda kind: progress(f"{kind.name} ({target})"))
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
    most = {kind.name: kind.most_rows for kind in ended if issubclass(kind, Ordinary)}
    return Sweep(found, tuple(kind.name for kind in ended), failed, most)


def _walked(
    walker: Walker, kinds: Sequence[type[Model]], budget: float, known: Kept, step: Callable[[type[Model]], None]
) -> dict[str, str]:
    """Keep what those say that was not kept before; return in their order why some did not end."""
    names = {kind.name: [part_name(kind, number) for number in range(len(walker.folds))] for kind in kinds}
    missing = [kind for kind in kinds if any(known.get(name) is None for name in names[kind.name])]
    for kind in kinds:
        if kind not in missing:
            step(kind)
    failed = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for done in together([partial(_tried, walker, kind, budget) for kind in missing]):
            kind = missing[done.place]
            if isinstance(done.gave, str):
                failed[kind.name] = done.gave
            else:
                for name, part in zip(names[kind.name], done.gave, strict=True):
                    known.put(name, part, done.seconds / len(walker.folds))
            step(kind)
    return {kind.name: failed[kind.name] for kind in kinds if kind.name in failed}


class OutOfTime(RuntimeError):
    """The budget of a model is used up."""


def _tried(walker: Walker, kind: type[Model], budget: float) -> list[Float] | str:
    """Return what a model says of each fold, or why it does not."""
    begun = time.thread_time()
    parts: list[Float] = []
    try:
        for number in range(len(walker.folds)):
            if number and time.thread_time() - begun > budget:
                raise OutOfTime(f"its {budget:g} s were over after fold {number} of {len(walker.folds)}")
            parts.append(walker.ask(kind, number).read)
    except _FAILURES as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:160]
    return parts
