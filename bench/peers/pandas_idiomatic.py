"""Candles by pandas as it is commonly written: `resample`, `agg` with names, and `apply`.

What pandas has a name for is aggregated by that name; vwap and realised volatility, for which it has none, are a
Python function that is called once a candle. `pandas_vectorised` does the same without such a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tapeline.types import Float


def candles(file: Path, sizes: Sequence[int]) -> dict[int, dict[str, Float]]:
    """Return per window size (ns) the columns of all its candles; the order of the file is trusted."""
    trades = pd.read_parquet(file)
    trades.index = pd.DatetimeIndex(trades.pop("ts_event"))
    trades["quote"] = trades["price"] * trades["qty"]
    trades["bought"] = trades["qty"].where(trades["side"] > 0, 0.0)
    return {size: _resampled(trades, f"{size}ns") for size in sizes}


def _resampled(trades: pd.DataFrame, freq: str) -> dict[str, Float]:
    table = trades.resample(freq).agg(
        open=("price", "first"),
        high=("price", "max"),
        low=("price", "min"),
        close=("price", "last"),
        volume=("qty", "sum"),
        quote_volume=("quote", "sum"),
        trades=("count", "sum"),
        buy_volume=("bought", "sum"),
    )
    windows = trades.groupby(pd.Grouper(freq=freq))
    table["vwap"] = windows[["price", "qty"]].apply(_vwap)
    table["realized_vol"] = windows["price"].apply(_realized_vol)
    table["close"] = table["close"].ffill()
    for name in ("open", "high", "low"):
        table[name] = table[name].fillna(table["close"])
    times = table.index.to_numpy("datetime64[ns]").astype(np.int64)
    return {"ts_event": times.astype(np.float64)} | {str(name): table[name].to_numpy(np.float64) for name in table}


def _vwap(window: pd.DataFrame) -> float:
    return float(np.average(window["price"], weights=window["qty"])) if len(window) else np.nan


def _realized_vol(prices: pd.Series[float]) -> float:
    return float(np.sqrt((np.diff(np.log(prices)) ** 2).sum())) if len(prices) > 1 else np.nan
