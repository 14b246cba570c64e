"""For notebooks: candles and features of pandas, Polars or Arrow tables, given back as such.

The kernels are those of the commands and of the live process. There is no ledger here: that no trade is missing is not
checked (`tapeline import` does that), so ``complete`` only tells that a candle was not joined in its middle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.candles import CandleFold, chained
from tapeline.clock import format_time, parse_time
from tapeline.errors import UsageError
from tapeline.features import FeatureFold, FeatureSet
from tapeline.types import CANDLE, Bool, Float, Frame, Int, Records, Side, Timeframe

_TIMES = ("open_time", "close_time")
_END = parse_time("2200-01-01T00:00:00Z")
_REQUIRED = ("close_time", "open", "high", "low", "close", "volume")
_NAME = "instrument"


def candles(trades: Any, timeframe: str = "1m", *, include_running: bool = False) -> Any:
    """Fold a table of trades into candles.

    Args:
        trades: a pandas, Polars or Arrow table, in any order, with the columns ``price`` (> 0), ``qty`` (> 0) and
            ``ts_event`` (a datetime, UTC where it names no zone, or int ns), and where known ``trade_id`` (int, each
            once), ``side`` (BUY, SELL, UNKNOWN or 1, -1, 0: the aggressor), ``count`` and ``instrument``.
        timeframe: such as ``1s``, ``1m``, ``4h``, or sliding, ``5m/1m``.
        include_running: whether the last candle, which nothing has closed yet, is given too (``complete`` is false).

    Returns:
        A table of the same kind: all fields of `tapeline.types.CANDLE`, times as datetimes (ns, UTC), unknown numbers
        as null (NaN in pandas). With an ``instrument`` column each instrument is folded alone.

    Raises:
        UsageError: a column is missing or of another type, a value breaks its rule, or an id is there twice.

    >>> trades = pa.table({"ts_event": [0, 60_000_000_000], "price": [10.0, 11.0], "qty": [1.0, 2.0]})
    >>> candles(trades, "1m")["close"].to_pylist()
    [10.0]
    """
    grid = Timeframe.parse(timeframe)

    def fold(table: _Table) -> pa.Table:
        made = _fold(table.trades(), grid, include_running=include_running)
        return _arrow({name: made[name] for name in CANDLE.names or ()})

    return _by_instrument("trades", trades, ("ts_event", "price", "qty"), fold)


def features(candles: Any, features: str | Sequence[str] | FeatureSet) -> Any:
    """Compute features of a table of candles.

    Args:
        candles: a pandas, Polars or Arrow table as `candles` gives it, in order of time: ``close_time``, ``open``,
            ``high``, ``low``, ``close`` and ``volume`` at least; features of other fields are NaN without them.
        features: a list such as ``["sma(7)", "rsi(14)"]``, the name of a feature set, or the path of its TOML file.

    Returns:
        A table of the same kind, a row per candle: ``as_of`` (its close_time), ``version``, ``complete`` (whether its
        whole window is), and the features; null (NaN in pandas) until warm.

    Raises:
        UsageError: a column is missing, candles are out of order, or a feature cannot be read.
        UnknownName: there is no such indicator or set.

    >>> minute = 60_000_000_000
    >>> table = {"close_time": [minute, 2 * minute], "volume": [1.0, 1.0]}
    >>> table |= {name: [10.0, 12.0] for name in ("open", "high", "low", "close")}
    >>> features(pa.table(table), ["sma(2)"])["sma_2"].to_pylist()
    [None, 11.0]
    """
    wanted = _set_of(features)

    def compute(table: _Table) -> pa.Table:
        made = FeatureFold(wanted).feed(table.candles())
        columns: dict[str, Any] = {
            "as_of": made.as_of,
            "version": np.full(len(made), wanted.version, object),
            "complete": made.complete,
        }
        return _arrow(columns | {name: made.values[:, at] for at, name in enumerate(wanted.names)})

    return _by_instrument("candles", candles, _REQUIRED, compute)


def _set_of(features: str | Sequence[str] | FeatureSet) -> FeatureSet:
    if isinstance(features, FeatureSet):
        return features
    return FeatureSet.load(features) if isinstance(features, str) else FeatureSet.of(features)


def _fold(trades: Frame, timeframe: Timeframe, *, include_running: bool) -> Records:
    fold = CandleFold([timeframe])
    closed = fold.feed(trades)[0][0]
    return np.concatenate([closed, fold.running()[0]]) if include_running else closed


def _by_instrument(what: str, given: Any, required: Sequence[str], make: Callable[[_Table], pa.Table]) -> Any:
    """Make a table of each instrument's rows alone, and give all back as the kind that came."""
    try:
        frame = nw.from_native(given, eager_only=True)
    except TypeError as error:
        raise UsageError(
            what, "are no table", expected="a pandas, Polars or Arrow table", was=type(given).__name__
        ) from error
    missing = [name for name in required if name not in frame.columns]
    if missing:
        rule = f"the columns {', '.join(required)}"
        step = f"rename yours to {', '.join(missing)}"
        raise UsageError(what, "lack a column", expected=rule, was=", ".join(frame.columns), next_step=step)
    if _NAME not in frame.columns:
        return _native(make(_Table(what, frame)), frame)
    names = sorted(str(name) for name in frame[_NAME].unique().to_list())
    parts = [make(_Table(f"{what} of {name}", frame.filter(nw.col(_NAME) == name))) for name in names]
    if not parts:
        parts, names = [make(_Table(what, frame))], [""]
    named = [part.add_column(0, _NAME, pa.repeat(name, part.num_rows)) for name, part in zip(names, parts, strict=True)]
    return _native(pa.concat_tables(named), frame)


