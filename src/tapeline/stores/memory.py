"""The memory store: the reference the others are tested against, as plain as can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from tapeline.errors import BrokenInvariant
from tapeline.stores._conform import Question, conform, kind_named, one_per_key
from tapeline.stores.base import KINDS, Kind, Size

Row = dict[str, Any]


class MemoryStore:
    """Keep rows in dictionaries by key, for tests and small jobs; nothing outlives the process.

    >>> store = MemoryStore()
    >>> gap = {"instrument": ["BTC-USD.SIM"], "first_missing": [3], "last_missing": [4], "status": ["open"]}
    >>> store.append("gaps", pa.table(gap)), store.append("gaps", pa.table(gap))
    (1, 0)
    """

    def __init__(self) -> None:
        self._kinds: dict[str, dict[tuple[Any, ...], Row]] = {name: {} for name in KINDS}
        self._in_transaction = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes inside it happen together or not at all. Does not nest."""
        if self._in_transaction:
            raise BrokenInvariant("memory store", "a transaction was begun inside another")
        before = {name: dict(rows) for name, rows in self._kinds.items()}
        self._in_transaction, done = True, False
        try:
            yield
            done = True
        finally:
            self._in_transaction = False
            if not done:
                self._kinds = before

    def append(self, kind: str, rows: pa.Table) -> int:
        """Add the rows whose key is not stored yet, and return how many that were."""
        known = kind_named(kind)
        stored = self._kinds[kind]
        before = len(stored)
        for row in one_per_key(known, conform(known, rows), last=False).to_pylist():
            stored.setdefault(_key(known, row), row)
        return len(stored) - before

    def upsert(self, kind: str, rows: pa.Table) -> None:
        """Add rows, replacing those whose key is stored."""
        known = kind_named(kind)
        self._kinds[kind].update((_key(known, row), row) for row in conform(known, rows).to_pylist())

    def delete(
        self, kind: str, instrument: str, *, start: int | None = None, end: int | None = None, **equal: str
    ) -> int:
        """Remove an instrument's rows in [start, end), where columns equal; return how many."""
        question = Question(kind_named(kind), instrument, start, end, equal=equal)
        gone = [_key(question.kind, row) for row in _matching(question, self._kinds[kind].values())]
        for key in gone:
            del self._kinds[kind][key]
        return len(gone)

    def read(
        self,
        kind: str,
        *,
        instrument: str | None = None,
        start: int | None = None,
        end: int | None = None,
        as_of: int | None = None,
        limit: int | None = None,
        **equal: str,
    ) -> pa.Table:
        """Return rows in [start, end) of the kind's time, known at or before ``as_of``, in the kind's order."""
        question = Question(kind_named(kind), instrument, start, end, as_of, equal)
        rows = _matching(question, self._kinds[kind].values())
        rows.sort(key=lambda row: tuple(row[name] for name in question.kind.order))
        return _table(question.kind, rows if limit is None else rows[max(0, len(rows) - limit) :])

    def tape(self, instrument: str, *, after: tuple[int, int] | None = None, rows: int = 1 << 20) -> Iterator[pa.Table]:
        """Yield an instrument's trades in the order of the tape, in tables of at most ``rows`` rows."""
        known = self._kinds["instruments"].get((instrument,))
        by = ("trade_id",) if known and known["contiguous"] else ("ts_event", "trade_id")
        trades = [row for row in self._kinds["trades"].values() if row["instrument"] == instrument]
        trades.sort(key=lambda row: [row[name] for name in by])
        if after is not None:
            had = [dict(zip(("ts_event", "trade_id"), after, strict=True))[name] for name in by]
            trades = [row for row in trades if [row[name] for name in by] > had]
        for first in range(0, len(trades), rows):
            yield _table(KINDS["trades"], trades[first : first + rows])

    def seen(self, instrument: str, rows: pa.Table) -> pa.Table:
        """Return the stored trades whose trade_id is among those of ``rows``, ordered by trade_id."""
        keys = [(instrument, trade_id) for trade_id in sorted(set(rows["trade_id"].to_pylist()))]
        both = self._kinds["late_trades"] | self._kinds["trades"]
        return _table(KINDS["trades"], [both[key] for key in keys if key in both])

    def sizes(self) -> Mapping[str, Size]:
        """Return what each kind takes, by name, as Arrow columns."""
        tables = {name: _table(KINDS[name], list(rows.values())) for name, rows in self._kinds.items()}
        return {name: Size(len(table), table.nbytes) for name, table in tables.items()}

    def close(self) -> None:
        """Release the store. Idempotent."""


def _key(kind: Kind, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in kind.key)


def _matching(question: Question, rows: Iterable[Row]) -> list[Row]:
    """Return the rows that answer a question; one condition after the other, for a row alone is dear to ask."""
    compare = {">=": int.__ge__, "<": int.__lt__, "<=": int.__le__}
    found = list(rows)
    for name, text in question.texts().items():
        found = [row for row in found if row[name] == text]
    for column, sign, ns in question.bounds():
        holds = compare[sign]
        found = [row for row in found if row[column] is not None and holds(row[column], ns)]
    return found


def _table(kind: Kind, rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in kind.schema.names} for row in rows], kind.schema)
