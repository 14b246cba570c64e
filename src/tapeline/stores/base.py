"""What every store keeps, and the few verbs by which it is asked.

Rows travel as Arrow tables whose schemas are fixed here. Times are int64 ns UTC; an unknown number is null (it is
NaN only inside folds). Each kind has a key: appending a row whose key is stored changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

from tapeline.stores.parts import Part


@dataclass(frozen=True, slots=True)
class Kind:
    """One table.

    Attributes:
        name: how it is called.
        schema: its columns, in order.
        key: the columns that tell one row from another.
        time: the column by which rows are asked for and removed, ns UTC.
        known_at: the column that says since when a row was known, ns UTC.
        order: the columns by which `Store.read` sorts: the key, but where that is a hash.
        hashed: whether the key is a hash in which instrument and ``time`` are: rows that differ in these differ in it.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    time: str | None = None
    known_at: str | None = None
    order: tuple[str, ...] = ()
    hashed: bool = False

    def __post_init__(self) -> None:
        if not self.order:
            object.__setattr__(self, "order", self.key)


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows of a kind are stored, and in how many bytes."""

    rows: int
    bytes: int


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


_TEXT, _INT, _REAL, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_TRADE = {
    "instrument": _TEXT,
    "trade_id": _INT,
    "ts_event": _INT,
    "ts_init": _INT,
    "price": _REAL,
    "qty": _REAL,
    "side": pa.int8(),
    "count": pa.int32(),
}
_PREDICTION = {
    "id": _TEXT,
    "instrument": _TEXT,
    "timeframe": _TEXT,
    "made_at": _INT,
    "as_of": _INT,
    "horizon": _INT,
    "target_time": _INT,
    "value": _REAL,
    "low": _REAL,
    "high": _REAL,
    "p_up": _REAL,
    "close": _REAL,
    "model": _TEXT,
    "model_version": _TEXT,
    "feature_set": _TEXT,
    "feature_version": _TEXT,
    "row_hash": _TEXT,
}
_ANSWER = {
    "id": _TEXT,
    "instrument": _TEXT,
    "timeframe": _TEXT,
    "target": _TEXT,
    "made_at": _INT,
    "as_of": _INT,
    "horizon": _INT,
    "said": pa.list_(_REAL),
    "model": _TEXT,
    "model_version": _TEXT,
    "feature_set": _TEXT,
    "feature_version": _TEXT,
    "row_hash": _TEXT,
}

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "instruments",
            _schema(instrument=_TEXT, venue=_TEXT, id_kind=_TEXT, contiguous=_BOOL, first_seen=_INT),
            ("instrument",),
        ),
        Kind("trades", _schema(**_TRADE), ("instrument", "trade_id"), "ts_event", "ts_init"),
        Kind("late_trades", _schema(**_TRADE, reason=_TEXT), ("instrument", "trade_id"), "ts_event", "ts_init"),
        Kind(
            "candles",
            _schema(
                instrument=_TEXT,
                timeframe=_TEXT,
                open_time=_INT,
                close_time=_INT,
                open=_REAL,
                high=_REAL,
                low=_REAL,
                close=_REAL,
                volume=_REAL,
                quote_volume=_REAL,
                vwap=_REAL,
                trades=_INT,
                buy_volume=_REAL,
                realized_vol=_REAL,
                complete=_BOOL,
                restart=_BOOL,
                source=_TEXT,
            ),
            ("instrument", "timeframe", "source", "open_time"),
            "open_time",
            "close_time",
        ),
        Kind(
            "features",
            _schema(
                instrument=_TEXT,
                timeframe=_TEXT,
                feature_set=_TEXT,
                version=_TEXT,
                source=_TEXT,
                as_of=_INT,
                complete=_BOOL,
                values=pa.list_(_REAL),
            ),
            ("instrument", "timeframe", "feature_set", "version", "source", "as_of"),
            "as_of",
            "as_of",
        ),
        Kind(
            "feature_sets",
            _schema(feature_set=_TEXT, version=_TEXT, definition=_TEXT, columns=pa.list_(_TEXT), current=_BOOL),
            ("feature_set", "version"),
        ),
        Kind("predictions", _schema(**_PREDICTION), ("id",), "as_of", "made_at", ("as_of", "id"), hashed=True),
        Kind("answers", _schema(**_ANSWER), ("id",), "as_of", "made_at", ("as_of", "id"), hashed=True),
        Kind("shadow_predictions", _schema(**_PREDICTION), ("id",), "as_of", "made_at", ("as_of", "id"), hashed=True),
        Kind("shadow_answers", _schema(**_ANSWER), ("id",), "as_of", "made_at", ("as_of", "id"), hashed=True),
        Kind(
            "gaps",
            _schema(instrument=_TEXT, first_missing=_INT, last_missing=_INT, status=_TEXT),
            ("instrument", "first_missing"),
        ),
        Kind(
            "decisions",
            _schema(instrument=_TEXT, seq=_INT, kind=_TEXT, position=_INT, value=_INT, text=_TEXT),
            ("instrument", "seq"),
        ),
        Kind(
            "dead_letters",
            _schema(
                source=_TEXT, instrument=_TEXT, kind=_TEXT, reason=_TEXT, raw=pa.binary(), ts_init=_INT, digest=_TEXT
            ),
            ("source", "digest"),
            "ts_init",
            "ts_init",
            ("ts_init", "source", "digest"),
        ),
        Kind(
            "models",
            _schema(
                name=_TEXT,
                version=_TEXT,
                instrument=_TEXT,
                timeframe=_TEXT,
                horizon=_INT,
                target=_TEXT,
                model=_TEXT,
                status=_TEXT,
                created_at=_INT,
                promoted_at=_INT,
                feature_set=_TEXT,
                feature_version=_TEXT,
                artifact=pa.binary(),
                artifact_hash=_TEXT,
                record=_TEXT,
            ),
            ("name", "version"),
            None,
            "created_at",
        ),
        Kind("states", _schema(instrument=_TEXT, layout=_TEXT, snapshot=pa.binary()), ("instrument",)),
        Kind(
            "imports",
            _schema(
                file=_TEXT,
                path=_TEXT,
                format=_TEXT,
                instrument=_TEXT,
                position=_INT,
                done=_BOOL,
                read=_INT,
                new=_INT,
                duplicates=_INT,
                malformed=_INT,
                conflicts=_INT,
                late=_INT,
                first=_INT,
                last=_INT,
            ),
            ("file",),
        ),
    )
}
"""Every kind of row a store keeps, by name."""


class Store(Protocol):
    """Keep rows by kind and key, in transactions, and hide what was not yet known.

    Outside a transaction each write is a transaction of its own. An exception inside `transaction` undoes all of it.
    Rows come with all columns of their kind, in any order; NaN is stored as null; a key holds no null. A question a
    kind cannot answer (a time range of rows without time, an unknown column) is a `UsageError`, an unknown kind an
    `UnknownName`. A store belongs to one thread.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """Make all writes inside it happen together or not at all. Does not nest."""

    def append(self, kind: str, rows: pa.Table) -> int:
        """Add the rows whose key is not stored yet, and return how many that were.

        Within ``rows`` the first row of a key wins.
        """

    def upsert(self, kind: str, rows: pa.Table) -> None:
        """Add rows, replacing those whose key is stored. Within ``rows`` the last row of a key wins."""

    def delete(
        self, kind: str, instrument: str, *, start: int | None = None, end: int | None = None, **equal: str
    ) -> int:
        """Remove an instrument's rows in [start, end) of the kind's time, where columns equal; return how many."""

    def read(
        self,
        kind: str,
        *,
        instrument: str | None = None,
        start: int | None = None,
        end: int | None = None,
        as_of: int | None = None,
        limit: int | None = None,
        **equal: str,
    ) -> pa.Table:
        """Return rows in [start, end) of the kind's time, known at or before ``as_of``, in the kind's order.

        With ``limit`` the last that many rows. ``equal`` restricts text columns, such as ``timeframe="1m"``.
        """

    def tape(self, instrument: str, *, after: tuple[int, int] | None = None, rows: int = 1 << 20) -> Iterator[pa.Table]:
        """Yield an instrument's trades in the order of the tape, in tables of at most ``rows`` rows.

        The order is by trade_id where the instrument's ids are contiguous, otherwise by (ts_event, trade_id).
        ``after`` = (ts_event, trade_id) of the last trade already had. Memory is bounded by ``rows``.
        """

    def seen(self, instrument: str, rows: pa.Table) -> pa.Table:
        """Return the stored trades whose trade_id is among those of ``rows``, ordered by trade_id.

        Late trades count as stored; where an id is in both tables the trade is returned, not the late one.
        """

    def sizes(self) -> Mapping[str, Size]:
        """Return what each kind takes, by name."""

    def close(self) -> None:
        """Release the store. Idempotent."""


@runtime_checkable
class TakesParts(Protocol):
    """A store that takes what folds give as it comes, and makes rows of it when there is time for it.

    Its transactions cost little: what somebody waits for need not share one with anything else.
    """

    def append_parts(self, kind: str, parts: Sequence[Part]) -> None:
        """Add parts (at least one), all of the kind's own type and none empty, as `Store.append` would their rows."""
