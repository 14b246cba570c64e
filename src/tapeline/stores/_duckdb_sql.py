"""Read-only SQL: one statement that only reads, in a transaction that cannot write."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from tapeline.errors import UsageError
from tapeline.stores._duckdb_errors import interruptible

READING = frozenset(["SELECT", "EXPLAIN"])
"""DuckDB's types of statement that read: DESCRIBE, SHOW, SUMMARIZE, FROM and WITH are SELECT to it."""


def query(connection: duckdb.DuckDBPyConnection, text: str, *, limit: int | None = None) -> pa.Table:
    """Answer one reading statement with at most ``limit`` rows.

    Raises:
        UsageError: it is not one statement, it writes, or DuckDB refuses it.
    """
    try:
        _check(connection.extract_statements(text), text)
        connection.execute("BEGIN TRANSACTION READ ONLY")
        try:
            with interruptible():
                return _rows(connection, text, limit)
        finally:
            connection.execute("ROLLBACK")
    except duckdb.Error as error:
        raise UsageError("sql", _first_paragraph(str(error))) from error


def _check(statements: list[duckdb.Statement], text: str) -> None:
    if len(statements) != 1:
        raise UsageError("sql", "is not one statement", expected="one", was=len(statements))
    kind = statements[0].type.name
    if kind not in READING:
        step = "write through tapeline's own commands"
        raise UsageError("sql", f"{kind} is not allowed", expected="a SELECT", was=text, next_step=step)


def _rows(connection: duckdb.DuckDBPyConnection, text: str, limit: int | None) -> pa.Table:
    relation = connection.sql(text)
    if limit is None:
        return relation.to_arrow_table()
    batches, room = [], limit
    reader = relation.to_arrow_reader(max(1, min(limit, 1 << 16)))
    for batch in reader:
        batches.append(batch.slice(0, room))
        room -= len(batches[-1])
        if room <= 0:
            break
    return pa.Table.from_batches(batches, reader.schema)


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\nLINE", maxsplit=1)[0].split())
