"""Trade count: how many trades of the venue the candle holds; aggregated trades count as many as they stand for.

Output: trades per candle, NaN where candles made by others do not say.

Source: the ``count`` of Binance's and Kraken's own candles.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, State, Unit


def state() -> Fields:
    return {}


def update(state: State, candle: Candle) -> float:
    return float(candle.trades) if candle.trades >= 0 else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(),
    outputs=(Output(Unit.QUANTITY),),
    warmup=lambda: 0,
    inputs=("trades",),
    source="Binance klines, number of trades",
)
