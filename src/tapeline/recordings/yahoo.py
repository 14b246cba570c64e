"""Candles of Yahoo Finance, by the library yfinance: for research, without a key, and without a promise of Yahoo's.

They become a Parquet file that is imported as any other: candles made by others, marked as such. A candle of a day
stands for its date in UTC, whatever hours the market keeps; the one that is still running is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.clock import DAY, SECOND
from tapeline.errors import MissingDependency, NotEnoughData, UnknownName, VenueBusy
from tapeline.types import Int, Timeframe

INTERVALS = ("1m", "2m", "5m", "15m", "30m", "1h", "1d")
"""The lengths of candles that Yahoo has and that divide a day; others are refused, never made from these."""

History = Callable[[str, str, int | None, int | None], Any]
"""(ticker, interval, start and end in seconds) -> a pandas frame with the columns Open, High, Low, Close, Volume."""

_NO_ANSWER = (ValueError, LookupError, TypeError, AttributeError)
"""What yfinance raises where it is answered by something else, such as a page that says sorry."""
_COLUMNS = ("Open", "High", "Low", "Close", "Volume")


def download(
    ticker: str,
    timeframe: str,
    start: int | None,
    end: int | None,
    *,
    now: int,
    folder: Path,
    history: History | None = None,
) -> Path:
    """Ask for the candles of a ticker, and return the Parquet file that holds them.

    Args:
        ticker: Yahoo's own, such as ``AAPL`` or ``BTC-USD``.
        timeframe: one of `INTERVALS`.
        start: the first open time, ns UTC; None: as far back as Yahoo goes without being told.
        end: where they end, ns UTC; None: now.
        now: candles that close later are left out, ns UTC.
        folder: where the file is made.
        history: asks Yahoo; None: yfinance.

    Raises:
        UnknownName: Yahoo has no candles of this length.
        MissingDependency: yfinance is not installed.
        VenueBusy: Yahoo did not answer, or has had enough of us.
        NotEnoughData: it has no such candles.
    """
    size = Timeframe.parse(timeframe).size
    if timeframe not in INTERVALS:
        step = "ask for one of these; longer candles are made from trades only"
        raise UnknownName("--timeframe", "Yahoo has none", expected=", ".join(INTERVALS), was=timeframe, next_step=step)
    table = _table((history or _yfinance)(ticker, timeframe, _seconds(start), _seconds(end)), size)
    closed = np.array(table["open_time"].cast(pa.int64())) + size <= now
    table = table.filter(pa.array(closed))
    if not table.num_rows:
        raise NotEnoughData(f"yahoo {ticker}", "has no candles", expected="a ticker of Yahoo and a time it traded")
    path = folder / f"{ticker.replace('/', '_')}-{timeframe}.parquet"
    pq.write_table(table, path)
    return path


def _table(frame: Any, size: int) -> pa.Table:
    columns = {name.lower(): pa.array(frame[name].to_numpy(np.float64)) for name in _COLUMNS}
    times = pa.array(_open_times(frame.index, size), pa.timestamp("ns", "UTC"))
    return pa.table({"open_time": times, **columns})


def _open_times(index: Any, size: int) -> Int:
    """Return ns UTC; of days the date that the market's own clock shows."""
    if size == DAY and index.tz is not None:
        index = index.tz_localize(None)
    times: Int = np.asarray(index.as_unit("ns").asi8, np.int64)
    return times // DAY * DAY if size == DAY else times


def _seconds(ns: int | None) -> int | None:
    return None if ns is None else ns // SECOND


def _yfinance(ticker: str, interval: str, start: int | None, end: int | None) -> Any:
    try:
        import yfinance
        from yfinance.exceptions import YFException
    except ImportError as error:
        step = "install it: pip install 'tapeline[yfinance]'"
        raise MissingDependency("yahoo", "yfinance is not installed", next_step=step) from error
    yfinance.config.debug.hide_exceptions = False
    period = None if start is not None or end is not None else "max" if interval == "1d" else "5d"
    try:
        return yfinance.Ticker(ticker).history(
            period=period, interval=interval, start=start, end=end, auto_adjust=False, actions=False
        )
    except (YFException, OSError, *_NO_ANSWER) as error:
        why = "its answer is none of Yahoo's" if isinstance(error, _NO_ANSWER) else str(error)[:200]
        step = "check the ticker and the time, or ask again later"
        raise VenueBusy(f"yahoo {ticker}", f"cannot be had ({why})", next_step=step) from error
