"""Columns of times, of any unit or form, as ns UTC.

As in `tapeline.recordings.values`: ``(values, ok)``, and where ``ok`` is false the value means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.clock import parse_time
from tapeline.errors import UsageError
from tapeline.exchanges.fields import seconds_ns
from tapeline.recordings.values import filled, integers, is_text, to_numpy, valid
from tapeline.types import Bool, Int

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
FIRST = 1_230_940_800
"""2009-01-03, the day of the first block, in seconds: what is guessed to be an instant, and coins, are not older."""
EARLIEST = 31_536_000
"""1971-01-01, in seconds: whatever is stamped in 1970 has an epoch of another unit than it says."""
_LAST = 4_102_444_800


@dataclass(frozen=True, slots=True)
class TimeRule:
    """How a column says its times.

    Attributes:
        units: of an epoch that are allowed; none: ISO 8601, or typed timestamps.
        since: the first instant that is believed, s.
    """

    units: tuple[str, ...] = ()
    since: int = EARLIEST

    @property
    def text(self) -> str:
        """Return the rule in words."""
        return f"epoch {' or '.join(self.units)}" if self.units else "ISO 8601"


def times(column: pa.Array, rule: TimeRule) -> tuple[Int, Bool]:
    """Read instants as ns UTC; a time without zone is UTC. The unit of an epoch is told by its magnitude."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _typed_times(column)
    if not rule.units:
        return _iso_times(column) if is_text(column) else _nothing(column)
    if is_text(column) and pc.any(pc.match_substring(column, ".")).as_py():
        return _decimal_times(column, rule)
    if pa.types.is_floating(column.type):
        return _float_times(column, rule)
    values, ok = integers(column)
    return _scaled(values, ok, rule)


def unit_of(value: float) -> str:
    """Return the unit in which a number is an instant between 2009 and 2100, or an empty text.

    >>> unit_of(1723161255), unit_of(1723161255343), unit_of(7)
    ('s', 'ms', '')
    """
    return next((unit for unit, ns in UNITS.items() if FIRST * 10**9 <= value * ns < _LAST * 10**9), "")


def _scaled(values: Int, ok: Bool, rule: TimeRule) -> tuple[Int, Bool]:
    out = np.zeros(len(values), np.int64)
    done = np.zeros(len(values), np.bool_)
    for unit in rule.units:
        scale = 10**9 // UNITS[unit]
        fits = ok & (values >= rule.since * scale) & (values < _LAST * scale)
        out[fits] = values[fits] * UNITS[unit]
        done |= fits
    return out, done


def _typed_times(column: pa.Array) -> tuple[Int, Bool]:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    try:
        stamps = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
    except pa.ArrowInvalid:
        return _scaled(*integers(column.cast(pa.int64())), TimeRule((column.type.unit,)))
    return to_numpy(filled(stamps, 0)), valid(column)


def _iso_times(column: pa.Array) -> tuple[Int, Bool]:
    for kind in (pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
        try:
            return to_numpy(filled(column.cast(kind).cast(pa.int64()), 0)), valid(column)
        except pa.ArrowInvalid:
            continue
    out = [_iso_time(column, row) for row in range(len(column))]
    values = np.array(out, np.int64)
    return values, values > 0


def _iso_time(column: pa.Array, row: int) -> int:
    try:
        ns = parse_time(column[row].as_py() or "")
    except (UsageError, UnicodeDecodeError, OverflowError):
        return -1
    return ns if 0 < ns < 2**63 else -1


def _decimal_times(column: pa.Array, rule: TimeRule) -> tuple[Int, Bool]:
    values = np.array([_decimal_time(column, row, rule) for row in range(len(column))], np.int64)
    return values, values > 0


def _decimal_time(column: pa.Array, row: int, rule: TimeRule) -> int:
    try:
        number = Decimal(column[row].as_py() or "")
    except (InvalidOperation, UnicodeDecodeError):
        return -1
    if not number.is_finite() or number.adjusted() > 20:
        return -1
    for unit in rule.units:
        seconds = number * UNITS[unit] / 10**9
        if rule.since <= seconds < _LAST:
            return seconds_ns(seconds)
    return -1


def _float_times(column: pa.Array, rule: TimeRule) -> tuple[Int, Bool]:
    """Read float epochs: whole and fractional part apart, so that the product loses nothing the source had."""
    floats = to_numpy(filled(column.cast(pa.float64()), -1.0))
    ok = np.isfinite(floats) & (floats >= 0) & (floats < 2**63)
    floats = np.where(ok, floats, 0)
    whole = np.floor(floats)
    values, done = _scaled(whole.astype(np.int64), ok, rule)
    scale = np.zeros(len(floats))
    for unit in rule.units:
        scale[(whole >= rule.since * (10**9 / UNITS[unit])) & (whole < _LAST * (10**9 / UNITS[unit]))] = UNITS[unit]
    return values + np.where(done, np.rint((floats - whole) * scale), 0).astype(np.int64), done


def _nothing(column: pa.Array) -> tuple[Int, Bool]:
    return np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_)
