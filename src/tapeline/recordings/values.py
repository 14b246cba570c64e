"""Columns as they came (text, or typed by Parquet) into numbers and sides, exactly, and which rows are not.

Every function returns ``(values, ok)``: where ``ok`` is false the value means nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tapeline.types import Bool, Float, Int

_REAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_EXACT_FLOAT = 2**53
_SIDES = {
    **dict.fromkeys(("buy", "b", "buyer", "1", "true", "t"), 1),
    **dict.fromkeys(("sell", "s", "seller", "-1", "false", "f"), -1),
    **dict.fromkeys(("", "0", "unknown", "none", "null", "nan", "n/a"), 0),
}
_MAKER_SIDES = {**_SIDES, "0": -1}


def plain(column: pa.Array) -> pa.Array:
    """Return one array without dictionary, views or chunks."""
    if isinstance(column, pa.ChunkedArray):
        column = one_chunk(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_binary(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Return the column as one array, without a copy where it is one already."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def to_numpy(column: pa.Array) -> NDArray[Any]:
    """Return a writable copy of an array without nulls (through DLPack: pyarrow's own way would import pandas)."""
    if pa.types.is_boolean(column.type):
        return np.from_dlpack(column.cast(pa.uint8())).astype(np.bool_)
    return np.from_dlpack(column).copy()


def filled(column: pa.Array, value: float | bool) -> pa.Array:
    """Return the column with its nulls replaced."""
    return pc.fill_null(column, value) if column.null_count else column


def is_text(column: pa.Array) -> bool:
    """Say whether a column is text."""
    return bool(pa.types.is_string(column.type))


def shown(column: pa.Array, row: int) -> str:
    """Show a value of a column as an error shows it, cut after 40 characters."""
    try:
        text = repr(column[row].as_py())
    except (UnicodeDecodeError, ValueError, OverflowError):
        text = repr(column.slice(row, 1).cast(pa.binary())[0].as_py()) if is_text(column) else str(column[row])
    return text if len(text) <= 40 else f"{text[:37]}..."


def reals(column: pa.Array) -> tuple[Float, Bool]:
    """Read floats; text such as ``1_0`` or `` 1`` is none. NaN and infinity are read, to be judged elsewhere."""
    ok = valid(column)
    if is_text(column):
        try:
            column = column.cast(pa.float64())
        except pa.ArrowInvalid:
            good = filled(pc.match_substring_regex(column, _REAL), False)
            ok = to_numpy(good)
            column = pc.if_else(good, column, "0").cast(pa.float64())
    elif not _is_number(column.type):
        return np.zeros(len(column)), np.zeros(len(column), np.bool_)
    floats = column.cast(pa.float64(), safe=False)
    return to_numpy(filled(floats, 0.0)), ok


def integers(column: pa.Array) -> tuple[Int, Bool]:
    """Read integers in 0..2^63-1 without going through a float; a float column is exact only below 2^53."""
    if is_text(column):
        values, ok = _integers_of_text(column)
    elif pa.types.is_floating(column.type):
        floats = to_numpy(filled(column.cast(pa.float64()), -1.0))
        ok = (floats >= 0) & (floats < _EXACT_FLOAT) & (np.floor(floats) == floats)
        values = np.where(ok, floats, 0).astype(np.int64)
    elif pa.types.is_integer(column.type):
        ok = valid(column)
        raw = to_numpy(filled(column, 0))
        ok &= raw <= 2**63 - 1
        values = np.where(ok, raw, 0).astype(np.int64)
    else:
        return np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_)
    return values, ok & (values >= 0)


def _integers_of_text(column: pa.Array) -> tuple[Int, Bool]:
    ok = valid(column)
    try:
        if pc.any(pc.match_substring(column, "x", ignore_case=True)).as_py():
            raise pa.ArrowInvalid("hexadecimal")
        whole = column.cast(pa.int64())
    except pa.ArrowInvalid:
        good = filled(pc.match_substring_regex(column, r"^\d{1,19}$"), False)
        wide = to_numpy(pc.if_else(good, column, "0").cast(pa.uint64()))
        ok = to_numpy(good) & (wide <= 2**63 - 1)
        return np.where(ok, wide, 0).astype(np.int64), ok
    return to_numpy(filled(whole, -1)), ok


def sides(column: pa.Array, *, maker: bool) -> tuple[Int, Bool]:
    """Read the aggressor's side; with ``maker`` the column says whether the buyer was the maker."""
    codes = column.dictionary_encode()
    table = _MAKER_SIDES if maker else _SIDES
    spelled = [str(value).strip().lower() if value is not None else "" for value in words(codes.dictionary)]
    known = np.array([table.get(word.removesuffix(".0"), 9) for word in spelled] or [0], np.int64)
    indices = to_numpy(filled(codes.indices, -1))
    values = np.where(indices < 0, 0, known[np.maximum(indices, 0)]) if len(known) else np.zeros(len(column), np.int64)
    ok = values != 9
    return np.where(ok, -values if maker else values, 0), ok


def words(dictionary: pa.Array) -> list[object]:
    """Return the values of a column; those that are no text, as errors show them."""
    try:
        values: list[object] = dictionary.to_pylist()
    except (UnicodeDecodeError, ValueError, OverflowError):
        values = [shown(dictionary, row) for row in range(len(dictionary))]
    return values


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def valid(column: pa.Array) -> Bool:
    """Say which values are not null."""
    return to_numpy(column.is_valid())
