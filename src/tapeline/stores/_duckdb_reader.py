"""A reader of an open DuckDB store: another thread sees one committed state while the store goes on writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from tapeline.errors import StoreUnavailable, UsageError
from tapeline.stores import _duckdb_schema as schema
from tapeline.stores._conform import Question, kind_named
from tapeline.stores._duckdb_errors import translated
from tapeline.stores._duckdb_keys import Keys
from tapeline.stores._duckdb_sql import query
from tapeline.stores.duckdb import DuckDBStore, where_sql


class Reader(DuckDBStore):
    """What was committed when it was made, whatever is written meanwhile. For one thread, and for a short time.

    Args:
        store: the open store; it must outlive the reader.
        mark: what the store's ``changes`` said before; now by default.

    Attributes:
        mark: of the store's ``changes``; what is read is at least as new.
    """

    def __init__(self, store: DuckDBStore, *, mark: int | None = None) -> None:
        self.path, self.read_only = store.path, True
        self._where = store._where
        self._in_transaction = True
        self.changes, self.mark = store.changes, store.changes.mark if mark is None else mark
        with translated(self._where):
            with store._making_reader:  # a connection refuses two calls at once, and the writer's must never refuse
                self._connection = store._readers.cursor()
            self._connection.execute("BEGIN TRANSACTION READ ONLY")
        self._closed = False
        self._keys = Keys(self._connection, together=False)
        self._by_id = {}

    def close(self) -> None:
        """End the look. Idempotent."""
        if not self._closed:
            self._closed = True
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Refuse: a reader writes nothing."""
        raise self._refused()
        yield

    def _writing(self) -> AbstractContextManager[None]:
        raise self._refused()

    def _refused(self) -> StoreUnavailable:
        return StoreUnavailable(self._where, "cannot be written here", expected="its owner", was="a reader of it")

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection of its own inside, which can be interrupted."""
        with self._connection.cursor() as cursor:
            yield cursor

    @staticmethod
    def sql_on(connection: duckdb.DuckDBPyConnection, text: str, *, limit: int) -> pa.Table:
        """Answer one reading statement on a connection that `connection` gave.

        Raises:
            UsageError: it is not one statement, it writes, or DuckDB refuses it.
        """
        return query(connection, text, limit=limit)

    def page(
        self,
        kind: str,
        limit: int,
        *,
        instrument: str | None = None,
        start: int | None = None,
        end: int | None = None,
        before: tuple[int | str, ...] = (),
        **equal: str,
    ) -> tuple[pa.Table, tuple[int | str, ...]]:
        """Return the last rows in [start, end) of the kind's time, and where the page before them ends.

        Rows are in the order of time, then of the key.

        Args:
            kind: of rows with a time.
            limit: how many at most.
            instrument: only its rows.
            start: the first instant.
            end: the instant after the last.
            before: what an earlier call gave: only rows before that place.
            equal: text columns.

        Returns:
            the rows, and what to ask for next as ``before``; empty where nothing is before them.

        Raises:
            UsageError: the kind has no time, or ``before`` is no such place.
        """
        known = kind_named(kind)
        question = Question(known, instrument, start, end, None, equal)
        columns = schema.columns_of(kind)
        names = [known.time or "", *(name for name in known.key if name != known.time)]
        if not known.time or (before and [type(part) for part in before] != _types(known.schema, names)):
            raise UsageError("cursor", "cannot be used", expected="one that an answer gave", was=before)
        order = [columns[name].stored for name in names]
        where, values = where_sql(question)
        if before:
            place = f"{order[0]} <= ? AND ({', '.join(order)}) < ({', '.join('?' * len(order))})"
            where, values = (f"{where} AND {place}" if where else f" WHERE {place}"), [*values, before[0], *before]
        found = self._last(known, (where, values), question.left(names), limit + 1)
        kept = found.slice(max(0, found.num_rows - limit))
        more = found.num_rows > limit
        return kept, tuple(kept[name][0].as_py() for name in names) if more else ()


def _types(schema: pa.Schema, names: list[str]) -> list[type[Any]]:
    return [str if pa.types.is_string(schema.field(name).type) else int for name in names]