class _Table:
    """One instrument's rows as columns of NumPy."""

    def __init__(self, what: str, frame: nw.DataFrame[Any]) -> None:
        self._what = what
        self._frame = frame

    def trades(self) -> Frame:
        """Return the rows as trades in order of (ts_event, trade_id)."""
        n = len(self._frame)
        given = "trade_id" in self._frame.columns
        ids = self._whole("trade_id") if given else np.arange(n, dtype=np.int64)
        if len(np.unique(ids)) < n:
            raise self._refused("trade_id", "each id once", f"{n - len(np.unique(ids))} repeated")
        stamps = self._moments("ts_event")
        frame = Frame.of(
            "TRADES.TABLE",
            trade_id=ids,
            ts_event=stamps,
            price=self._positive("price"),
            qty=self._positive("qty"),
            side=self._sides(),
            count=self._whole("count") if "count" in self._frame.columns else None,
        )
        return frame.take(np.lexsort((ids, stamps)))

    def candles(self) -> Records:
        """Return the rows as candles."""
        has = self._frame.columns
        made = np.zeros(len(self._frame), CANDLE)
        made["close_time"] = self._moments("close_time")
        made["open_time"] = self._moments("open_time") if "open_time" in has else made["close_time"]
        if (np.diff(made["close_time"]) <= 0).any():
            raise self._refused("close_time", "times that rise", "candles out of order, or one twice")
        for name in ("open", "high", "low", "close", "volume", "quote_volume", "vwap", "buy_volume", "realized_vol"):
            made[name] = self._real(name) if name in has else np.nan
        made["trades"] = self._counts()
        made["complete"] = self._flags("complete") if "complete" in has else True
        if "restart" in has:
            made["restart"] = self._flags("restart")
        elif "open_time" in has:
            made = chained(made)
        made["restart"][:1] = True
        return made

    def _positive(self, name: str) -> Float:
        values = self._real(name)
        wrong = ~(np.isfinite(values) & (values > 0))
        if wrong.any():
            raise self._refused(name, "finite and > 0", f"{values[wrong][0]} ({int(wrong.sum())} such rows)")
        return values

    def _real(self, name: str) -> Float:
        column = self._frame[name]
        if not column.dtype.is_numeric():
            raise self._refused(name, "numbers", str(column.dtype))
        return np.array(column.cast(nw.Float64()).to_numpy(), np.float64)

    def _whole(self, name: str) -> Int:
        column = self._frame[name]
        if not column.dtype.is_integer() or column.null_count():
            raise self._refused(name, "whole numbers", f"{column.dtype}, {column.null_count()} of them null")
        return np.array(column.to_numpy(), np.int64)

    def _counts(self) -> Int | int:
        """Return how many trades each candle has, -1 where that is unknown."""
        if "trades" not in self._frame.columns:
            return -1
        counts = self._real("trades")
        return np.where(np.isnan(counts), -1, counts).astype(np.int64)

    def _moments(self, name: str) -> Int:
        column = self._frame[name].to_arrow()
        if pa.types.is_timestamp(column.type) and not column.null_count:
            column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
        if not pa.types.is_integer(column.type) or column.null_count:
            was = f"{column.type}, {column.null_count} of them null"
            raise self._refused(name, "datetimes, or whole ns since 1970 UTC", was)
        moments: Int = np.array(column.to_numpy(zero_copy_only=False), np.int64)
        wrong = (moments < 0) | (moments >= _END)
        if wrong.any():
            rule = f"times from 1970 to before {format_time(_END)} (int: ns)"
            raise self._refused(name, rule, f"{moments[wrong][0]} ({int(wrong.sum())} such rows)")
        return moments

    def _flags(self, name: str) -> Bool:
        column = self._frame[name]
        if column.dtype != nw.Boolean or column.null_count():
            raise self._refused(name, "true or false", f"{column.dtype}, {column.null_count()} of them null")
        return np.array(column.to_numpy(), np.bool_)

    def _sides(self) -> Int | None:
        if "side" not in self._frame.columns:
            return None
        column = self._frame["side"]
        if column.dtype.is_integer() and not column.null_count() and column.is_in([-1, 0, 1]).all():
            return np.array(column.to_numpy(), np.int64)
        names = {side.name: int(side) for side in Side}
        values = column.to_list()
        known = [names.get(one.upper()) if isinstance(one, str) else 0 if one is None else one for one in values]
        if any(one not in names.values() for one in known):
            wrong = next(value for value, one in zip(values, known, strict=True) if one not in names.values())
            raise self._refused("side", "BUY, SELL or UNKNOWN (1, -1 or 0)", wrong)
        return np.array(known, np.int64)

    def _refused(self, name: str, rule: str, was: object) -> UsageError:
        return UsageError(f"{self._what} column {name}", "cannot be used", expected=rule, was=was)


def _arrow(columns: dict[str, Any]) -> pa.Table:
    """Return columns as a table with times as timestamps (ns, UTC) and null for NaN."""
    made = {}
    for name, values in columns.items():
        column = pa.array(np.ascontiguousarray(values), from_pandas=True)
        if name in (*_TIMES, "as_of"):
            column = column.cast(pa.timestamp("ns", "UTC"))
        made[name] = pc.cast(column, pa.string()) if name == "version" else column
    return pa.table(made)


def _native(table: pa.Table, like: nw.DataFrame[Any]) -> Any:
    return nw.from_arrow(table, backend=like.implementation).to_native()
