"""Tuning: a model whose `fit` looks for its numbers inside the rows it is given, and nowhere else.

So a tuned model walks forward like any other: every fold has a search of its own, which never sees the test part. What
it saves is the plain model with the numbers it chose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np

from tapeline.learning.metrics import METRICS
from tapeline.models.base import Explanation, Model, Range, State
from tapeline.types import Float

_STARTUP = 10
_SPLITS = 2
_MOST_ROWS = 8_000
_FIRST_SHARE = 0.25
_LEAST_FIRST = 500
_KEPT_SHARE = 3


class Tuned(Model):
    """A model with a search before it; made by `tuned`.

    Attributes:
        kind: the model that is tuned.
        trials: how many sets of numbers are tried.
        share: the share of the rows that each of two validation parts takes.
        storage: where Optuna keeps the trials.
    """

    kind: ClassVar[type[Model]]
    trials: ClassVar[int]
    share: ClassVar[float]
    storage: ClassVar[Any]
    by_default = False

    def __init__(self) -> None:
        self.inner: Model | None = None

    def fit(
        self,
        rows: Float,
        labels: Float,
        *,
        seed: int,
        overlap: int = 1,
        past: int = -1,
        weights: Float | None = None,
    ) -> Self:
        """Search, then fit with the best numbers on all rows."""
        asked: dict[str, Any] = {"seed": seed, "overlap": overlap, "past": past}
        best = self._search(rows, labels, asked)
        if weights is not None:
            asked["weights"] = weights
        self.inner = variant(self.kind, best)().fit(rows, labels, **asked)
        return self

    def _search(self, rows: Float, labels: Float, asked: dict[str, Any]) -> dict[str, float]:
        """Try numbers on two later parts of the newest rows; the usual ones first, so that it cannot do worse there.

        All are tried on few rows first, and only the best third of those so far on all of them (successive halving).

        Source: Li et al. (2020), A system for massively parallel hyperparameter tuning.
        """
        import optuna

        study = _study(self, rows, labels, asked["seed"])
        rows, labels = rows[-_MOST_ROWS:], labels[-_MOST_ROWS:]
        rungs = search_rungs(len(rows), asked["overlap"], self.share)
        while (done := len(_ended(study))) < self.trials:
            study.sampler = optuna.samplers.TPESampler(seed=1000 * asked["seed"] + done, n_startup_trials=_STARTUP)
            if done == 0:
                study.enqueue_trial({name: span.usual for name, span in self.kind.space.items()})
            trial = study.ask()
            chosen = {name: _drawn(trial, name, span) for name, span in self.kind.space.items()}
            losses: list[float] = []
            for rung, (early, late) in enumerate(rungs):
                model = variant(self.kind, {**self.kind.quick, **chosen})().fit(rows[early], labels[early], **asked)
                losses.append(self._loss(model.predict(rows[late]), labels[late]))
                trial.report(losses[-1], rung)
                if len(losses) < len(rungs) and _unlikely(study, rung, losses[-1]):
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    break
            else:
                study.tell(trial, float(np.mean(losses[-_SPLITS:])))
        return {name: float(value) for name, value in study.best_params.items()}

    def _loss(self, said: Float, labels: Float) -> float:
        metric = METRICS[self.target][0]
        return -metric.sign * float(metric.rows(labels, said).mean())

    def predict(self, rows: Float) -> Float:
        """Return what the tuned model says."""
        return self._fitted.predict(rows)

    def explain(self, row: Float) -> Explanation:
        """Return what the tuned model says of itself."""
        return self._fitted.explain(row)

    def state(self) -> State:
        """Return the state of the tuned model."""
        return self._fitted.state()

    def dump(self) -> bytes:
        """Save as the plain model."""
        return self._fitted.dump()

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from the state of the tuned model."""
        made = cls()
        made.inner = cls.kind.from_state(state)
        return made

    @property
    def _fitted(self) -> Model:
        assert self.inner is not None
        return self.inner


def tuned(kind: type[Model], *, trials: int, share: float = 0.2, journal: Path | None = None) -> type[Tuned]:
    """Return a model that is tuned before each fit.

    Args:
        kind: the model, with a `Model.space`.
        trials: how many sets of numbers to try per fit.
        share: of the rows for each of two validation parts.
        journal: a file in which trials are kept, so that a killed search goes on; without it they are forgotten.
    """
    own = {
        "name": f"{kind.name}_tuned",
        "target": kind.target,
        "window": kind.window,
        "timed": kind.timed,
        "extra": kind.extra,
        "alone": kind.alone,
        "kind": kind,
        "trials": trials,
        "share": min(share, 0.4),
        "storage": _storage(journal),
    }
    return cast("type[Tuned]", type(f"Tuned{kind.__name__}", (Tuned,), own))


