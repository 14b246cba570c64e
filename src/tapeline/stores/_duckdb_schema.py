"""How kinds lie in a DuckDB file: columns, tables, the schema's version and the steps from older ones.

A time is a BIGINT of nanoseconds named ``<time>_ns`` with a computed TIMESTAMPTZ column ``<time>`` beside it, so
that nothing is lost and SQL reads well. A trade's ``ts_init`` is kept as its delay after ``ts_event``, which is
smaller, and mostly constant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import duckdb
import pyarrow as pa

from tapeline.errors import SchemaMismatch
from tapeline.stores._conform import SCANNED, is_time
from tapeline.stores.base import KINDS, Kind

Connection = duckdb.DuckDBPyConnection
Migration = Callable[[Connection], None]


def _add_answers(connection: Connection) -> None:
    connection.execute(table_sql("answers"))


def _add_shadow_answers(connection: Connection) -> None:
    connection.execute(table_sql("shadow_answers"))


MIGRATIONS: Sequence[Migration] = (_add_answers, _add_shadow_answers)
"""The steps from version 1 on; step i leads from version i + 1 to i + 2."""

_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
    pa.list_(pa.float64()): "DOUBLE[]",
    pa.list_(pa.string()): "VARCHAR[]",
}
_SIDES = "ENUM ('SELL', 'UNKNOWN', 'BUY')"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a kind: what it is called in the file, its type there, and the way in and out."""

    name: str
    stored: str
    type: str
    into: str
    out: str
    shown: tuple[str, ...] = ()


def quoted(name: str) -> str:
    """Return an identifier as SQL reads it whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _shown_time(name: str, ns: str) -> str:
    return f"{quoted(name)} TIMESTAMPTZ GENERATED ALWAYS AS (make_timestamptz(({ns}) // 1000)) VIRTUAL"


def _column(kind: Kind, field: pa.Field) -> Column:
    name, plain = field.name, quoted(field.name)
    if name == "side":
        into = f"(CASE {plain} WHEN 1 THEN 'BUY' WHEN -1 THEN 'SELL' ELSE 'UNKNOWN' END)::{_SIDES}"
        return Column(name, plain, _SIDES, into, f"(enum_code({plain})::TINYINT - 1)::TINYINT")
    if name == "ts_init" and "ts_event" in kind.schema.names:
        ns = "ts_event_ns + delay_ns"
        shown = (f"ts_init_ns BIGINT GENERATED ALWAYS AS ({ns}) VIRTUAL", _shown_time(name, ns))
        return Column(name, "delay_ns", "BIGINT", "ts_init - ts_event", ns, shown)
    if is_time(kind, name):
        stored = quoted(f"{name}_ns")
        return Column(name, stored, "BIGINT", plain, stored, (_shown_time(name, stored),))
    stored = "horizon_ns" if name == "horizon" else plain
    return Column(name, stored, _TYPES[field.type], plain, stored)


@cache
def columns_of(name: str) -> dict[str, Column]:
    """Return the columns of a kind, by their names in its Arrow schema."""
    kind = KINDS[name]
    return {field.name: _column(kind, field) for field in kind.schema}


@cache
def table_sql(name: str) -> str:
    """Return the statement that makes the table of a kind."""
    columns = columns_of(name)
    parts = [f"{column.stored} {column.type}" for column in columns.values()]
    parts += [shown for column in columns.values() for shown in column.shown]
    if name not in SCANNED:
        parts.append(f"PRIMARY KEY ({', '.join(columns[key].stored for key in KINDS[name].key)})")
    return f"CREATE TABLE {quoted(name)} ({', '.join(parts)})"


def version() -> int:
    """Return the version of the schema that this code reads and writes."""
    return 1 + len(MIGRATIONS)


@cache
def layout() -> str:
    """Return the hash of all tables: two of one version that differ would be a mistake of ours."""
    return hashlib.blake2b("\n".join(table_sql(name) for name in KINDS).encode(), digest_size=8).hexdigest()


def create(connection: Connection) -> None:
    """Make all tables in an empty database."""
    connection.execute("CREATE TABLE tapeline_schema (version INTEGER, layout VARCHAR)")
    connection.execute("INSERT INTO tapeline_schema VALUES (?, ?)", [version(), layout()])
    for name in KINDS:
        connection.execute(table_sql(name))


def stored_version(connection: Connection, where: str) -> tuple[int, str] | None:
    """Return version and layout of a database, None of an empty one.

    Raises:
        SchemaMismatch: it holds something else.
    """
    found = "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary"
    tables = {name for (name,) in connection.execute(found).fetchall()}
    if not tables:
        return None
    rows = []
    if "tapeline_schema" in tables:
        rows = connection.execute("SELECT version, layout FROM tapeline_schema").fetchall()
    if not rows:
        was = ", ".join(sorted(tables))
        raise SchemaMismatch(where, "is a database of something else", expected="Tapeline's tables", was=was)
    return int(rows[0][0]), str(rows[0][1])


def identity(connection: Connection) -> str | None:
    """Return the text that tells a database from others, None where none was given."""
    found = "SELECT comment FROM duckdb_tables() WHERE table_name = 'tapeline_schema'"
    ((text,),) = connection.execute(found).fetchall()
    return None if text is None else str(text)


def upgrade(connection: Connection, where: str, *, read_only: bool) -> None:
    """Bring a database to this code's schema, in one transaction.

    Raises:
        SchemaMismatch: it was written by a newer version, by another build of this one, or is older and read-only.
    """
    stored = stored_version(connection, where)
    ours = version()
    if stored is not None and stored[0] > ours:
        step = "update Tapeline, or use another database"
        raise SchemaMismatch(
            where, "schema is newer", expected=f"version {ours} or older", was=stored[0], next_step=step
        )
    if stored is not None and stored[0] == ours:
        _check_layout(where, stored[1])
        return
    if read_only:
        was = "an empty database" if stored is None else stored[0]
        step = "open it once for writing"
        raise SchemaMismatch(where, "schema must be upgraded", expected=f"version {ours}", was=was, next_step=step)
    connection.execute("BEGIN")
    if stored is None:
        create(connection)
    else:
        for step_on in MIGRATIONS[stored[0] - 1 :]:
            step_on(connection)
        connection.execute("UPDATE tapeline_schema SET version = ?, layout = ?", [ours, layout()])
    connection.execute("COMMIT")


def _check_layout(where: str, was: str) -> None:
    if was != layout():
        step = "it was written by an unreleased build: import the recordings into a new database"
        raise SchemaMismatch(where, "tables differ within one version", expected=layout(), was=was, next_step=step)
