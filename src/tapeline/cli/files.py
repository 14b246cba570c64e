"""Files that commands write: CSV and Parquet, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tapeline.cli.output import plain, readable, unique_names
from tapeline.errors import UsageError
from tapeline.stores._conform import is_time
from tapeline.stores.base import KINDS


def write_file(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> dict[str, Any]:
    """Write tables of one schema as one file, by its extension; return its path, rows and bytes.

    Raises:
        UsageError: the extension is neither .csv nor .parquet, or the file cannot be written.
    """
    check_path(path)
    writers = {".csv": _csv, ".parquet": _parquet}
    with new_file(path) as file:
        rows = writers[path.suffix.lower()](file, tables, schema)
    return {"path": str(path), "rows": rows, "bytes": path.stat().st_size}


def check_path(path: Path) -> None:
    """Refuse a file of another kind before any work is done."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"--out {path}", "is of no kind we write", expected=".csv or .parquet", was=path.suffix)


def write_trades(path: Path, tables: Iterable[pa.Table], id_kind: str) -> dict[str, Any]:
    """Write trades; the metadata of a Parquet file tell `tapeline import` what they are."""
    schema = KINDS["trades"].schema.with_metadata({"tapeline": "1", "tapeline.id_kind": id_kind})
    if path.suffix.lower() == ".csv":
        return write_file(
            path, (with_times("trades", table) for table in tables), with_times("trades", schema.empty_table()).schema
        )
    return write_file(path, tables, schema)


def with_times(kind: str, table: pa.Table) -> pa.Table:
    """Return rows of a kind with their times as timestamps (ns, UTC)."""
    for at, field in enumerate(table.schema):
        if is_time(KINDS[kind], field.name):
            table = table.set_column(at, field.name, table.column(at).cast(pa.timestamp("ns", "UTC")))
    return table


@contextmanager
def new_file(path: Path, option: str = "--out") -> Iterator[BinaryIO]:
    """Give a file that takes its name only when all went well; ``option`` is how it was asked for."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise UsageError(
            f"{option} {path}", "cannot be written", expected="a folder with room, ours to write", was=error.strerror
        ) from error
    finally:
        if part.exists():
            part.unlink()


def _csv(file: BinaryIO, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
    header = _flat(schema.empty_table()).schema
    rows = 0
    with pyarrow.csv.CSVWriter(file, header, write_options=pyarrow.csv.WriteOptions(quoting_style="needed")) as writer:
        for table in tables:
            writer.write_table(_flat(table))
            rows += table.num_rows
    return rows


def _flat(table: pa.Table) -> pa.Table:
    """Return a table as CSV can hold it: times, lists and bytes as text."""
    columns = []
    for column in readable(table).columns:
        nested = (
            pa.types.is_nested(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
        )
        columns.append(pa.array([_text(value) for value in column.to_pylist()], pa.string()) if nested else column)
    return pa.Table.from_arrays([_whole(column) for column in columns], unique_names(table.column_names))


def _whole(column: Any) -> Any:
    return (
        column if pa.types.is_floating(column.type) or not pa.types.is_decimal(column.type) else column.cast("string")
    )


def _text(value: Any) -> str | None:
    made = plain(value)
    return made if made is None or isinstance(made, str) else json.dumps(made)


def _parquet(file: BinaryIO, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
    rows = 0
    schema = schema_with(schema, unique_names(schema.names))
    with pq.ParquetWriter(file, schema, compression="zstd", **_encodings(schema)) as writer:
        for table in tables:
            writer.write_table(table.rename_columns(schema.names))
            rows += table.num_rows
    return rows


def schema_with(schema: pa.Schema, names: list[str]) -> pa.Schema:
    """Return a schema under other names."""
    fields = [field.with_name(name) for field, name in zip(schema, names, strict=True)]
    return pa.schema(fields, schema.metadata)


def _encodings(schema: pa.Schema) -> Mapping[str, Any]:
    """Return for whole numbers and times their differences, for reals their bytes side by side, a dictionary else."""
    encodings = {}
    for field in schema:
        if pa.types.is_timestamp(field.type) or field.type in (pa.int64(), pa.int32()):
            encodings[field.name] = "DELTA_BINARY_PACKED"
        elif pa.types.is_float64(field.type):
            encodings[field.name] = "BYTE_STREAM_SPLIT"
    return {"column_encoding": encodings, "use_dictionary": [name for name in schema.names if name not in encodings]}
