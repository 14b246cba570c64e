"""Which inputs a model uses: by permutation out of sample, and by what each adds to its answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapeline.learning.dataset import Dataset
from tapeline.learning.fitting import fit
from tapeline.learning.folds import Fold
from tapeline.learning.metrics import METRICS
from tapeline.learning.windows import columns_shown
from tapeline.models.base import Model
from tapeline.types import Float

_ROWS = 5000
_EXPLAINED = 100
_REPEATS = 5


@dataclass(frozen=True, slots=True)
class Importance:
    """What one input is worth to a model.

    Attributes:
        column: the input.
        loss: how much the deciding metric gets worse on rows it did not learn from when the input's values are in
            random order; the mean, the least and the most of several orders.
        added: the mean size of what it adds to an answer (SHAP values for boosted trees, weight times value for linear
            models), in ``unit``.
        unit: of ``added``.
    """

    column: str
    loss: float
    loss_low: float
    loss_high: float
    added: float
    unit: str


def importance(
    dataset: Dataset, kind: type[Model], fold: Fold, *, seed: int, weighted: bool = False
) -> list[Importance]:
    """Return what each input is worth to a model that learnt from a fold, on its test part; the greatest loss first.

    Permuted inputs may be combinations that never occur: of inputs that move together, each may look worthless.

    Source: Fisher, Rudin and Dominici (2019), All models are wrong, but many are useful.
    """
    model = fit(kind, dataset, seed=seed, rows=fold.train, weighted=weighted)
    last = slice(max(fold.test.start, fold.test.stop - _ROWS), fold.test.stop)
    rows, labels = dataset.shown(kind, last), dataset.labels(kind.target)[last]
    metric = METRICS[kind.target][0]
    base = float(metric.rows(labels, model.predict(rows)).mean())
    generator = np.random.default_rng(seed)
    some = np.linspace(0, len(rows) - 1, min(_EXPLAINED, len(rows))).astype(int)
    told = [model.explain(rows[row]) for row in some.tolist()]
    added = np.abs([one.contributions for one in told]).mean(axis=0)
    found = []
    for place, column in enumerate(columns_shown(kind, dataset.columns)):
        losses = [
            -metric.sign * (float(metric.rows(labels, model.predict(mixed)).mean()) - base)
            for mixed in (_mixed(rows, place, generator) for _ in range(_REPEATS))
        ]
        found.append(
            Importance(column, float(np.mean(losses)), min(losses), max(losses), float(added[place]), told[0].unit)
        )
    return sorted(found, key=lambda one: (-one.loss, -one.added, one.column))


def _mixed(rows: Float, place: int, generator: np.random.Generator) -> Float:
    mixed = rows.copy()
    mixed[..., place] = rows[generator.permutation(len(rows))][..., place]
    return mixed
