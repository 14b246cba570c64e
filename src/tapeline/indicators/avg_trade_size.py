"""Mean trade size: the volume of the candle per trade.

.. math:: volume_t / trades_t

Output: base currency per trade, NaN for a candle without trades.
Source: the feature `avg_trade_size_1m` of the reference system SignalStack.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, State, Unit


def state() -> Fields:
    return {}


def update(state: State, candle: Candle) -> float:
    volume: float = candle.volume
    return volume / candle.trades if candle.trades > 0 else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(),
    outputs=(Output(Unit.QUANTITY),),
    warmup=lambda: 0,
    inputs=("volume", "trades"),
    source="SignalStack avg_trade_size",
)
