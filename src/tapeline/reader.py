"""For notebooks: what a database holds, as pandas, Polars or Arrow tables, without writing SQL."""

from __future__ import annotations

import os
import warnings
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import narwhals as nw
import pyarrow as pa

from tapeline import query
from tapeline.clock import parse_time
from tapeline.config import load_settings
from tapeline.coverage import coverage
from tapeline.errors import MissingDependency, UsageError
from tapeline.features import FeatureSet
from tapeline.stores.duckdb import DuckDBStore

Kind = Literal["pandas", "polars", "arrow"]
Instant = int | str | datetime
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def open(path: str | os.PathLike[str], *, kind: Kind | None = None) -> Tape:
    """Open a database to read it; close it, or use it with ``with``.

    Args:
        path: the DuckDB file that `tapeline import` or the live process wrote.
        kind: what tables come as; None: pandas where it is installed, else Polars, else Arrow.

    Raises:
        UnreadableFile: it is missing or no database.
        StoreLocked: another process writes to it.
        MissingDependency: ``kind`` is not installed.
    """
    return Tape(path, kind=kind)


class Tape:
    """A database, read only. Times are taken as datetimes, RFC 3339 or ns, and given as datetimes (ns, UTC)."""

    def __init__(self, path: str | os.PathLike[str], *, kind: Kind | None = None) -> None:
        self.kind = _kind(kind)
        self._settings = load_settings(db=Path(path))
        self._store = DuckDBStore(path, read_only=True)

    def instruments(self) -> Any:
        """Return what is stored of each instrument, and whether anything is missing."""
        found = coverage(self._store)
        names = ("instrument", "holds", "rows", "first", "last", "ids", "open_gaps", "missing", "completeness")
        whole = {"rows", "first", "last", "open_gaps", "missing"}
        types = [pa.int64() if name in whole else pa.string() for name in names]
        columns = [
            pa.array([getattr(one, name) for one in found], kind) for name, kind in zip(names, types, strict=True)
        ]
        return self._given(query.as_times(pa.table(columns, names), "first", "last"))

    def trades(self, instrument: str, *, start: Instant | None = None, end: Instant | None = None) -> Any:
        """Return the trades of an instrument whose ts_event is in [start, end)."""
        query.known(self._store, instrument)
        table = self._store.read("trades", instrument=instrument, start=_ns(start), end=_ns(end))
        return self._given(query.as_times(table, "ts_event", "ts_init"))

    def candles(
        self, instrument: str, timeframe: str = "1m", *, start: Instant | None = None, end: Instant | None = None
    ) -> Any:
        """Return the candles of an instrument whose open_time is in [start, end), as `tapeline.query.candles` does."""
        found = query.candles(self._store, self._settings, instrument, timeframe, _ns(start), _ns(end))
        _warn(found.note)
        return self._given(found.table())

    def features(
        self,
        instrument: str,
        timeframe: str = "1m",
        feature_set: str | FeatureSet = "technical",
        *,
        start: Instant | None = None,
        end: Instant | None = None,
    ) -> Any:
        """Return the feature rows of an instrument whose as_of is in [start, end)."""
        found = query.features(self._store, self._settings, instrument, timeframe, feature_set, _ns(start), _ns(end))
        _warn(found.note)
        return self._given(found.table())

    def predictions(
        self, instrument: str | None = None, *, start: Instant | None = None, end: Instant | None = None
    ) -> Any:
        """Return stored predictions whose as_of is in [start, end)."""
        table = self._store.read("predictions", instrument=instrument, start=_ns(start), end=_ns(end))
        return self._given(query.as_times(table, "made_at", "as_of", "target_time"))

    def answers(
        self, instrument: str | None = None, *, start: Instant | None = None, end: Instant | None = None
    ) -> Any:
        """Return what models of other targets said (`tapeline.models.targets`), as_of in [start, end)."""
        table = self._store.read("answers", instrument=instrument, start=_ns(start), end=_ns(end))
        return self._given(query.as_times(table, "made_at", "as_of"))

    def sql(self, text: str) -> Any:
        """Answer one reading SQL statement."""
        return self._given(self._store.sql(text))

    def close(self) -> None:
        """Release the database. Idempotent."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _given(self, table: pa.Table) -> Any:
        return table if self.kind == "arrow" else nw.from_arrow(table, backend=self.kind).to_native()


def _kind(kind: Kind | None) -> Kind:
    order: tuple[Kind, ...] = ("pandas", "polars", "arrow")
    if kind is None:
        return next(one for one in order if one == "arrow" or find_spec(one))
    if kind not in order:
        raise UsageError("tapeline.open", "kind is not known", expected=" or ".join(order), was=kind)
    if kind != "arrow" and find_spec(kind) is None:
        step = f"pip install 'tapeline[{kind}]'"
        raise MissingDependency(kind, "is not installed", next_step=step)
    return kind


def _ns(moment: Instant | None) -> int | None:
    if isinstance(moment, datetime):
        since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
    return parse_time(moment) if isinstance(moment, str) else moment


def _warn(note: str) -> None:
    if note:
        warnings.warn(note, stacklevel=3)
