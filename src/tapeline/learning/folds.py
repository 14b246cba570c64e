"""Cutting rows in time: expanding or rolling training parts, purged, with an embargo before each test part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from tapeline.clock import format_duration, format_time, parse_duration
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
        windows: rolling parts by time instead of the three above.
    """

    folds: int = 5
    first_train: float = 0.4
    rolling: int | None = None
    embargo: int | None = None
    windows: Windows | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """Rolling parts by time: how long to train on, to validate on (for tuning), and to test on.

    Lengths in ns; below 1 they are shares of the whole span. The last test part ends with the last row, and there are
    as many as fit.
    """

    train: float
    validation: float
    test: float

    @classmethod
    def parse(cls, text: str) -> Windows:
        """Read ``60d/14d/7d``, or shares such as ``0.5/0.1/0.1``.

        Raises:
            UsageError: it is neither.
        """
        parts = text.split("/")
        try:
            lengths = [float(part) if _is_share(part) else float(parse_duration(part)) for part in parts]
        except UsageError:
            lengths = []
        shares = [length < 1 for length in lengths]
        if len(lengths) != 3 or any(shares) != all(shares) or (all(shares) and sum(lengths) > 1):
            rule = "three lengths such as 60d/14d/7d, or three shares such as 0.5/0.1/0.1 of at most 1 in sum"
            raise UsageError("windows", "cannot be read", expected=rule, was=text)
        return cls(*lengths)

    @property
    def validated(self) -> float:
        """Return which share of what is learnt from is for validation."""
        return self.validation / (self.train + self.validation)

    def edges(self, dataset: Dataset) -> tuple[int, list[int]]:
        """Return how many ns are learnt from before each test part, and the rows at which test parts begin and end."""
        first, last = int(dataset.as_of[0]), int(dataset.as_of[-1])
        scale = last - first if self.test < 1 else 1
        learn, test = round((self.train + self.validation) * scale), max(1, round(self.test * scale))
        count = (last - first - learn) // test
        begins = [last + 1 - k * test for k in range(int(count), -1, -1)]
        return learn, np.searchsorted(dataset.as_of, begins).tolist()


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False


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
    if plan.windows is not None:
        return _rolling(where, dataset, plan, plan.windows)
    _check_rows(where, dataset, plan)
    n = len(dataset)
    edges = np.linspace(round(n * plan.first_train), n, plan.folds + 1).round().astype(int).tolist()
    return tuple(_fold(where, dataset, plan, k, edges[k], edges[k + 1]) for k in range(plan.folds))


def _rolling(where: str, dataset: Dataset, plan: WalkForward, windows: Windows) -> tuple[Fold, ...]:
    learn, edges = windows.edges(dataset)
    parts = [(start, end) for start, end in pairwise(edges) if end > start]
    tested = parts[-1][1] - parts[0][0] if parts else 0
    least = _LEAST_BLOCKS * 2 * dataset.overlap
    if tested < least:
        raise NotEnoughData(
            where,
            f"has too few test rows in windows of {format_duration(learn)} to learn from",
            expected=f"at least {least}",
            was=tested,
            next_step="import more trades, or take shorter windows",
        )
    asked = replace(plan, rolling=learn)
    return tuple(_fold(where, dataset, asked, number, start, end) for number, (start, end) in enumerate(parts))


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
