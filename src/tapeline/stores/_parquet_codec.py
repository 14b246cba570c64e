"""How rows lie in a Parquet file of ours, so that any reader understands it and ours is fast.

Times are timestamps of the coarsest unit that loses nothing; numbers with few decimals are decimals, which
DELTA_BINARY_PACKED makes small and a division brings back bit for bit; ``ts_init`` is kept as ``delay_ns`` after
``ts_event``. A column of one value is told by the statistics of its row group and not read at all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tapeline.stores._conform import is_time
from tapeline.stores.base import Kind

SCHEMA_VERSION = 1
GROUP = 1 << 20
"""Rows in a row group: the piece in which a file is read."""

_UNITS = {"ms": 1_000_000, "us": 1_000, "ns": 1}
_DIGITS = 18
_SCALES = range(11)
_DELAY = "delay_ns"


def write(kind: Kind, rows: pa.Table, file: BinaryIO, *, id_kind: str = "") -> None:
    """Write rows, in their order, as a Parquet file; ``id_kind`` is what is known of the instrument's ids."""
    more = {"tapeline.kind": kind.name, "tapeline.id_kind": id_kind}
    table = encode(kind, rows).replace_schema_metadata({"tapeline": str(SCHEMA_VERSION), **more})
    whole = {field.name for field in table.schema if _is_whole(field.type)}
    reals = {field.name for field in table.schema if pa.types.is_floating(field.type)}
    rest = [field.name for field in table.schema if field.name not in whole | reals]
    pq.write_table(
        table,
        file,
        row_group_size=GROUP,
        use_dictionary=rest,
        column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED") | dict.fromkeys(reals, "BYTE_STREAM_SPLIT"),
        compression="lz4" if _is_trade(kind) else "zstd",
        store_decimal_as_integer=True,
    )


def encode(kind: Kind, rows: pa.Table) -> pa.Table:
    """Return rows as they lie in a file."""
    return pa.table({_stored_name(kind, name): _encoded(kind, rows, name) for name in kind.schema.names})


def _encoded(kind: Kind, rows: pa.Table, name: str) -> pa.ChunkedArray:
    column = rows[name]
    if _is_trade(kind) and name == "ts_init":
        return pa.chunked_array([_array(column.to_numpy() - rows["ts_event"].to_numpy())])
    if is_time(kind, name):
        return _as_timestamps(column)
    return _as_decimals(column) if pa.types.is_floating(column.type) and not column.null_count else column


def _as_timestamps(column: pa.ChunkedArray) -> pa.ChunkedArray:
    known = column.drop_null().to_numpy()
    unit = next(unit for unit, size in _UNITS.items() if not (known % size).any())
    stamps = column.cast(pa.timestamp("ns", "UTC"))
    return stamps.cast(pa.timestamp(unit, "UTC"))


def _as_decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    values = column.to_numpy()
    for scale in _SCALES:
        if _scaled(values[:1000], scale) is None:
            continue
        whole = _scaled(values, scale)
        if whole is not None:
            return pa.chunked_array([_array(whole, pa.decimal64(_DIGITS, scale))])
    return column


def _scaled(values: NDArray[np.float64], scale: int) -> NDArray[np.int64] | None:
    """Return integers that give ``values`` bit for bit when divided by 10**scale, or None."""
    with np.errstate(over="ignore"):
        shifted = np.round(values * 10.0**scale)
    if not (np.abs(shifted) < 2.0**53).all():
        return None
    whole = shifted.astype(np.int64)
    same = (whole / 10.0**scale).view(np.int64) == np.ascontiguousarray(values).view(np.int64)
    return whole if bool(same.all()) else None


def read_group(kind: Kind, file: pq.ParquetFile, group: int, names: list[str] | None = None) -> pa.Table:
    """Return the rows of a row group in the schema of the kind, or only the columns named."""
    wanted = kind.schema.names if names is None else names
    stored = [_stored_name(kind, name) for name in wanted]
    needed = sorted({*stored, "ts_event"}) if _DELAY in stored else stored
    constants = _constants(file, group, needed)
    varying = [name for name in needed if name not in constants]
    rows = file.metadata.row_group(group).num_rows
    table = file.read_row_group(group, columns=varying, use_threads=False) if varying else None
    columns: dict[str, Any] = {name: _constant(value, rows) for name, value in constants.items()}
    if table is not None:
        columns |= {
            name: (table[name].chunk(0) if table[name].num_chunks == 1 else table[name].combine_chunks())
            for name in varying
        }
    return pa.table([_decoded(kind.schema.field(n), columns, _stored_name(kind, n)) for n in wanted], names=wanted)


def _constants(file: pq.ParquetFile, group: int, names: list[str]) -> dict[str, Any]:
    """Return the columns that hold one integer or text throughout, by the row group's statistics."""
    found = {}
    metadata = file.metadata.row_group(group)
    for place in range(metadata.num_columns):
        column = metadata.column(place)
        name, seen = column.path_in_schema, column.statistics
        if name in names and seen is not None and seen.has_min_max and not seen.null_count and seen.min == seen.max:
            kind = file.schema_arrow.field(name).type
            if pa.types.is_integer(kind) or pa.types.is_string(kind):
                found[name] = pa.scalar(seen.min, kind)
    return found


def _constant(value: pa.Scalar, rows: int) -> pa.Array:
    return _repeated(value, 1 << (rows - 1).bit_length()).slice(0, rows)


@lru_cache(maxsize=32)
def _repeated(value: pa.Scalar, rows: int) -> pa.Array:
    return pa.repeat(value, rows)


def _decoded(field: pa.Field, columns: dict[str, Any], stored: str) -> pa.Array:
    column = columns[stored]
    if stored == _DELAY:
        events = _nanoseconds(columns["ts_event"])
        delays = column.to_numpy()
        return _computed(np.add, events.to_numpy(), delays) if delays.any() else events
    if pa.types.is_timestamp(column.type):
        return _nanoseconds(column)
    if pa.types.is_decimal(column.type):
        whole = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column)]
        return _computed(np.true_divide, whole, 10.0**column.type.scale, np.float64)
    return column if column.type == field.type else column.cast(field.type)


def _nanoseconds(column: pa.Array) -> pa.Array:
    size = _UNITS[column.type.unit]
    if column.null_count:
        return column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    whole = column.view(pa.int64())
    return whole if size == 1 else _computed(np.multiply, whole.to_numpy(), size)


def _computed(operation: np.ufunc, left: NDArray[Any], right: Any, kind: type[np.generic] = np.int64) -> pa.Array:
    """Return the result of an operation in Arrow's memory, which reuses what was freed; NumPy's is mapped anew."""
    out = np.frombuffer(pa.allocate_buffer(8 * len(left)), kind)
    return _array(operation(left, right, out=out))


def _array(values: NDArray[Any], kind: pa.DataType | None = None) -> pa.Array:
    """Wrap numbers without a copy (and without `pyarrow.array`, which imports pandas where it is installed)."""
    kind = kind or pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _stored_name(kind: Kind, name: str) -> str:
    return _DELAY if _is_trade(kind) and name == "ts_init" else name


def _is_trade(kind: Kind) -> bool:
    return "ts_init" in kind.schema.names and "ts_event" in kind.schema.names


def _is_whole(kind: pa.DataType) -> bool:
    return bool(kind == pa.int64() or pa.types.is_timestamp(kind) or pa.types.is_decimal(kind))
