"""Judge trades as they came: good ones become frames, bad ones dead letters with their reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tapeline.recordings.court import Court, Verdict, time_reason
from tapeline.recordings.instants import TimeRule, times
from tapeline.recordings.values import integers, shown, sides
from tapeline.types import Bool, DeadLetter, Frame, Int


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
    verdict.refuse(~ok, lambda row: time_reason("receive time", column, row, rows.received_rule))
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
