"""The rows a model learns from: inputs known at ``as_of``, labels known at ``as_of + horizon``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np

from tapeline import labels
from tapeline.errors import NotEnoughData, UsageError
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
        known_at: when that return was known, ns UTC (n).
        excluded: how many candles were left out, by reason.
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

    def __len__(self) -> int:
        return len(self.as_of)

    @property
    def overlap(self) -> int:
        """Return how many consecutive rows share a part of their outcome."""
        return self.horizon // Timeframe.parse(self.timeframe).step

    def labels(self, target: str) -> Float:
        """Return the outcomes (n): the log return, or its `labels.direction`."""
        return self.returns if target == "return" else labels.direction(self.returns)

    def for_target(self, target: str) -> Dataset:
        """Return the rows whose outcome is known for a target: for ``direction`` those where the price moved."""
        moved = np.flatnonzero(~np.isnan(self.labels(target)))
        if len(moved) == len(self):
            return self
        columns = ("as_of", "inputs", "close", "returns", "known_at")
        stayed = {"the price stayed": len(self) - len(moved)}
        kept = {name: getattr(self, name)[moved] for name in columns}
        return replace(self, **kept, excluded={**self.excluded, **stayed})

    def digest(self) -> str:
        """Return the hash of everything a model sees of it."""
        digest = blake2b("\n".join((self.instrument, self.timeframe, str(self.horizon), *self.columns)).encode())
        for column in (self.as_of, self.inputs, self.close, self.returns):
            digest.update(np.ascontiguousarray(column).tobytes())
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
        raise _nothing_left(where, names, inputs, excluded)
    task = (instrument, str(grid), horizon, feature_set, feature_version, names, names.index(past))
    kept = (candles["close_time"][keep], np.ascontiguousarray(inputs[keep]), candles["close"][keep])
    return Dataset(*task, *kept, returns[keep], known_at[keep], excluded)


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


def _nothing_left(where: str, names: Sequence[str], inputs: Float, excluded: Mapping[str, int]) -> NotEnoughData:
    told = ", ".join(f"{count} {reason}" for reason, count in excluded.items())
    unknown = [name for name, column in zip(names, inputs.T, strict=True) if np.isnan(column).all()]
    hint = f"never known in {len(inputs)} candles: {', '.join(unknown)}; " if unknown else ""
    return NotEnoughData(
        where,
        f"has no row to learn from among {len(inputs)} ({told})",
        expected="at least 1 complete row with all inputs and a known outcome",
        was=0,
        next_step=f"{hint}import more trades, or use a set with a shorter warm-up or a shorter horizon",
    )
