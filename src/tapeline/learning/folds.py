"""Cutting rows in time: expanding or rolling training parts, purged, with an embargo before each test part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapeline.clock import format_duration, format_time
from tapeline.errors import NotEnoughData, UsageError
from tapeline.learning.dataset import Dataset

_LEAST_BLOCKS = 8
_LEAST_TRAINING = 50


@dataclass(frozen=True, slots=True)
class WalkForward:
    """How rows are cut in time.

    Attributes:
        folds: how many test parts, equal in rows, one after the other.
        first_train: the share of rows before the first test part.
        rolling: the length of the training part, ns; without it, all that came before.
        embargo: ns between the last outcome learnt from and the test part; without it, one horizon.
    """

    folds: int = 5
    first_train: float = 0.4
    rolling: int | None = None
    embargo: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One training part and the test part after it, as positions of rows."""

    number: int
    train: slice
    test: slice


def split(dataset: Dataset, plan: WalkForward) -> tuple[Fold, ...]:
    """Cut a dataset into folds; training rows whose outcome is known later than the embargo allows are dropped.

    Raises:
        UsageError: the plan makes no sense.
        NotEnoughData: the rows are too few for it.
    """
    where = f"walk-forward of {dataset.instrument} {dataset.timeframe} over {format_duration(dataset.horizon)}"
    if plan.folds < 1 or not 0 < plan.first_train < 1:
        rule = "at least 1 fold and a share between 0 and 1"
        raise UsageError(where, "cannot be cut", expected=rule, was=f"{plan.folds} folds, {plan.first_train}")
    _check_rows(where, dataset, plan)
    n = len(dataset)
    edges = np.linspace(round(n * plan.first_train), n, plan.folds + 1).round().astype(int).tolist()
    return tuple(_fold(where, dataset, plan, k, edges[k], edges[k + 1]) for k in range(plan.folds))


def _check_rows(where: str, dataset: Dataset, plan: WalkForward) -> None:
    test = max(_LEAST_BLOCKS * 2 * dataset.overlap, 10 * plan.folds)
    train = _LEAST_TRAINING + 2 * dataset.overlap
    least = max(round(test / (1 - plan.first_train)), round(train / plan.first_train)) + 1
    if len(dataset) < least:
        told = ", ".join(f"{count} {reason}" for reason, count in dataset.excluded.items())
        raise NotEnoughData(
            where,
            f"has too few rows with all inputs and a known outcome (left out: {told or 'none'})",
            expected=f"at least {least}",
            was=len(dataset),
            next_step="import more trades, or take a shorter horizon, a shorter timeframe or a set with less warm-up",
        )


def _fold(where: str, dataset: Dataset, plan: WalkForward, number: int, start: int, end: int) -> Fold:
    embargo = dataset.horizon if plan.embargo is None else plan.embargo
    begins = int(dataset.as_of[start])
    last = int(np.searchsorted(dataset.known_at, begins - embargo, side="right"))
    first = 0 if plan.rolling is None else int(np.searchsorted(dataset.as_of, begins - plan.rolling))
    if last - first < _LEAST_TRAINING:
        raise NotEnoughData(
            f"{where} fold {number}",
            "has too few training rows",
            expected=f"at least {_LEAST_TRAINING} with an outcome known by {format_time(begins - embargo)}",
            was=max(0, last - first),
            next_step="import more trades, or take fewer folds or a longer rolling window",
        )
    return Fold(number, slice(first, last), slice(start, end))
