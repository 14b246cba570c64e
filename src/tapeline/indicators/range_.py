"""Range: the distance between the highest and the lowest price of the candle.

.. math:: high_t - low_t

Output: price difference, never NaN; 0 for a candle without trades.
Source: Parkinson 1980, The extreme value method for estimating the variance of the rate of return.
"""

from __future__ import annotations

from tapeline.indicators.base import Candle, Fields, Indicator, Output, State, Unit


def state() -> Fields:
    return {}


def update(state: State, candle: Candle) -> float:
    distance: float = candle.high - candle.low
    return distance


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(),
    outputs=(Output(Unit.PRICE_CHANGE),),
    warmup=lambda: 0,
    inputs=("high", "low"),
    source="Parkinson 1980, the high-low range",
)
