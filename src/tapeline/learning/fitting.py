"""Fitting a model to rows of a dataset: the one place where models are fitted, and where rows are refused by name."""

from __future__ import annotations

import numpy as np

from tapeline.errors import InputError, NotEnoughData
from tapeline.learning.dataset import Dataset
from tapeline.learning.windows import columns_shown
from tapeline.models.base import Model
from tapeline.models.targets import TARGETS
from tapeline.types import Float

LEAST_ROWS = 20
"""With fewer rows nothing is fitted."""


def fit(
    kind: type[Model],
    dataset: Dataset,
    *,
    seed: int,
    rows: slice = slice(None),
    labels: Float | None = None,
    weighted: bool = False,
) -> Model:
    """Fit a model to some rows of a dataset (`Dataset.for_target`).

    Args:
        kind: the model.
        dataset: the rows.
        seed: of all randomness.
        rows: which of them.
        labels: other outcomes than the dataset's (n): for tests of the procedure itself.
        weighted: whether rows count by the uniqueness of their outcomes.

    Raises:
        NotEnoughData: there are fewer than 20 rows.
        InputError: an input or an outcome is not finite, or an outcome is none of the target's.
        MissingDependency: the model needs an extra that is not installed.
    """
    outcomes = (dataset.labels(kind.target) if labels is None else labels)[rows]
    where = f"model {kind.name} ({kind.target})"
    if len(outcomes) < LEAST_ROWS:
        step = "import more, or cut the rows into fewer folds"
        rule = f"at least {LEAST_ROWS}"
        raise NotEnoughData(where, "has too few rows to learn from", expected=rule, was=len(outcomes), next_step=step)
    inputs = dataset.shown(kind, rows)
    _check_inputs(where, inputs, columns_shown(kind, dataset.columns))
    _check_outcomes(where, kind, outcomes)
    weights = dataset.weights(kind.target)[rows] if weighted else None
    if weights is None:
        return kind().fit(inputs, outcomes, seed=seed, overlap=dataset.overlap, past=dataset.past)
    return kind().fit(
        inputs, outcomes, seed=seed, overlap=dataset.overlap, past=dataset.past, weights=weights / weights.mean()
    )


def _check_inputs(where: str, inputs: Float, columns: tuple[str, ...]) -> None:
    bad = ~np.isfinite(inputs)
    if bad.any():
        column = int(np.flatnonzero(bad.reshape(-1, inputs.shape[-1]).any(axis=0))[0])
        count = int(bad.sum())
        was = f"{count} others, the first in column {columns[column]}"
        raise InputError(where, "was given inputs that are no numbers", expected="finite inputs", was=was)


def _check_outcomes(where: str, kind: type[Model], outcomes: Float) -> None:
    classes = TARGETS[kind.target].classes
    allowed = range(len(classes)) if classes else (0, 1) if kind.target == "direction" else None
    good = np.isfinite(outcomes) if allowed is None else np.isin(outcomes, list(allowed))
    if TARGETS[kind.target].supervised and not good.all():
        rule = "finite outcomes" if allowed is None else f"classes {', '.join(map(str, allowed))}"
        was = f"{int((~good).sum())} others of {len(outcomes)}"
        raise InputError(where, "was given outcomes that are none", expected=rule, was=was)
