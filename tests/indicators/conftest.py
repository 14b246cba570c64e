"""All indicators with the windows that the oracles know, compiled once; and the candles they are compared on."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tapeline.features import FeatureFold, FeatureSet
from tapeline.testing.indicators import candles as random_candles
from tapeline.types import CANDLE, Float, Records

MORE = [
    *("sma(20)", "ema(20)", "macd(12, 26, 9)", "macd(26, 12, 9)", "atr(7)", "atr(14)", "wma(2)", "wma(14)"),
    *("stochastic(14, 3, 3)", "stochastic(5, 1, 4)", "stochastic(14, 1, 3)", "momentum(1)", "momentum(14)"),
    *("return(14)", "zscore(14)", "vwap(14)", "cumulative_vwap", "volume_mean(20)", "big_move(2)", "big_move(0.05)"),
    *("bollinger(5, 1.5)", "rsi(2)", "adx(2)", "ema(2)"),
]

Compute = Callable[[Records], dict[str, Float]]


@pytest.fixture(scope="session")
def compute() -> Compute:
    """Return a function that gives every column of the shipped sets, and of `MORE`, by name."""
    sets = [*map(FeatureSet.load, ("technical", "market", "bars")), FeatureSet.of(MORE, name="oracle")]

    def columns(rows: Records) -> dict[str, Float]:
        values = [zip(one.names, FeatureFold(one).feed(rows).values.T, strict=True) for one in sets]
        return {name: column for found in values for name, column in found}

    return columns


def from_columns(open: Float, high: Float, low: Float, close: Float, volume: Float) -> Records:
    """Return candles of prices and volumes."""
    rows = np.zeros(len(close), CANDLE)
    for name, column in (("open", open), ("high", high), ("low", low), ("close", close), ("volume", volume)):
        rows[name] = column
    rows["complete"] = True
    return rows


def near_month(shared: Path) -> Records:
    """Return the month of NEARUSDT 1 m candles as Binance publishes it."""
    with gzip.open(shared / "data/isda-binance-klines/NEARUSDT-1m-2025-11.csv.gz", "rt", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    rows = np.zeros(len(table), CANDLE)
    fields = {name: name for name in ("open", "high", "low", "close", "volume", "quote_volume")}
    for name, theirs in (fields | {"trades": "count", "buy_volume": "taker_buy_volume"}).items():
        rows[name] = [float(line[theirs]) for line in table]
    rows["complete"] = True
    return rows


@pytest.fixture(scope="session")
def near(shared: Path) -> Records:
    return near_month(shared)


@pytest.fixture(scope="session")
def walk() -> Records:
    return random_candles(3000, seed=2)


@pytest.fixture(scope="session")
def quiet() -> Records:
    return random_candles(3000, seed=3, quiet=True)


@pytest.fixture(params=["walk", "quiet", "near"])
def market(request: pytest.FixtureRequest) -> Records:
    """Return candles of a random walk, of a quiet random walk, and of a real month."""
    rows: Records = request.getfixturevalue(request.param)
    return rows
