"""Judge rows as they came: good ones become frames and candles, bad ones dead letters with their reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tapeline.clock import format_time
from tapeline.recordings.values import (
    FIRST,
    UNITS,
    TimeRule,
    integers,
    is_text,
    reals,
    shown,
    sides,
    times,
    to_numpy,
    unit_of,
)
from tapeline.types import CANDLE, Bool, DeadLetter, Float, Frame, Int, Records

_FIRST_NS = FIRST * 10**9
_POSITIVE = "a finite number > 0"
_ID = "an integer in 0..2^63-1"


@dataclass(slots=True)
class Rows:
    """Trades as they came: columns of one length, and where each stands.

    ``time`` and ``price``, ``qty`` are needed. ``count``, where there
    is none, comes from ``first_id`` and ``last_id``. ``side`` holds words
    or numbers, or with ``maker`` whether the buyer was the maker. ``locate`` gives the (number, raw bytes) of a row.
    """

    price: pa.Array
    qty: pa.Array
    time: pa.Array
    rule: TimeRule
    locate: Callable[[int], tuple[int, bytes]]
    trade_id: pa.Array | None = None
    side: pa.Array | None = None
    maker: bool = False
    received: pa.Array | None = None
    received_rule: TimeRule = field(default_factory=TimeRule)
    first_id: pa.Array | None = None
    last_id: pa.Array | None = None
    count: pa.Array | None = None
    instruments: NDArray[np.object_] | None = None


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
        if missing:
            empty = np.isnan(values) | _empty(column)
            values, good = np.where(empty, np.nan, values), good | empty
        self.refuse(~good, lambda row: f"{what}: expected {rule}, was {shown(column, row)}")
        return values

    def identifier(self, what: str, column: pa.Array) -> Int:
        """Read a column of ids."""
        values, ok = integers(column)
        self.refuse(~ok, lambda row: f"{what}: expected {_ID}, was {shown(column, row)}")
        return values

    def time(self, what: str, column: pa.Array, rule: TimeRule, max_time: int) -> Int:
        """Read a column of instants from 2009-01-03 to ``max_time``."""
        values, ok = times(column, rule)
        self.refuse(~ok, lambda row: _time_reason(what, column, row, rule))
        self.refuse(values < _FIRST_NS, lambda row: f"{what}: expected >= 2009-01-03, was {shown(column, row)}")
        self.refuse(values > max_time, lambda row: _late(what, int(values[row]), max_time))
        return values


def _empty(column: pa.Array) -> Bool:
    given = pc.not_equal(column, "") if is_text(column) else column.is_valid()
    return ~to_numpy(pc.fill_null(given, False)).astype(np.bool_)


def _late(what: str, value: int, max_time: int) -> str:
    return f"{what}: expected <= {format_time(max_time)}, was {format_time(value)} (in the future)"


def _time_reason(what: str, column: pa.Array, row: int, rule: TimeRule) -> str:
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
    finest = 10**9 / UNITS[rule.units[-1]] if rule.units else 1
    return f"{text} ({'before 2009-01-03' if values[0] < FIRST * finest else 'after 2099'})"


class RowIds:
    """Ids for a source without any: the trade's ts_event in ns, or the next free number; the file's order decides."""

    def __init__(self) -> None:
        self._last = -1

    def take(self, ts_event: Int) -> Int:
        """Return ids for trades in order: max(ts_event, last id + 1)."""
        if not len(ts_event):
            return ts_event
        steps = np.arange(len(ts_event))
        lead = ts_event - steps
        lead[0] = max(int(lead[0]), self._last + 1)
        ids: Int = np.maximum.accumulate(lead) + steps
        self._last = int(ids[-1])
        return ids


def judge_trades(rows: Rows, court: Court, row_ids: RowIds | None) -> tuple[list[Frame], list[DeadLetter]]:
    """Judge trades; the frames are one an instrument, in the order of the rows."""
    verdict = Verdict(len(rows.price))
    ts_event = verdict.time("time", rows.time, rows.rule, court.max_time)
    price = verdict.number("price", rows.price)
    qty = verdict.number("qty", rows.qty)
    ids = None if rows.trade_id is None else verdict.identifier("id", rows.trade_id)
    side = _side(rows, verdict)
    ts_init = ts_event if rows.received is None else _received(rows, verdict)
    count = _count(rows, verdict)
    good = ~verdict.bad
    if row_ids is not None or ids is None:
        ids = np.zeros(len(price), np.int64)
        ids[good] = (row_ids or RowIds()).take(ts_event[good])
    columns = (ids, ts_event, ts_init, price, qty, side, count)
    return _frames(columns, rows.instruments, good, court), _letters(verdict, rows, court)


def _side(rows: Rows, verdict: Verdict) -> NDArray[np.int8]:
    column = rows.side
    if column is None:
        return np.zeros(len(rows.price), np.int8)
    values, ok = sides(column, maker=rows.maker)
    rule = "true or false" if rows.maker else "buy or sell"
    verdict.refuse(~ok, lambda row: f"side: expected {rule}, was {shown(column, row)}")
    return values.astype(np.int8)


def _received(rows: Rows, verdict: Verdict) -> Int:
    column = rows.received
    assert column is not None
    values, ok = times(column, rows.received_rule)
    verdict.refuse(~ok, lambda row: _time_reason("receive time", column, row, rows.received_rule))
    return values


def _count(rows: Rows, verdict: Verdict) -> NDArray[np.int32]:
    if rows.count is not None:
        values, ok = integers(rows.count)
        bad = ~ok | (values < 1) | (values >= 2**31)
        column = rows.count
        verdict.refuse(bad, lambda row: f"count: expected 1..2^31-1, was {shown(column, row)}")
        return np.where(bad, 1, values).astype(np.int32)
    first, last = rows.first_id, rows.last_id
    if first is None or last is None:
        return np.ones(len(rows.price), np.int32)
    low, high = verdict.identifier("first id", first), verdict.identifier("last id", last)
    wide = (high < low) | (high - low >= 2**31 - 1)
    verdict.refuse(wide, lambda row: f"last id: expected >= first id {low[row]}, was {high[row]}")
    return np.where(wide | verdict.bad, 1, high - low + 1).astype(np.int32)


def _frames(
    columns: Sequence[NDArray[np.generic]], names: NDArray[np.object_] | None, good: Bool, court: Court
) -> list[Frame]:
    if not good.any():
        return []
    kept = columns if good.all() else [column[good] for column in columns]
    if names is None:
        return [Frame(court.instrument, *kept)]  # type: ignore[arg-type]
    named = names[good]
    frame = Frame("", *kept)  # type: ignore[arg-type]
    out = []
    for name in dict.fromkeys(named.tolist()):
        part = frame.take(named == name)
        out.append(Frame(name, *part.columns()))
    return out


def _letters(verdict: Verdict, rows: Rows, court: Court) -> list[DeadLetter]:
    names = rows.instruments
    return [
        court.letter(*rows.locate(row), reason, None if names is None else str(names[row]))
        for row, reason in sorted(verdict.reasons.items())
    ]


@dataclass(slots=True)
class CandleRows:
    """Candles as they came. ``buy_volume``, ``quote_volume`` and ``trades`` may be missing: then unknown."""

    open_time: pa.Array
    rule: TimeRule
    prices: Sequence[pa.Array]
    volume: pa.Array
    size: int
    locate: Callable[[int], tuple[int, bytes]]
    quote_volume: pa.Array | None = None
    trades: pa.Array | None = None
    buy_volume: pa.Array | None = None


def judge_candles(rows: CandleRows, court: Court) -> tuple[Records, list[DeadLetter]]:
    """Judge candles made by others; an unknown number is NaN, an unknown count of trades is -1."""
    verdict = Verdict(len(rows.open_time))
    out = np.zeros(len(rows.open_time), CANDLE)
    out["open_time"] = verdict.time("time", rows.open_time, rows.rule, court.max_time)
    for name, column in zip(("open", "high", "low", "close"), rows.prices, strict=True):
        out[name] = verdict.number(name, column)
    out["volume"] = verdict.number("volume", rows.volume, zero=True)
    for name, column in (("quote_volume", rows.quote_volume), ("buy_volume", rows.buy_volume)):
        out[name] = np.nan if column is None else verdict.number(name, column, zero=True, missing=True)
    out["trades"] = -1 if rows.trades is None else verdict.identifier("trades", rows.trades)
    _check_candles(out, rows.size, verdict)
    with np.errstate(divide="ignore", invalid="ignore"):
        out["vwap"] = np.where(out["volume"] > 0, out["quote_volume"] / out["volume"], np.nan)
    out["close_time"] = out["open_time"] + rows.size
    out["realized_vol"], out["complete"] = np.nan, True
    letters = [court.letter(*rows.locate(row), reason) for row, reason in sorted(verdict.reasons.items())]
    return out[~verdict.bad], letters


def _check_candles(out: Records, size: int, verdict: Verdict) -> None:
    off = out["open_time"] % size != 0
    verdict.refuse(off, lambda row: f"time: expected a multiple of {size} ns, was {out['open_time'][row]}")
    top = out["high"] < np.maximum(np.maximum(out["open"], out["close"]), out["low"])
    verdict.refuse(top, lambda row: f"high: expected the highest price, was {out['high'][row]}")
    bottom = out["low"] > np.minimum(out["open"], out["close"])
    verdict.refuse(bottom, lambda row: f"low: expected the lowest price, was {out['low'][row]}")
    more = out["buy_volume"] > out["volume"] * (1 + 1e-9)
    verdict.refuse(more, lambda row: f"buy volume: expected <= volume, was {out['buy_volume'][row]}")
