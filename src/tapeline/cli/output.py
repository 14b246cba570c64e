"""What commands print and write: one JSON document, tables for people, CSV and Parquet files.

Times are RFC 3339 with all their digits; what is unknown is null in JSON, nothing in CSV and ``-`` on a screen.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from tapeline.clock import format_time

_BATCH = 1 << 14
_SECOND = 1_000_000_000
_TO_NS = {"s": _SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}
_FIRST, _LAST = -62_135_596_800 * _SECOND, 253_402_300_800 * _SECOND


def write_json(document: Any) -> None:
    """Print a document on stdout."""
    print(json.dumps(plain(document), indent=2, allow_nan=False, ensure_ascii=False))


def write_json_rows(table: pa.Table) -> None:
    """Print a table on stdout as a list of objects, a row a line."""
    sys.stdout.write("[")
    separator = "\n"
    for row in plain_rows(table):
        sys.stdout.write(separator + json.dumps(row, allow_nan=False, ensure_ascii=False))
        separator = ",\n"
    sys.stdout.write("\n]\n" if table.num_rows else "]\n")


def plain_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield rows as plain values."""
    names = unique_names(table.column_names)
    for batch in readable(table).to_batches(_BATCH):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield {name: plain(value) for name, value in zip(names, row, strict=True)}


def unique_names(names: Sequence[str]) -> list[str]:
    """Return names that are all different.

    >>> unique_names(["n", "n", "m"])
    ['n', 'n_2', 'm']
    """
    made: list[str] = []
    for name in names:
        again = 2
        unique = name
        while unique in made:
            unique, again = f"{name}_{again}", again + 1
        made.append(unique)
    return made


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN is null, a time is RFC 3339, bytes are text.

    >>> plain({"a": float("nan"), "b": [Decimal("1"), b"x"]})
    {'a': None, 'b': [1, 'x']}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def readable(table: pa.Table) -> pa.Table:
    """Return a table with its times as text."""
    columns = [_as_text(column) if pa.types.is_timestamp(column.type) else column for column in table.columns]
    return pa.Table.from_arrays(columns, table.column_names)


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    zone = "Z" if column.type.tz else ""
    known = column.is_valid().to_numpy()
    units = column.cast(pa.int64()).fill_null(0).to_numpy()
    factor = _TO_NS[column.type.unit]
    if factor == 1 and not (units % _SECOND).any():
        seconds = np.datetime_as_string(units.astype("datetime64[ns]"), unit="s")
        return pa.array([f"{text}{zone}" for text in seconds.tolist()], pa.string(), mask=~known)
    moments = (int(number) * factor for number in units.tolist())
    texts = [format_time(ns).removesuffix("Z") + zone if _FIRST <= ns < _LAST else f"{ns} ns" for ns in moments]
    return pa.array(texts, pa.string(), mask=~known)


def print_table(table: pa.Table, *, title: str = "") -> None:
    """Print a table for a person: as wide as the screen, or as wide as it needs where no screen is."""
    from rich.table import Table

    shown = readable(table)
    if title:
        print(title)
    made = Table(box=None, header_style="bold", pad_edge=False)
    for name, kind in zip(unique_names(table.column_names), shown.schema.types, strict=True):
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        made.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in zip(*(column.to_pylist() for column in shown.columns), strict=True):
        made.add_row(*(shown_value(value) for value in row))
    print_rich(made)


def print_rich(made: Any) -> None:
    """Print something of rich on stdout."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=100_000)
    with console.capture() as captured:
        console.print(made)
    for line in captured.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def shown_value(value: Any) -> str:
    """Return a value as a person reads it.

    >>> shown_value(None), shown_value(True), shown_value(1234567), shown_value(0.1 + 0.2)
    ('-', 'yes', '1234567', '0.3')
    """
    value = plain(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def transposed(table: pa.Table, by: str) -> pa.Table:
    """Return a wide table on its side: a row for each column, a column for each value of ``by``."""
    rows = list(plain_rows(table))
    names = [name for name in unique_names(table.column_names) if name != by]
    columns = {by: names} | {str(row[by]): [shown_value(row[name]) for name in names] for row in rows}
    return pa.table(columns)
