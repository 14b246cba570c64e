"""Every indicator that TA-Lib has equals TA-Lib over the full history, from its first value on.

To 1e-9 relative, and one rule beside: what is a difference (of prices in MACD and momentum, within bands in width,
percent_b and z-score) cannot be compared relative to itself near zero, and is compared to what it was taken from.
"""

from __future__ import annotations

import numpy as np
import pytest
import talib
from tests.indicators.conftest import Compute, from_columns

from tapeline.types import Float, Records

Expected = dict[str, Float]


def _averages(c: Records) -> Expected:
    close = c["close"].copy()
    found = {f"sma_{w}": talib.SMA(close, w) for w in (5, 7, 14, 20, 21, 60) if w != 5}
    found |= {"ma_5": talib.SMA(close, 5), "ma_10": talib.SMA(close, 10)}
    found |= {f"ema_{w}": talib.EMA(close, w) for w in (2, 7, 14, 20, 21, 60)}
    return found | {f"wma_{w}": talib.WMA(close, w) for w in (2, 14)}


def _oscillators(c: Records) -> Expected:
    high, low, close = (c[name].copy() for name in ("high", "low", "close"))
    found = {f"rsi_{w}": talib.RSI(close, w) for w in (2, 7, 14, 21, 60)}
    for w in (2, 7, 14, 21, 60):
        found[f"adx_{w}"] = talib.ADX(high, low, close, w)
        found[f"adx_{w}_plus_di"] = talib.PLUS_DI(high, low, close, w)
        found[f"adx_{w}_minus_di"] = talib.MINUS_DI(high, low, close, w)
    for k, smooth, d in ((14, 3, 3), (5, 1, 4), (14, 1, 3)):
        names = (f"stochastic_{k}_{smooth}_{d}_{output}" for output in "kd")
        found |= dict(zip(names, talib.STOCH(high, low, close, k, smooth, 0, d, 0), strict=True))
    return found


def _changes(c: Records) -> Expected:
    high, low, close = (c[name].copy() for name in ("high", "low", "close"))
    found = {f"momentum_{w}": talib.MOM(close, w) for w in (1, 14)}
    found |= {f"return_{w}": talib.ROCP(close, w) for w in (1, 14)}
    found |= {f"atr_{w}": talib.ATR(high, low, close, w) for w in (7, 14)}
    for fast, slow, signal in [(p, 2 * p, p) for p in (7, 14, 21, 60)] + [(12, 26, 9), (26, 12, 9)]:
        names = (f"macd_{fast}_{slow}_{signal}{output}" for output in ("", "_signal", "_histogram"))
        found |= dict(zip(names, talib.MACD(close, fast, slow, signal), strict=True))
    return found


def _volumes(c: Records) -> Expected:
    close, volume = c["close"].copy(), c["volume"].copy()
    found = {"obv": talib.OBV(close, volume), "volume_5": talib.SUM(volume, 5)}
    return found | {"volume_mean_20": talib.SMA(volume, 20)}


@pytest.mark.parametrize("expect", [_averages, _oscillators, _changes, _volumes])
def test_equals_talib_over_the_full_history(expect: object, compute: Compute, market: Records) -> None:
    assert callable(expect)
    ours = compute(market)
    price = float(market["close"].max())
    for name, theirs in expect(market).items():
        differences = name.startswith(("macd", "momentum"))
        np.testing.assert_allclose(
            ours[name], theirs, rtol=1e-9, atol=1e-12 * price if differences else 1e-12, err_msg=name
        )


@pytest.mark.parametrize(("window", "deviations"), [(20, 2.0), (5, 1.5)])
def test_bollinger_equals_talib(window: int, deviations: float, compute: Compute, market: Records) -> None:
    ours, close = compute(market), market["close"].copy()
    base = f"bollinger_{window}_{deviations:g}".replace(".", "p")
    upper, mid, lower = talib.BBANDS(close, window, deviations, deviations)
    for name, theirs in (("upper", upper), ("mid", mid), ("lower", lower)):
        np.testing.assert_allclose(ours[f"{base}_{name}"], theirs, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(ours[f"{base}_width"], (upper - lower) / mid, rtol=1e-9, atol=1e-12)
    wide = (upper - lower) > 1e-4 * mid
    assert wide.sum() > 100
    percent_b = (close - lower)[wide] / (upper - lower)[wide]
    np.testing.assert_allclose(ours[f"{base}_percent_b"][wide], percent_b, rtol=1e-9, atol=1e-9)


def test_zscore_equals_talib(compute: Compute, market: Records) -> None:
    close = market["close"].copy()
    spread = talib.STDDEV(close, 14)
    wide = spread > 1e-4 * close
    theirs = (close - talib.SMA(close, 14))[wide] / spread[wide]
    np.testing.assert_allclose(compute(market)["zscore_14"][wide], theirs, rtol=1e-9, atol=1e-9)


def test_deviation_keeps_its_digits(compute: Compute) -> None:
    """Closes that move by 1e-11 of their price: the deviation is exactly half a step."""
    step = 2.0**-20
    close = np.asarray(65_536.0 + step * (np.arange(200) % 2), np.float64)
    ours = compute(from_columns(close, close, close, close, np.ones(200)))
    assert ours["bollinger_20_2_width"][-1] * ours["bollinger_20_2_mid"][-1] == pytest.approx(2 * step, rel=1e-9)
    assert ours["zscore_14"][-1] == 1.0


def test_a_market_that_stands_still(compute: Compute) -> None:
    """Equal closes: no deviation, no score, no position between bands; RSI is what TA-Lib says."""
    still = np.full(200, 0.1)
    ours = compute(from_columns(still, still, still, still, np.zeros(200)))
    assert ours["bollinger_20_2_width"][-1] == 0.0
    assert np.isnan(ours["bollinger_20_2_percent_b"]).all()
    assert np.isnan(ours["zscore_14"]).all()
    assert ours["rsi_14"][-1] == talib.RSI(still, 14)[-1]
    assert ours["adx_14"][-1] == talib.ADX(still, still, still, 14)[-1]
    assert ours["stochastic_14_3_3_k"][-1] == talib.STOCH(still, still, still, 14, 3, 0, 3, 0)[0][-1]
    for name in ("vwap_5", "cumulative_vwap", "volume_ratio_20", "avg_trade_size", "buy_pressure"):
        assert np.isnan(ours[name]).all(), name
    for name in ("vol_5", "return_1", "range"):
        assert ours[name][-1] == 0.0, name


def test_memory_of_long_averages_fades_as_in_talib(compute: Compute, walk: Records) -> None:
    """After days without movement the averages of gains and losses reach the smallest numbers there are."""
    rows = np.concatenate([walk[:200], np.repeat(walk[199:200], 8000)])
    for name in ("open", "high", "low"):
        rows[name][200:] = rows["close"][199]
    ours = compute(rows)
    high, low, close = (rows[name].copy() for name in ("high", "low", "close"))
    np.testing.assert_allclose(ours["rsi_7"], talib.RSI(close, 7), rtol=1e-9)
    np.testing.assert_allclose(ours["adx_7_plus_di"], talib.PLUS_DI(high, low, close, 7), rtol=1e-9)
