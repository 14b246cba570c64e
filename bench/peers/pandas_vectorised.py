"""Candles by pandas, vectorised by hand as far as pandas goes, every timeframe from the trades; features by TA-Lib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import talib

from tapeline.types import Float


def candles(file: Path, sizes: Sequence[int]) -> dict[int, dict[str, Float]]:
    """Return per window size (ns) the columns of all its candles; the order of the file is trusted."""
    trades = pd.read_parquet(file)
    trades.index = pd.DatetimeIndex(trades.pop("ts_event"))
    trades["quote"] = trades["price"] * trades["qty"]
    trades["bought"] = trades["qty"].where(trades["side"] > 0, 0.0)
    trades["squared"] = np.log(trades["price"]).diff() ** 2
    return {size: _resampled(trades, size) for size in sizes}


def _resampled(trades: pd.DataFrame, size: int) -> dict[str, Float]:
    groups = trades.resample(pd.Timedelta(size, "ns"))
    table = groups["price"].ohlc()
    sums = groups[["qty", "quote", "bought", "count", "squared"]].sum()
    rows = groups.size()
    table["close"] = table["close"].ffill()
    for name in ("open", "high", "low"):
        table[name] = table[name].fillna(table["close"])
    # The first squared return of a window begins outside it.
    first = groups["squared"].first().where(rows > 0).fillna(0.0)
    first.iloc[0] = 0.0
    table["volume"], table["quote_volume"] = sums["qty"], sums["quote"]
    table["vwap"] = sums["quote"].div(sums["qty"]).where(rows > 0)
    table["trades"], table["buy_volume"] = sums["count"], sums["bought"]
    table["realized_vol"] = (sums["squared"] - first).clip(lower=0.0).pow(0.5).where(rows > 1)
    times = table.index.to_numpy("datetime64[ns]").astype(np.int64)
    return {"ts_event": times.astype(np.float64)} | {str(name): table[name].to_numpy(np.float64) for name in table}


def technical(candles: dict[str, Float]) -> dict[str, Float]:
    """Return the features of the ``technical`` set by TA-Lib, by our names."""
    high, low, close, volume = (candles[name] for name in ("high", "low", "close", "volume"))
    result = {name: candles[name] for name in ("open", "high", "low", "close", "volume")}
    for window in (7, 14, 21, 60):
        result[f"sma_{window}"] = talib.SMA(close, window)
        result[f"ema_{window}"] = talib.EMA(close, window)
        result[f"rsi_{window}"] = talib.RSI(close, window)
        result[f"adx_{window}"] = talib.ADX(high, low, close, window)
        result[f"adx_{window}_plus_di"] = talib.PLUS_DI(high, low, close, window)
        result[f"adx_{window}_minus_di"] = talib.MINUS_DI(high, low, close, window)
        name = f"macd_{window}_{2 * window}_{window}"
        lines = talib.MACD(close, window, 2 * window, window)
        result |= dict(zip((name, f"{name}_signal", f"{name}_histogram"), lines, strict=True))
    upper, mid, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    bands = {"mid": mid, "upper": upper, "lower": lower, "width": (upper - lower) / mid}
    bands["percent_b"] = (close - lower) / (upper - lower)
    result |= {f"bollinger_20_2_{name}": values for name, values in bands.items()}
    result["obv"] = talib.OBV(close, volume)
    return result
