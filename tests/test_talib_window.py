"""Any TA-Lib function as a feature: on exactly the trailing window, bit for bit, however the candles are cut."""

from __future__ import annotations

import numpy as np
import pytest
import talib
from talib import abstract

from tapeline.errors import UnknownName, UsageError
from tapeline.features import FeatureFold, FeatureSet
from tapeline.indicators.base import Unit
from tapeline.talib_window import TalibFeature
from tapeline.testing import indicators as suite
from tapeline.testing.indicators import candles
from tapeline.types import Float, Records

WITHOUT_PERIODS = [name for name in talib.get_functions() if name != "MAVP"]  # it needs a series of periods

RULE = "a whole number of candles from 14 to 10000"


def _directly(feature: TalibFeature, rows: Records, end: int) -> list[float]:
    window = rows[end - feature.window : end]
    given = {name: window[name].astype(np.float64) for name in ("open", "high", "low", "close", "volume")}
    result = abstract.Function(feature.name)(given, price="close", **dict(feature.parameters))
    return [float(series[-1]) for series in (result if isinstance(result, list) else [result])]


def _bits(values: Float) -> list[list[int]]:
    shown: list[list[int]] = np.where(np.isnan(values), np.nan, values).view(np.int64).tolist()
    return shown


def test_every_function_of_talib_equals_talib_on_the_trailing_window_however_it_is_cut() -> None:
    rows = candles(460)
    assert len(WITHOUT_PERIODS) > 150
    for name in WITHOUT_PERIODS:
        feature = TalibFeature.of(name, [], {})
        end = feature.window + 7
        whole = feature.history().feed(rows[:end])
        assert np.isnan(whole[: feature.window - 1]).all(), name
        direct = [_directly(feature, rows, at) for at in range(feature.window, end + 1)]
        assert _bits(whole[feature.window - 1 :]) == _bits(np.array(direct)), name

        first, second = feature.history(), feature.history()
        head = first.feed(rows[: feature.window - 3])
        second.restore(first.snapshot())
        tail = [second.feed(rows[at : at + 1]) for at in range(feature.window - 3, end)]
        assert _bits(np.vstack([head, *tail])) == _bits(whole), name


@pytest.mark.parametrize(
    "check", [c for c in suite.CHECKS if c.__name__ not in ("check_inputs", "check_state", "check_documented")]
)
def test_talib_features_keep_the_contract_of_indicators(check: object) -> None:
    features = FeatureSet.of(["talib.CCI(5)", "talib.ATR(7, window=20)", "sma(5)", "talib.OBV", "talib.BBANDS(5, 1.5)"])
    assert callable(check)
    assert check(features, lambda: FeatureFold(features)) == []


def test_a_longer_window_comes_nearer_to_the_full_history() -> None:
    rows = candles(900)
    full = talib.RSI(rows["close"].copy(), 14)[-1]
    away = [abs(TalibFeature.of("RSI", [14], {"window": w}).history().feed(rows)[-1, 0] - full) for w in (30, 100, 300)]
    assert away[0] > away[1] > away[2]
    assert away[2] < 1e-6


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("SMA", [Unit.PRICE]),
        ("BBANDS", [Unit.PRICE] * 3),
        ("CCI", [Unit.RATIO]),
        ("MACD", [Unit.PRICE_CHANGE] * 3),
        ("ATR", [Unit.PRICE_CHANGE]),
        ("STDDEV", [Unit.PRICE_CHANGE]),
        ("OBV", [Unit.QUANTITY]),
        ("VAR", [Unit.CUMULATIVE]),  # a squared price is kept from models
    ],
)
def test_outputs_are_measured_as_what_they_scale_like(name: str, units: list[Unit]) -> None:
    assert list(TalibFeature.of(name, [], {}).units) == units


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("CCI(14, 3)", "CCI: has other parameters: expected (timeperiod, window), was '(14, 3)'"),
        ("CCI(length=3)", "CCI: has other parameters: expected (timeperiod, window), was '(length=3)'"),
        ("CCI(14, timeperiod=2)", "CCI: has other parameters: expected (timeperiod, window), was '(14, timeperiod=2)'"),
        ("CCI(7.5)", "CCI timeperiod: is not whole: expected a whole number, was 7.5"),
        ("CCI(14, window=9)", f"CCI window: is out of range: expected {RULE}, was 9.0"),
        ("CCI(14, window=99999)", f"CCI window: is out of range: expected {RULE}, was 99999.0"),
        ("MAVP", "MAVP: needs more than candles: expected of open, high, low, close, volume, was ['close', 'periods']"),
    ],
)
def test_what_does_not_fit_says_why(text: str, error: str) -> None:
    with pytest.raises(UsageError) as caught:
        FeatureSet.of([f"talib.{text}"])
    assert str(caught.value) == f"feature talib.{error}"


def test_parameters_out_of_range_are_refused_in_talibs_words() -> None:
    with pytest.raises(
        UsageError, match=r"^feature talib\.CCI: is refused by TA-Lib: .*: expected parameters in range, was \{"
    ):
        FeatureSet.of(["talib.CCI(0)"])


def test_an_unknown_function_is_named() -> None:
    with pytest.raises(
        UnknownName, match=r"^feature talib\.cci: is not a TA-Lib function: expected one of TA-Lib's names"
    ):
        FeatureSet.of(["talib.cci(14)"])