def variant(kind: type[Model], chosen: dict[str, float]) -> type[Model]:
    """Return a model with numbers that were chosen."""
    whole = {name for name, span in kind.space.items() if span.whole}
    numbers = {name: int(value) if name in whole else value for name, value in chosen.items()}
    return type(kind.__name__, (kind,), {"chosen": numbers})


def served(kind: type[Model]) -> type[Model]:
    """Return the model that is saved and served: of a tuned one the plain one."""
    return kind.kind if issubclass(kind, Tuned) else kind


def inner_splits(rows: int, overlap: int, share: float) -> list[tuple[slice, slice]]:
    """Return two pairs of a training and a later validation part; outcomes that overlap it are left out.

    >>> inner_splits(100, 3, 0.2)
    [(slice(0, 57, None), slice(60, 80, None)), (slice(0, 77, None), slice(80, 100, None))]
    """
    cuts = [math.floor(rows * (1 - share * left)) for left in range(_SPLITS, -1, -1)]
    return [(slice(0, max(1, start - overlap)), slice(start, end)) for start, end in pairwise(cuts)]


def search_rungs(rows: int, overlap: int, share: float) -> list[tuple[slice, slice]]:
    """Return what a trial goes through: the first of `inner_splits` with a quarter of its training part, then both.

    The quarter is left out where it would be fewer than 500 rows.

    >>> search_rungs(5000, 3, 0.2)[0]
    (slice(2248, 2997, None), slice(3000, 4000, None))
    """
    splits = inner_splits(rows, overlap, share)
    early, late = splits[0]
    first = math.floor(early.stop * _FIRST_SHARE)
    few = [(slice(early.stop - first, early.stop), late)] if first >= _LEAST_FIRST else []
    return [*few, *splits]


def searches(kinds: Sequence[type[Model]]) -> list[dict[str, Any]]:
    """Return what was searched: per model and fit its rows, trials, pruned trials, and the numbers chosen."""
    import optuna

    told = []
    for kind in (kind for kind in kinds if issubclass(kind, Tuned)):
        for name in sorted(study.study_name for study in optuna.get_all_study_summaries(kind.storage)):
            if not name.startswith(f"{kind.target}-{kind.kind.name}-"):
                continue
            study = optuna.load_study(study_name=name, storage=kind.storage)
            states = [trial.state.name for trial in study.trials]
            found = {"trials": states.count("COMPLETE") + states.count("PRUNED"), "pruned": states.count("PRUNED")}
            head = {"model": kind.name, "target": kind.target, "rows": study.user_attrs["rows"]}
            told.append({**head, **found, "loss": study.best_value, "chosen": study.best_params})
    return sorted(told, key=lambda one: (one["target"], one["model"], one["rows"], one["loss"]))


def _storage(journal: Path | None) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if journal is None:
        return optuna.storages.InMemoryStorage()
    journal.parent.mkdir(parents=True, exist_ok=True)
    return optuna.storages.JournalStorage(JournalFileBackend(str(journal)))


def _study(model: Tuned, rows: Float, labels: Float, seed: int) -> Any:
    """Return the study of exactly these rows: begun now, or by a run that was killed."""
    import optuna

    digest = blake2b(f"{seed} {model.share}".encode(), digest_size=8)
    for column in (rows, labels):
        digest.update(np.ascontiguousarray(column).tobytes())
    asked = {"storage": model.storage, "study_name": f"{model.target}-{model.kind.name}-{digest.hexdigest()}"}
    study = optuna.create_study(**asked, load_if_exists=True)
    ended = _ended(study)
    if len(ended) < len(study.trials):
        optuna.delete_study(**asked)
        study = optuna.create_study(**asked)
        study.add_trials(ended)
    study.set_user_attr("rows", len(rows))
    return study


def _ended(study: Any) -> list[Any]:
    """Return the trials that ended; one that a kill cut off does not count and is tried again."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in {"COMPLETE", "PRUNED"}]


def _unlikely(study: Any, rung: int, loss: float) -> bool:
    """Return whether a trial is not among the best third of those that came as far."""
    before = [one.intermediate_values[rung] for one in _ended(study) if rung in one.intermediate_values]
    better = sum(bool(one < loss) for one in before)
    return better >= max(1, (len(before) + 1) // _KEPT_SHARE)


def _drawn(trial: Any, name: str, span: Range) -> float:
    if span.whole:
        return int(trial.suggest_int(name, int(span.low), int(span.high), log=span.log))
    return float(trial.suggest_float(name, span.low, span.high, log=span.log))
