"""Trade count: how many trades of the venue the candle holds; aggregated trades count as many as they stand for.

Output: trades per candle, never NaN. Source: the ``count`` of Binance's and Kraken's own candles.
"""

from __future__ import annotations

from tapeline.indicators.base import Candle, Fields, Indicator, Output, State, Unit


def state() -> Fields:
    return {}


def update(state: State, candle: Candle) -> float:
    return float(candle.trades)


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(),
    outputs=(Output(Unit.QUANTITY),),
    warmup=lambda: 0,
    inputs=("trades",),
    source="Binance klines, number of trades",
)
