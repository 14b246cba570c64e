"""The interval of a served model: its ends now, and the predictions whose outcome is not known yet.

It is a function of the artefact and of the rows since its training, whoever served them: a model that was loaded a
minute ago and has seen these rows stands where one stands that has answered since it was trained.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np

from tapeline.errors import SnapshotMismatch
from tapeline.labels import log_return
from tapeline.learning.artifact import Artifact
from tapeline.learning.conformal import TrackedInterval
from tapeline.learning.windows import Stretch
from tapeline.types import Float, Timeframe

_AWAITED = np.dtype([("target_time", "<i8"), ("close", "<f8"), ("low", "<f8"), ("high", "<f8")])
_NOTHING = (-1, math.nan, math.nan, math.nan)
_ENDS = np.dtype("<f8")


class LiveInterval:
    """Give the interval of each prediction, and learn from its outcome at the row that closes at its target.

    A row whose window is not complete tells no outcome, nor does one that never came: what awaited it is forgotten.
    Rows that end before the training did are answered with the first ends, and nothing is learnt from them.

    Args:
        artifact: of the return, with ends that follow what came.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.begins = artifact.trained_to
        """The first row to learn from, by its ``as_of``: what came before was known in training."""
        self._tracked = TrackedInterval(artifact.low, artifact.high, artifact.coverage, rate=artifact.interval_rate)
        self._horizon = artifact.horizon
        self._step = Timeframe.parse(artifact.timeframe).step
        self._awaited = [_NOTHING] * (self._horizon // self._step)

    @classmethod
    def of(cls, artifact: Artifact) -> Self | None:
        """Return that of an artefact, None where it has no interval or its ends stay."""
        follows = artifact.target == "return" and artifact.interval_rate and not math.isnan(artifact.low)
        return cls(artifact) if follows else None

    def follow(self, seen: Stretch, close: Float, values: Float, unit: Float) -> Float:
        """Take the next rows in order of time and return the ends of their intervals (n x 2); NaN without a value.

        Args:
            seen: the rows (n).
            close: of each (n).
            values: what is predicted, a log return (n); NaN is nothing.
            unit: of each row (n), see `tapeline.learning.spread`.
        """
        rows = zip(*(column.tolist() for column in (seen.as_of, seen.complete, close, values, unit)), strict=True)
        return np.array([self._next(*row) for row in rows]).reshape(-1, 2)

    def _next(self, as_of: int, complete: bool, close: float, value: float, unit: float) -> tuple[float, float]:
        place = as_of // self._step % len(self._awaited)
        target_time, close_then, low, high = self._awaited[place]
        came = log_return(close, close_then) if complete and target_time == as_of else math.nan
        if not math.isnan(came):
            self._tracked.learn(below=came < low, above=came > high)
        low, high = (value + end * unit for end in self._tracked.bounds)
        learns = as_of >= self.begins and not math.isnan(value)
        self._awaited[place] = (as_of + self._horizon, close, low, high) if learns else _NOTHING
        return low, high

    @property
    def size(self) -> int:
        """Return how many bytes a snapshot has."""
        return 2 * _ENDS.itemsize + len(self._awaited) * _AWAITED.itemsize

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return np.array(self._tracked.bounds, _ENDS).tobytes() + np.array(self._awaited, _AWAITED).tobytes()

    def restore(self, snapshot: bytes) -> None:
        """Continue from a state that `snapshot` gave.

        Raises:
            SnapshotMismatch: its length is not that of this state.
        """
        if len(snapshot) != self.size:
            rule = f"{self.size} bytes"
            raise SnapshotMismatch("interval of a model", "cannot take this state", expected=rule, was=len(snapshot))
        low, high = np.frombuffer(snapshot, _ENDS, 2).tolist()
        self._tracked.bounds = (low, high)
        self._awaited = np.frombuffer(snapshot, _AWAITED, offset=2 * _ENDS.itemsize).tolist()
