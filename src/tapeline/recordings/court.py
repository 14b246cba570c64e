"""By what rows are judged, and the verdict: which are refused, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.clock import SECOND, format_time
from tapeline.recordings.instants import UNITS, TimeRule, times, unit_of
from tapeline.recordings.values import filled, integers, is_text, reals, shown, to_numpy
from tapeline.types import Bool, DeadLetter, Float, Int

_POSITIVE = "a finite number > 0"
LARGEST = 1e30
"""A larger price or quantity is no measurement, and its square or product with another would leave the floats."""
SMALLEST = 1e-30
_LAST_ID = 2**63 - 2
"""The id after the last must be an int64 too."""
_ID = "an integer in 0..2^63-2"


@dataclass(frozen=True, slots=True)
class Court:
    """By what the rows of one file are judged.

    Attributes:
        source: the file's name, as dead letters give it.
        instrument: of all rows that do not name their own.
        max_time: no trade is later, ns UTC.
        now: when the file is read, ns UTC: the dead letters' ts_init.
    """

    source: str
    instrument: str
    max_time: int
    now: int

    def letter(self, number: int, raw: bytes, reason: str, instrument: str | None = None) -> DeadLetter:
        """Return a dead letter for row ``number`` of the file."""
        name = self.instrument if instrument is None else instrument
        return DeadLetter(f"{self.source}:{number}", reason, raw, self.now, name)


class Verdict:
    """Which of n rows are refused, and why: the first reason stands."""

    def __init__(self, rows: int) -> None:
        self.bad: Bool = np.zeros(rows, np.bool_)
        self.reasons: dict[int, str] = {}

    def refuse(self, rows: Bool, reason: Callable[[int], str]) -> None:
        """Refuse rows by a mask."""
        for row in np.flatnonzero(rows & ~self.bad).tolist():
            self.reasons[row] = reason(row)
        self.bad |= rows

    def number(self, what: str, column: pa.Array, *, zero: bool = False, missing: bool = False) -> Float:
        """Read a column of finite numbers > 0 (``zero``: >= 0); ``missing`` columns may be empty, then NaN."""
        values, ok = reals(column)
        rule = _POSITIVE.replace(">", ">=") if zero else _POSITIVE
        good = ok & np.isfinite(values) & ((values >= 0) if zero else (values > 0))
        huge = good & ((values > LARGEST) | ((values < SMALLEST) & (values != 0)))
        self.refuse(huge, lambda row: f"{what}: expected 1e-30..1e30, was {shown(column, row)}")
        if missing:
            empty = np.isnan(values) | _empty(column)
            values, good = np.where(empty, np.nan, values), good | empty
        self.refuse(~good, lambda row: f"{what}: expected {rule}, was {shown(column, row)}")
        return values

    def identifier(self, what: str, column: pa.Array) -> Int:
        """Read a column of ids."""
        values, ok = integers(column)
        self.refuse(~ok | (values > _LAST_ID), lambda row: f"{what}: expected {_ID}, was {shown(column, row)}")
        return values

    def time(self, what: str, column: pa.Array, rule: TimeRule, max_time: int) -> Int:
        """Read a column of instants from the first that the rule believes to ``max_time``."""
        values, ok = times(column, rule)
        self.refuse(~ok, lambda row: time_reason(what, column, row, rule))
        first = rule.since * SECOND
        self.refuse(values < first, lambda row: f"{what}: expected >= {_day(first)}, was {shown(column, row)}")
        self.refuse(values > max_time, lambda row: _late(what, int(values[row]), max_time))
        return values


def _empty(column: pa.Array) -> Bool:
    given = pc.not_equal(column, "") if is_text(column) else column.is_valid()
    return ~to_numpy(filled(given, False)).astype(np.bool_)


def _late(what: str, value: int, max_time: int) -> str:
    return f"{what}: expected <= {format_time(max_time)}, was {format_time(value)} (in the future)"


def time_reason(what: str, column: pa.Array, row: int, rule: TimeRule) -> str:
    """Say why a value is no instant; a wrong unit is named."""
    if not column[row].is_valid:
        return f"{what}: expected {rule.text}, was none that can be read"
    text = f"{what}: expected {rule.text}, was {shown(column, row)}"
    values, ok = (
        reals(column.slice(row, 1)) if is_text(column) else reals(column.slice(row, 1).cast(pa.float64(), safe=False))
    )
    if not ok[0] or not np.isfinite(values[0]):
        return text
    unit = unit_of(float(values[0]))
    if unit and unit not in rule.units:
        return f"{text} (wrong unit: looks like {unit})"
    scales = [10**9 / UNITS[unit] for unit in rule.units] or [1.0]
    if values[0] < rule.since * min(scales):
        return f"{text} (before {_day(rule.since * SECOND)})"
    either = f"not in {_day(rule.since * SECOND)[:4]}..2099 in either"
    return f"{text} ({'after 2099' if values[0] > rule.since * max(scales) else either})"


def _day(ns: int) -> str:
    return format_time(ns)[:10]
