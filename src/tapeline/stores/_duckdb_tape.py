"""The tape out of DuckDB: pieces of the id or time axis, one query each, in bounded memory.

Trades lie in the file about in the order of the tape, so that a piece touches few row groups, and a piece that
comes out in order is not sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tapeline.stores._duckdb_errors import translated
from tapeline.stores._duckdb_schema import Connection, columns_of, quoted
from tapeline.stores.base import KINDS

_SCHEMA = KINDS["trades"].schema
_MIN, _MAX = -(1 << 63), (1 << 63) - 1


@dataclass(slots=True)
class _Tape:
    connection: Connection
    where: str
    instrument: str
    rows: int
    by_id: bool

    @property
    def axis(self) -> str:
        return "trade_id" if self.by_id else "ts_event_ns"

    def ask(self, what: str, after: tuple[int, int], high: int, end: str = "") -> str:
        """Return the query for what lies behind ``after`` up to and with ``high`` on the axis."""
        stamp, trade_id = after
        test = f"trade_id > {trade_id}"
        if not self.by_id:
            test = f"ts_event_ns >= {stamp} AND (ts_event_ns > {stamp} OR trade_id > {trade_id})"
        return f"SELECT {what} FROM trades WHERE instrument = $1 AND {test} AND {self.axis} <= {high} {end}"

    def numbers(self, what: str, after: tuple[int, int], high: int = _MAX) -> tuple[int, ...]:
        """Return the one row of aggregates that a query answers with."""
        return tuple(self.connection.execute(self.ask(what, after, high), [self.instrument]).fetchall()[0])

    def count(self, after: tuple[int, int], high: int) -> int:
        return self.numbers("count(*)", after, high)[0]

    def fetch(self, after: tuple[int, int], high: int, *, crowded: bool) -> pa.Table:
        """Return the piece in order; of a crowded one the first ``rows`` rows only."""
        end = f"ORDER BY {self.axis}, trade_id LIMIT {self.rows}" if crowded else ""
        table = self._table(after, high, end)
        return table if crowded else _ordered(table, by_id=self.by_id)

    def rest(self, after: tuple[int, int]) -> pa.Table | None:
        """Return all behind ``after`` in order, None where it is more than ``rows``: a restart asks once."""
        table = self._table(after, _MAX, f"LIMIT {self.rows + 1}")
        return _ordered(table, by_id=self.by_id) if len(table) <= self.rows else None

    def _table(self, after: tuple[int, int], high: int, end: str) -> pa.Table:
        shown = [f"{c.out} AS {quoted(n)}" for n, c in columns_of("trades").items() if n != "instrument"]
        text = self.ask(", ".join(shown), after, high, end)
        return self.connection.sql(text, params=[self.instrument]).to_arrow_table().combine_chunks()


def stream(
    connection: Connection, where: str, instrument: str, after: tuple[int, int] | None, rows: int, *, by_id: bool
) -> Iterator[pa.Table]:
    """Yield an instrument's trades behind ``after`` in the order of the tape, at most ``rows`` in a table."""
    tape = _Tape(connection, where, instrument, rows, by_id)
    names = pa.array([], pa.string())
    with translated(where):
        rest = None if after is None else tape.rest(after)
    for piece in [rest] if rest is not None else _pieces(tape, after or (_MIN, _MIN)):
        for first in range(0, len(piece), rows):
            part = piece.slice(first, rows)
            if len(names) < len(part):
                names = pa.repeat(pa.scalar(instrument, pa.string()), len(part))
            yield pa.Table.from_arrays([names.slice(0, len(part)), *part.columns], names=_SCHEMA.names).cast(_SCHEMA)


def _pieces(tape: _Tape, after: tuple[int, int]) -> Iterator[pa.Table]:
    """Walk along the axis in steps that hold about ``rows`` trades; a step that holds too many is halved."""
    with translated(tape.where):
        total, low, last = tape.numbers(
            f"count(*), coalesce(min({tape.axis}), 1), coalesce(max({tape.axis}), 0)", after
        )
    width = max(1, (last - low + 1) * tape.rows // max(1, total))
    while low <= last:
        with translated(tape.where):
            high, found = _step(tape, after, low, min(last, low + width - 1))
            crowded = found > 2 * tape.rows
            piece = tape.fetch(after, high, crowded=crowded) if found else None
        width = max(1, high - low + 1) * (1 if found > tape.rows // 2 else 2)
        if piece is None:
            low = _next(tape, after, high)
            continue
        yield piece
        after = _last_key(piece)
        low = low if crowded else high + 1


def _step(tape: _Tape, after: tuple[int, int], low: int, high: int) -> tuple[int, int]:
    """Return how far to go from ``low``, at most to ``high``, and how many trades lie there."""
    found = tape.count(after, high)
    while found > 2 * tape.rows and high > low:
        high = low + (high - low) // 2
        found = tape.count(after, high)
    return high, found


def _next(tape: _Tape, after: tuple[int, int], high: int) -> int:
    """Return where the first trade behind an empty step lies."""
    with translated(tape.where):
        return tape.numbers(f"coalesce(min({tape.axis}), {high + 1})", after)[0]


def _ordered(table: pa.Table, *, by_id: bool) -> pa.Table:
    ids = table["trade_id"].to_numpy()
    if by_id:
        in_order = bool((np.diff(ids) > 0).all())
        return table if in_order else table.take(pa.array(np.argsort(ids, kind="stable")))
    stamps = table["ts_event"].to_numpy()
    later, same = np.diff(stamps) > 0, np.diff(stamps) == 0
    if bool((later | (same & (np.diff(ids) > 0))).all()):
        return table
    return table.take(pa.array(np.lexsort((ids, stamps))))


def _last_key(table: pa.Table) -> tuple[int, int]:
    return table["ts_event"][-1].as_py(), table["trade_id"][-1].as_py()
