"""What a model is shown of a row: the row alone, or with those before it, and perhaps the time of day.

Training and service call the same function on the same rows, so a sequence is the same bits live and in batch. It never
crosses an instrument, a gap, or a candle that is incomplete: such a row starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tapeline.clock import DAY
from tapeline.errors import SnapshotMismatch
from tapeline.models.base import Model
from tapeline.types import Bool, Float, Int

TIME_OF_DAY = "time_of_day"
"""The name of the input that models get which ask for the time of day."""


def run_lengths(as_of: Int, usable: Bool, step: int) -> Int:
    """Return how many usable rows, each one step after the other, end with each row (0 where it is not usable).

    >>> run_lengths(np.array([1, 2, 3, 5, 6]), np.array([True, False, True, True, True]), 1).tolist()
    [1, 0, 1, 1, 2]
    """
    n = len(as_of)
    if n == 1:
        return usable.astype(np.int64)
    rows = np.arange(n)
    begins = usable & np.concatenate(([True], ~usable[:-1] | (np.diff(as_of) != step)))[:n]
    first = np.maximum.accumulate(np.where(begins, rows, 0))
    return np.where(usable, rows - first + 1, 0).astype(np.int64)


def shown(kind: type[Model], rows: Float, as_of: Int, at: Int) -> Float:
    """Return what a model is shown of the rows ``at``: m x k, or m x window x k where it looks back.

    Args:
        kind: the model.
        rows: inputs in order of time (n x k).
        as_of: when each was known, ns UTC (n).
        at: positions of m rows, each with its whole window before it.
    """
    if kind.timed:
        rows = np.column_stack((rows, (as_of % DAY) / DAY))
    if kind.window == 1:
        return np.ascontiguousarray(rows[at])
    if len(at) and (np.diff(at) == 1).all():  # a view that cannot be written: windows overlap, and there may be many
        span = rows[int(at[0]) - kind.window + 1 : int(at[-1]) + 1]
        return sliding_window_view(span, kind.window, axis=0).transpose(0, 2, 1)
    windows = np.empty((len(at), kind.window, rows.shape[1]))
    for step in range(kind.window):
        windows[:, step] = rows[at - kind.window + 1 + step]
    return windows


def columns_shown(kind: type[Model], columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the inputs as a model is shown them."""
    return (*columns, TIME_OF_DAY) if kind.timed else columns


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Consecutive rows of one instrument: inputs (n x k), when each was known (n), whether its window is complete."""

    inputs: Float
    as_of: Int
    complete: Bool

    def __len__(self) -> int:
        return len(self.as_of)

    def run_lengths(self, step: int, columns: Sequence[int] | None = None) -> Int:
        """Return `run_lengths`, where a row is usable whose inputs are finite and whose window is complete.

        ``columns`` are the inputs that have to be finite; without it all of them.
        """
        inputs = self.inputs if columns is None else self.inputs[:, columns]
        return run_lengths(self.as_of, self.complete & np.isfinite(inputs).all(axis=1), step)

    def since(self, row: int) -> Stretch:
        """Return the rows from one on."""
        return Stretch(self.inputs[row:], self.as_of[row:], self.complete[row:])

    def after(self, before: Stretch) -> Stretch:
        """Return both as one."""
        pairs = zip(
            (before.inputs, before.as_of, before.complete), (self.inputs, self.as_of, self.complete), strict=True
        )
        return Stretch(*(np.concatenate(pair) for pair in pairs))


class Recent:
    """The newest rows a served model has seen: what it needs of the past, as a state of fixed size.

    >>> recent = Recent(rows=1, columns=2)
    >>> recent.push(Stretch(np.ones((3, 2)), np.array([1, 2, 3]), np.ones(3, bool)))
    >>> recent.stretch.as_of.tolist()
    [3]
    """

    def __init__(self, rows: int, columns: int) -> None:
        dtype = np.dtype([("as_of", "<i8"), ("complete", "?"), ("inputs", "<f8", (columns,))])
        self._state = np.zeros(rows, dtype)

    @property
    def stretch(self) -> Stretch:
        """Return the rows; those before the first that was seen are incomplete."""
        return Stretch(*(self._state[name].copy() for name in ("inputs", "as_of", "complete")))

    def push(self, seen: Stretch) -> None:
        """Take the next rows, and forget the oldest."""
        kept = len(self._state)
        if not kept:
            return
        whole = seen.after(self.stretch)
        for name in ("inputs", "as_of", "complete"):
            self._state[name] = getattr(whole, name)[-kept:]

    @property
    def size(self) -> int:
        """Return how many bytes a snapshot has."""
        return int(self._state.nbytes)

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return self._state.tobytes()

    def restore(self, snapshot: bytes) -> Self:
        """Continue from a state that `snapshot` gave.

        Raises:
            SnapshotMismatch: its length is not that of this state.
        """
        if len(snapshot) != self.size:
            rule = f"{self.size} bytes"
            raise SnapshotMismatch("rows of a model", "cannot take this state", expected=rule, was=len(snapshot))
        self._state = np.frombuffer(snapshot, self._state.dtype).copy()
        return self
