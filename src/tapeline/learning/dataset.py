"""The rows a model learns from: inputs known at ``as_of``, labels known at ``as_of + horizon``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np

from tapeline import labels
from tapeline.clock import format_duration
from tapeline.errors import NotEnoughData, UsageError
from tapeline.learning.outcomes import Labels, outcomes
from tapeline.learning.weights import uniqueness
from tapeline.learning.windows import Stretch, shown
from tapeline.models.base import Model
from tapeline.models.targets import TARGETS
from tapeline.types import Bool, Float, Int, Records, Timeframe


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows of one instrument in order of time, each fit to learn from.

    Attributes:
        instrument: ours, such as ``BTC-USD.KRAKEN``.
        timeframe: of the candles, such as ``1m``.
        horizon: ns between a row and its outcome.
        feature_set: the name of the set that made the inputs.
        feature_version: its version.
        columns: names of the inputs (k); one of them is the past return over the horizon.
        past: which one.
        as_of: when each row was known, ns UTC (n).
        inputs: finite numbers (n x k).
        close: the close at ``as_of`` (n).
        returns: the log return over the horizon (n).
        known_at: when that return was known, ns UTC (n); no outcome of the row is known later.
        excluded: how many candles were left out, by reason.
        others: the outcomes that are not made of the return alone, by target or by what a description is read as.
        history: all rows of the instrument, also those left out; without it, only these rows are known.
        place: where in the history each row stands (n).
    """

    instrument: str
    timeframe: str
    horizon: int
    feature_set: str
    feature_version: str
    columns: tuple[str, ...]
    past: int
    as_of: Int
    inputs: Float
    close: Float
    returns: Float
    known_at: Int
    excluded: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, Labels] = field(default_factory=dict)
    history: Stretch | None = None
    place: Int | None = None

    def __len__(self) -> int:
        return len(self.as_of)

    @property
    def overlap(self) -> int:
        """Return how many consecutive rows share a part of their outcome."""
        return self.horizon // Timeframe.parse(self.timeframe).step

    def labels(self, target: str) -> Float:
        """Return the outcomes of a target (n), NaN where unknown; zeros where the target has none.

        Raises:
            UsageError: the dataset was built without them.
        """
        if target == "return":
            return self.returns
        if target == "direction":
            return labels.direction(self.returns)
        if target in TARGETS and not TARGETS[target].supervised:
            return np.zeros(len(self))
        return self._other(target).values

    def _other(self, target: str) -> Labels:
        if target not in self.others:
            rule = ", ".join(("return", "direction", *self.others))
            step = "build the dataset from candles"
            where = f"dataset of {self.instrument}"
            raise UsageError(where, "has no outcomes of a target", expected=rule, was=target, next_step=step)
        return self.others[target]

    def weights(self, target: str) -> Float:
        """Return how much each row counts (n, mean 1), by `uniqueness` of the outcomes of a target."""
        ends = self.others[target].known_at if target in self.others else self.known_at
        return uniqueness(self.as_of, ends)

    def for_target(self, target: str, window: int = 1) -> Dataset:
        """Return the rows whose outcome is known for a target, and before which a whole window stands.

        For ``direction`` those are the rows where the price moved. A description has no outcome, but what follows it.
        """
        read_as = TARGETS[target].read_as if target in TARGETS else ""
        known_by = read_as if read_as in self.others else target
        unknown = np.isnan(self.labels(known_by))
        short = ~unknown & (self._run_lengths() < window) if window > 1 else np.zeros(len(self), np.bool_)
        if not (unknown | short).any():
            return self
        why = "the price stayed" if target == "direction" else f"{target} unknown"
        counts = {why: int(unknown.sum()), f"no {window} rows in a row": int(short.sum())}
        left_out = {reason: count for reason, count in counts.items() if count}
        return self._take(np.flatnonzero(~(unknown | short)), {**self.excluded, **left_out})

    def _take(self, rows: Int, excluded: Mapping[str, int]) -> Dataset:
        columns = ("as_of", "inputs", "close", "returns", "known_at")
        kept = {name: getattr(self, name)[rows] for name in columns}
        others = {target: made.take(rows) for target, made in self.others.items()}
        history, place = self.standing()
        return replace(self, **kept, excluded=excluded, others=others, history=history, place=place[rows])

    def standing(self) -> tuple[Stretch, Int]:
        """Return all rows there are, and where in them these stand."""
        if self.history is None or self.place is None:
            return Stretch(self.inputs, self.as_of, np.ones(len(self), np.bool_)), np.arange(len(self))
        return self.history, self.place

    def _run_lengths(self) -> Int:
        history, place = self.standing()
        return history.run_lengths(Timeframe.parse(self.timeframe).step)[place]

    def shown(self, kind: type[Model], rows: slice | Int = slice(None)) -> Float:
        """Return what a model is shown of some rows: see `tapeline.learning.windows.shown`.

        Raises:
            UsageError: a row has no whole window before it; `for_target` leaves those out.
        """
        if kind.window == 1 and not kind.timed:
            return self.inputs[rows]
        if kind.window == 1:
            return shown(kind, self.inputs, self.as_of, np.arange(len(self))[rows])
        if (short := int((self._run_lengths()[rows] < kind.window).sum())) > 0:
            where = f"dataset of {self.instrument} for model {kind.name}"
            raise UsageError(where, "has rows without a whole window", expected=f"{kind.window} rows", was=short)
        history, place = self.standing()
        return shown(kind, history.inputs, history.as_of, place[rows])

    def digest(self) -> str:
        """Return the hash of everything a model sees of it."""
        digest = blake2b("\n".join((self.instrument, self.timeframe, str(self.horizon), *self.columns)).encode())
        known = [column for target in sorted(self.others) for column in (target.encode(), self.others[target].values)]
        for column in (self.as_of, self.inputs, self.close, self.returns, *known):
            digest.update(column if isinstance(column, bytes) else np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()[:32]


def build_dataset(
    candles: Records,
    values: Float,
    *,
    instrument: str,
    timeframe: Timeframe | str,
    horizon: int,
    columns: Sequence[str],
    feature_set: str,
    feature_version: str,
    complete: Bool | None = None,
) -> Dataset:
    """Join candles, their feature values and their outcomes; leave out, and count, what must not be learnt from.

    Args:
        candles: n records of `CANDLE` in order of time.
        values: feature values at each candle's close (n x k); NaN is unknown.
        instrument: whose candles they are.
        timeframe: the grid of the candles.
        horizon: ns, a positive multiple of the grid's step.
        columns: the k names of the values.
        feature_set: the name of the set.
        feature_version: its version.
        complete: whether each row's whole window is complete (n); without it, whether its candle is.

    The past return over the horizon of h rows is the column ``return_<h>``; where no such column is given,
    `labels.past_return` is added as the last one.

    Raises:
        UsageError: names or shapes do not fit, or the horizon is not on the grid.
        NotEnoughData: no row is left.
    """
    grid = Timeframe.parse(timeframe) if isinstance(timeframe, str) else timeframe
    rows = labels.horizon_rows(grid, horizon)
    where = f"{instrument} {grid} {feature_set}"
    _check_shape(where, candles, values, columns)
    names, inputs = tuple(columns), values
    if (past := f"return_{rows}") not in names:
        names = (*names, past)
        inputs = np.column_stack((values, labels.past_return(candles, grid, horizon)))
    returns, known_at = labels.forward_return(candles, grid, horizon)
    whole = candles["complete"] if complete is None else complete
    keep, excluded = _usable(inputs, returns, whole)
    if not keep.any():
        raise _nothing_left(where, names, inputs, excluded, horizon - int(np.ptp(candles["close_time"])))
    task = (instrument, str(grid), horizon, feature_set, feature_version, names, names.index(past))
    kept = (candles["close_time"][keep], np.ascontiguousarray(inputs[keep]), candles["close"][keep])
    others = {target: made.take(keep) for target, made in outcomes(candles, grid, horizon, returns).items()}
    history = Stretch(inputs, candles["close_time"].copy(), whole.copy())
    return Dataset(*task, *kept, returns[keep], known_at[keep], excluded, others, history, np.flatnonzero(keep))


def _usable(inputs: Float, returns: Float, whole: Bool) -> tuple[Bool, dict[str, int]]:
    """Return which rows may be learnt from, and why the others may not (first reason only)."""
    reasons = {
        "incomplete candles in the window": ~whole,
        "inputs unknown (warming up)": np.isnan(inputs).any(axis=1),
        "inputs infinite": np.isinf(inputs).any(axis=1),
        "outcome unknown": np.isnan(returns),
    }
    keep = np.ones(len(inputs), bool)
    excluded = {}
    for reason, rows in reasons.items():
        if count := int((rows & keep).sum()):
            excluded[reason] = count
        keep &= ~rows
    return keep, excluded


def _check_shape(where: str, candles: Records, values: Float, columns: Sequence[str]) -> None:
    if len(candles) == 0:
        step = "run tapeline import first"
        raise NotEnoughData(where, "has no candles", expected="at least 1", was=0, next_step=step)
    if values.shape != (len(candles), len(columns)):
        rule = f"{len(candles)} x {len(columns)} values"
        raise UsageError(where, "values do not fit candles and columns", expected=rule, was=values.shape)
    twice = sorted({name for name in columns if list(columns).count(name) > 1})
    if twice:
        raise UsageError(where, "names a column twice", expected="each name once", was=", ".join(twice))


def _nothing_left(
    where: str, names: Sequence[str], inputs: Float, excluded: Mapping[str, int], beyond: int
) -> NotEnoughData:
    told = ", ".join(f"{count} {reason}" for reason, count in excluded.items())
    unknown = [name for name, column in zip(names, inputs.T, strict=True) if np.isnan(column).all()]
    hint = f"never known in {len(inputs)} candles: {', '.join(unknown)}; " if unknown else ""
    hint += f"the horizon is {format_duration(beyond)} longer than the data; " if beyond > 0 else ""
    return NotEnoughData(
        where,
        f"has no row to learn from among {len(inputs)} ({told})",
        expected="at least 1 complete row with all inputs and a known outcome",
        was=0,
        next_step=f"{hint}import more trades, or use a set with a shorter warm-up or a shorter horizon",
    )
