"""What all stores do to rows before they keep them and to questions before they answer them."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tapeline.errors import UnknownName, UsageError
from tapeline.stores.base import KINDS, Kind

_EVENTS = ("ts_event", "ts_init", "open_time", "close_time", "as_of", "made_at", "target_time")
_TIMES = frozenset([*_EVENTS, "created_at", "promoted_at", "first_seen"])
SCANNED = frozenset(["trades", "late_trades", "candles", "features"])
"""Kinds too large for an index: their keys end in a number that grows, by which stored rows are found."""
_MANY = 1 << 16
"""Fewer rows are grouped sooner by one thread than by several."""


def is_time(kind: Kind, name: str) -> bool:
    """Say whether a column holds instants, ns UTC."""
    return name in _TIMES or (kind.name == "imports" and name in ("first", "last"))


def kind_named(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in KINDS:
        raise UnknownName(f"store {name}", "no such kind", expected=f"one of {', '.join(KINDS)}", was=name)
    return KINDS[name]


@dataclass(frozen=True, slots=True)
class Question:
    """Which rows of a kind: the arguments of `Store.read` and `Store.delete`, checked."""

    kind: Kind
    instrument: str | None = None
    start: int | None = None
    end: int | None = None
    as_of: int | None = None
    equal: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        names = self.kind.schema.names
        if self.instrument is not None and "instrument" not in names:
            raise self._unanswerable("instrument", "a kind with instruments")
        if (self.start is not None or self.end is not None) and self.kind.time is None:
            raise self._unanswerable("start and end", "a kind with a time")
        if self.as_of is not None and self.kind.known_at is None:
            raise self._unanswerable("as_of", "a kind that says when it was known")
        for name in self.equal or ():
            if name not in names or self.kind.schema.field(name).type != pa.string():
                raise self._unanswerable(name, "a text column of it")

    def _unanswerable(self, what: str, expected: str) -> UsageError:
        return UsageError(
            f"store {self.kind.name}", f"cannot be asked by {what}", expected=expected, was=self.kind.name
        )

    def texts(self) -> dict[str, str]:
        """Return the text columns that must be equal, by name."""
        instrument = {} if self.instrument is None else {"instrument": self.instrument}
        return instrument | dict(self.equal or {})

    def left(self, order: Sequence[str]) -> list[str]:
        """Return the columns of an order that may differ between the rows asked for; at least one."""
        return [name for name in order if name not in self.texts()] or [order[-1]]

    def bounds(self) -> list[tuple[str, str, int]]:
        """Return the comparisons of times as (column, operator, ns)."""
        asked = (
            (self.kind.time, ">=", self.start),
            (self.kind.time, "<", self.end),
            (self.kind.known_at, "<=", self.as_of),
        )
        return [(column, sign, ns) for column, sign, ns in asked if column is not None and ns is not None]


def conform(kind: Kind, rows: pa.Table) -> pa.Table:
    """Return ``rows`` in the schema of the kind, with null where a number is NaN.

    Raises:
        UsageError: a column is missing, unknown or of a foreign type, or a key holds null.
    """
    if set(rows.schema.names) != set(kind.schema.names) or rows.num_columns != len(kind.schema):
        expected = ", ".join(kind.schema.names)
        raise UsageError(f"store {kind.name}", "wrong columns", expected=expected, was=", ".join(rows.schema.names))
    try:
        table = rows if rows.schema.equals(kind.schema) else rows.select(kind.schema.names).cast(kind.schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        types = ", ".join(f"{field.name} {field.type}" for field in kind.schema)
        raise UsageError(f"store {kind.name}", "wrong types", expected=types, was=str(error)) from error
    for name in kind.key:
        if table[name].null_count:
            raise UsageError(f"store {kind.name}", f"{name} is part of the key", expected="no null", was=None)
    for index, field in enumerate(kind.schema):
        if pa.types.is_floating(field.type) or pa.types.is_list(field.type):
            table = table.set_column(index, field, _without_nan(table.column(index)))
    return table


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        unknown = column.null_count or np.isnan(column.to_numpy()).any()
        return pc.if_else(pc.is_nan(column), None, column) if unknown else column
    if not pa.types.is_floating(column.type.value_type):
        return column
    return pa.chunked_array([_list_without_nan(chunk) for chunk in column.chunks], column.type)


def _list_without_nan(lists: pa.ListArray) -> pa.ListArray:
    values = lists.flatten()
    nan = pc.is_nan(values)
    if not pc.any(nan).as_py():
        return lists
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int32())
    return pa.ListArray.from_arrays(offsets, pc.if_else(nan, None, values), type=lists.type, mask=lists.is_null())


def one_per_key(kind: Kind, rows: pa.Table, *, last: bool) -> pa.Table:
    """Return ``rows`` with only the first (or the last) row of each key, in their order."""
    if len(rows) < 2 or _increases(rows[kind.key[-1]]):
        return rows
    position = pa.array(np.arange(len(rows)))
    grouped = rows.select(kind.key).append_column("_position", position)
    pick = "max" if last else "min"
    chosen = grouped.group_by(list(kind.key), use_threads=len(rows) > _MANY)
    kept = chosen.aggregate([("_position", pick)])[f"_position_{pick}"]
    return rows if len(kept) == len(rows) else rows.take(pa.array(np.sort(kept.to_numpy())))


def _increases(column: pa.ChunkedArray) -> bool:
    """Say whether integers strictly increase, so that no key made of them can repeat."""
    return pa.types.is_integer(column.type) and bool((np.diff(column.to_numpy()) > 0).all())


def answer(question: Question, table: pa.Table) -> pa.Table:
    """Return the rows of a table that answer a question, in the table's order."""
    tests = [pc.field(name) == text for name, text in question.texts().items()]
    compare = {">=": operator.ge, "<": operator.lt, "<=": operator.le}
    tests += [compare[sign](pc.field(column), ns) for column, sign, ns in question.bounds()]
    return table.filter(functools.reduce(operator.and_, tests)) if tests else table


def in_order(kind: Kind, table: pa.Table) -> pa.Table:
    """Return the rows of a table in the order of the kind."""
    return table.sort_by([(name, "ascending") for name in kind.order])


def places_of(keys: pa.Table, stored: pa.Table) -> NDArray[np.int64]:
    """Return the positions of the rows of ``keys`` that are among the rows of ``stored``, which has its columns."""
    numbered = keys.append_column("_place", pa.array(np.arange(len(keys))))
    found = numbered.join(stored, keys.schema.names, join_type="left semi")["_place"].to_numpy()
    return np.asarray(np.sort(found), np.int64)


def without(rows: pa.Table, places: NDArray[np.int64]) -> pa.Table:
    """Return the rows that are not at these positions."""
    if not len(places):
        return rows
    keep = np.ones(len(rows), np.bool_)
    keep[places] = False
    return rows.filter(pa.array(keep))
