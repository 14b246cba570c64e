"""Read-only SQL for programs: one SELECT over Tapeline's own tables, within limits of time and size.

The database refuses files, extensions and configuration for every connection of this process, and the transaction is
read-only. On top of that a statement may name only our tables and functions that cannot look around or blow up.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from tapeline.documents import SqlAnswer
from tapeline.errors import UsageError
from tapeline.stores._duckdb_reader import Reader

SECONDS = 5.0
MOST_ROWS = 10_000
MOST_BYTES = 16 << 20
_TABLE_FUNCTIONS = frozenset(["range", "generate_series", "unnest"])
_LOOK_AROUND = ("getenv", "getvariable", "query", "query_table", "glob", "in_search_path", "version", "txid_current")
_BLOW_UP = ("repeat", "lpad", "rpad", "list_resize", "array_resize", "range", "generate_series", "bar")
_REACH_OUT = ("nextval", "currval", "write_log", "json_execute_serialized_sql", "error")
_FUNCTIONS = frozenset([*_LOOK_AROUND, *_BLOW_UP, *_REACH_OUT])
_FAMILIES = ("duckdb_", "pragma_", "pg_", "sqlite_", "has_", "current_", "from_substrait", "read_", "sniff_", "icu_")
_TABLES = """
SELECT table_name FROM duckdb_tables() WHERE NOT internal
UNION SELECT view_name FROM duckdb_views() WHERE NOT internal
"""


def answer(reader: Reader, text: str, limit: int) -> SqlAnswer:
    """Answer one SELECT with at most ``limit`` rows.

    Raises:
        UsageError: it is not one SELECT, names what it may not, takes too long, or gives too much.
    """
    check(reader, text)
    table = _within_time(reader, text, limit + 1)
    if table.nbytes > MOST_BYTES:
        step = "select fewer columns or rows"
        raise UsageError(
            "sql", "gives too much", expected=f"at most {MOST_BYTES} bytes", was=table.nbytes, next_step=step
        )
    rows = [[_plain(value) for value in row.values()] for row in _unique(table.slice(0, limit)).to_pylist()]
    return SqlAnswer(table.column_names, rows, table.num_rows > limit)


def check(reader: Reader, text: str) -> None:
    """Refuse a statement that is not one SELECT over our tables.

    Raises:
        UsageError: it is not.
    """
    with reader.connection() as connection:
        try:
            raw = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchall()[0][0]
            tables = {str(name).lower() for (name,) in connection.execute(_TABLES).fetchall()}
        except duckdb.Error as error:
            raise UsageError("sql", "cannot be read", expected="one SELECT", was=text[:80]) from error
    tree = json.loads(raw)
    if tree.get("error") or len(tree.get("statements", [])) != 1:
        why = str(tree.get("error_message", ""))
        problem = f"cannot be read ({why})" if why.startswith("syntax") else "is not one SELECT"
        raise UsageError("sql", problem, expected="one SELECT", was=text[:80])
    nodes = list(_nodes(tree["statements"][0]))
    named = {str(entry["key"]).lower() for node in nodes for entry in _ctes(node)}
    for node in nodes:
        _check_node(node, tables | named)


def _check_node(node: Mapping[str, Any], tables: set[str]) -> None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        name = str(node["table_name"]).lower()
        foreign = node.get("catalog_name") or str(node.get("schema_name") or "main").lower() != "main"
        if name not in tables or foreign:
            rule = f"one of {', '.join(sorted(tables))}"
            raise UsageError("sql table", "may not be read", expected=rule, was=node["table_name"])
    elif kind == "TABLE_FUNCTION":
        _check_function(str(node["function"]["function_name"]), inside=_TABLE_FUNCTIONS)
    elif kind in ("SHOW_REF", "COLUMN_DATA", "DELIM_GET", "BOUND_TABLE_REF"):
        raise UsageError("sql", "is not a SELECT", expected="one SELECT", was=kind)
    elif node.get("class") == "FUNCTION":
        _check_function(str(node["function_name"]), outside=_FUNCTIONS)


def _check_function(name: str, *, inside: frozenset[str] | None = None, outside: frozenset[str] = frozenset()) -> None:
    plain = name.lower()
    allowed = plain in inside if inside is not None else plain not in outside and not plain.startswith(_FAMILIES)
    if not allowed:
        rule = "a function of values" if inside is None else f"one of {', '.join(sorted(inside))}"
        raise UsageError("sql function", "may not be used", expected=rule, was=name)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a tree; the name of a table function stands in the object around it."""
    if isinstance(tree, dict):
        yield tree
        inner = tree["function"] if tree.get("type") == "TABLE_FUNCTION" else tree
        parts = inner.values()
    else:
        parts = tree if isinstance(tree, list) else ()
    for part in parts:
        yield from _nodes(part)


def _ctes(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = node.get("cte_map")
    entries: list[dict[str, Any]] = found.get("map", []) if isinstance(found, dict) else []
    return entries


def _within_time(reader: Reader, text: str, limit: int) -> pa.Table:
    with reader.connection() as connection:
        late = threading.Event()

        def stop() -> None:
            late.set()
            connection.interrupt()

        timer = threading.Timer(SECONDS, stop)
        timer.start()
        try:
            return reader.sql_on(connection, text, limit=limit)
        except (UsageError, KeyboardInterrupt) as error:
            step = "ask for less, or use tapeline sql"
            if isinstance(error.__cause__, duckdb.OutOfMemoryException):
                raise UsageError("sql", "needs more memory than is left for it", next_step=step) from error
            if late.is_set():
                rule = f"at most {SECONDS:g} s"
                raise UsageError("sql", "takes too long", expected=rule, was="more", next_step=step) from error
            raise
        finally:
            timer.cancel()


def _unique(table: pa.Table) -> pa.Table:
    return table.rename_columns([str(at) for at in range(table.num_columns)])


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what JSON has no form for is text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
