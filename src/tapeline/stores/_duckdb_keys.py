"""Which rows of large tables are stored already, without an index.

The number that ends a key (a trade id, a time) grows. A batch that begins above the largest one stored is new; only
one that reaches back is compared, with the stored rows between its ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.stores._conform import one_per_key, without
from tapeline.stores._duckdb_schema import Connection, columns_of, quoted
from tapeline.stores._duckdb_tools import first_number
from tapeline.stores.base import KINDS, Kind

Series = tuple[str, ...]
"""The texts of a key: what its number grows in."""
Spans = list[tuple[Series, int, int]]
"""The smallest and the largest number in the key of each series."""


class Keys:
    """How far each series (an instrument, of candles a timeframe of it, ...) has come in each of the large kinds.

    What it remembers is never too small: after a rollback or a deletion it may be too large, which costs a look.

    Args:
        connection: to the database.
        together: look up all series of a kind with the first of them: an owner will ask for all, a reader for one.
    """

    def __init__(self, connection: Connection, *, together: bool = True) -> None:
        self._connection = connection
        self._together = together
        self._newest: dict[str, dict[Series, int]] = {}

    def advance(self, kind: Kind, spans: Spans) -> None:
        """Remember how far each series comes with rows of these spans."""
        for series, _, high in spans:
            newest = self._newest_of(kind.name, series)
            self._newest[kind.name][series] = high if newest is None else max(high, newest)

    def reach(self, kind: str, series: Series, number: int) -> bool:
        """Say whether a series may have stored a number as large."""
        newest = self._newest_of(kind, series)
        return newest is not None and number <= newest

    def unstored(self, kind: Kind, rows: pa.Table, spans: Spans) -> pa.Table:
        """Return the rows, whose spans these are, whose keys are not stored."""
        if not self.reach_back(kind, spans):
            return rows
        places = rows.select(kind.key).append_column("place", pa.array(np.arange(len(rows))))
        with self.batch(places):
            text = f"SELECT DISTINCT batch.place FROM {kind.name}, batch WHERE {_same_key(kind, rows)}"
            stored = self._connection.sql(text).to_arrow_table()["place"].to_numpy()
        return without(rows, stored)

    def delete(self, kind: Kind, rows: pa.Table, spans: Spans) -> None:
        """Remove the stored rows that have the keys of these, whose spans are given."""
        if self.reach_back(kind, spans):
            with self.batch(rows.select(kind.key)):
                first_number(self._connection, f"DELETE FROM {kind.name} USING batch WHERE {_same_key(kind, rows)}")

    @contextmanager
    def batch(self, rows: pa.Table) -> Iterator[None]:
        """Let SQL see rows as the table ``batch``."""
        self._connection.register("batch", rows)
        try:
            yield
        finally:
            self._connection.unregister("batch")

    def _newest_of(self, kind: str, series: Series) -> int | None:
        """Return the largest number in the key that a series has stored, or one above it."""
        if kind not in self._newest or (not self._together and series not in self._newest[kind]):
            *texts, number = (columns_of(kind)[name].stored for name in KINDS[kind].key)
            same = "" if self._together else "WHERE " + " AND ".join(f"{text} = ?" for text in texts)
            text = f"SELECT {', '.join(texts)}, max({number}) FROM {kind} {same} GROUP BY {', '.join(texts)}"
            found = self._connection.execute(text, [] if self._together else list(series)).fetchall()
            self._newest.setdefault(kind, {}).update((tuple(names), newest) for *names, newest in found)
        return self._newest[kind].get(series)

    def reach_back(self, kind: Kind, spans: Spans) -> bool:
        """Say whether rows of these spans may be stored."""
        return any(self.reach(kind.name, series, low) for series, low, _ in spans)


class Hashed:
    """Up to when each instrument has rows of the kinds whose key is a hash.

    Later rows have other keys, so that nothing need be looked up: DuckDB plans an ``INSERT OR IGNORE`` anew each time,
    which takes as long as a small commit. What it remembers is never too early.

    Args:
        connection: to the database.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._newest: dict[str, dict[str, int]] = {}

    def advance(self, kind: Kind, pairs: Sequence[tuple[str, int]]) -> bool:
        """Take note of `instants` of rows to be stored; return whether all are later than those stored."""
        assert kind.time is not None
        newest = self._of(kind.name, columns_of(kind.name)[kind.time].stored)
        later = all(at > newest.get(name, at - 1) for name, at in pairs)
        for name, at in pairs:
            newest[name] = max(at, newest.get(name, at))
        return later

    def _of(self, kind: str, time: str) -> dict[str, int]:
        if kind not in self._newest:
            text = f"SELECT instrument, max({time}) FROM {kind} GROUP BY instrument"
            self._newest[kind] = dict(self._connection.execute(text).fetchall())
        return self._newest[kind]


def instants(kind: Kind, rows: pa.Table) -> list[tuple[str, int]]:
    """Return the instrument and the time (ns UTC) of each row of a kind that has both."""
    assert kind.time is not None
    return list(zip(rows["instrument"].to_pylist(), rows[kind.time].to_pylist(), strict=True))


def distinct(kind: Kind, rows: pa.Table, *, last: bool) -> tuple[pa.Table, Spans]:
    """Return rows (at least one) with only the first (or the last) of each key, and their spans."""
    spans = _rising(kind, rows)
    if spans is not None:
        return rows, spans
    kept = one_per_key(kind, rows, last=last)
    *texts, number = kind.key
    found = kept.group_by(texts, use_threads=False).aggregate([(number, "min"), (number, "max")])
    series = zip(*(found[name].to_pylist() for name in texts), strict=True)
    return kept, list(zip(series, *(found[f"{number}_{end}"].to_pylist() for end in ("min", "max")), strict=True))


def _rising(kind: Kind, rows: pa.Table) -> Spans | None:
    """Return the spans of rows that come series by series with numbers that rise, None of others.

    So comes what is live, a few rows at a time: grouping them would take longer than all else that is done to them.
    """
    *texts, number = kind.key
    numbers, begin = rows[number].to_numpy(), np.zeros(len(rows), np.bool_)
    begin[0] = True
    for name in texts:
        begin[1:] |= pc.not_equal(rows[name].slice(1), rows[name].slice(0, len(rows) - 1)).to_numpy()
    firsts = np.flatnonzero(begin)
    series = list(zip(*(rows[name].take(pa.array(firsts)).to_pylist() for name in texts), strict=True))
    if not bool((begin[1:] | (np.diff(numbers) > 0)).all()) or len(set(series)) < len(series):
        return None
    lasts = np.append(firsts[1:], len(rows)) - 1
    return list(zip(series, numbers[firsts].tolist(), numbers[lasts].tolist(), strict=True))


def _same_key(kind: Kind, rows: pa.Table) -> str:
    """Return the condition that a stored row has the key of a row of ``batch``, which holds ``rows``."""
    columns = columns_of(kind.name)
    stored = columns[kind.key[-1]].stored
    number = rows[kind.key[-1]]
    equal = [f"{kind.name}.{columns[name].stored} = batch.{quoted(name)}" for name in kind.key]
    near = f"{kind.name}.{stored} BETWEEN {pc.min(number).as_py()} AND {pc.max(number).as_py()}"
    return " AND ".join([*equal, near])
