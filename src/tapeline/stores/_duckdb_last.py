"""Where the last rows of a table are looked for: sorting all of it for a few rows is slow, a stretch of it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapeline.stores._duckdb_schema import Column, Connection

Where = tuple[str, list[Any]]
"""A condition of SQL, with its ``WHERE`` or empty, and the values in it."""

_WIDER = (2, 32)
"""How many times as long as the rows asked for take on average the first and the second stretch is."""


def stretches(connection: Connection, table: str, where: Where, order: Sequence[Column], limit: int) -> list[Where]:
    """Return ever wider conditions under which the last rows may be found, at the end the one given.

    The first under which there are ``limit`` rows holds the last of all. The columns that the order begins with are
    held at their largest text; the numbers of the next are held near the largest.

    Args:
        connection: to the database.
        table: whose rows.
        where: what they are asked by.
        order: the columns they are sorted by.
        limit: how many of them are wanted.
    """
    near = where
    for column in order:
        if column.type != "VARCHAR":
            return [*_near(connection, table, near, column, limit), where]
        ((most,),) = connection.execute(f"SELECT max({column.stored}) FROM {table}{near[0]}", near[1]).fetchall()
        if most is None:
            break
        near = _and(near, f"{column.stored} = ?", most)
    return [where]


def _near(connection: Connection, table: str, where: Where, column: Column, limit: int) -> list[Where]:
    asked = f"SELECT max({column.stored}), min({column.stored}), count(*) FROM {table}{where[0]}"
    ((newest, oldest, count),) = connection.execute(asked, where[1]).fetchall()
    if count <= limit or column.type != "BIGINT":
        return []
    begins = [newest - wider * ((newest - oldest) * limit // count + 1) for wider in _WIDER]
    return [_and(where, f"{column.stored} >= ?", begin) for begin in begins if begin > oldest]


def _and(where: Where, test: str, value: object) -> Where:
    return (f"{where[0]} AND {test}" if where[0] else f" WHERE {test}"), [*where[1], value]
