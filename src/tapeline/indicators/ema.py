"""Exponential moving average of the closes: newer candles weigh more, and none is ever forgotten wholly.

.. math:: EMA_t = EMA_{t-1} + (close_t - EMA_{t-1}) * 2 / (window + 1)

It begins as the mean of the first ``window`` closes.

Output: price, NaN for the first ``window - 1`` candles. Source: TA-Lib ``EMA``.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, State, Unit
from tapeline.indicators.window import smoothed


def state(window: int) -> Fields:
    return {"average": float, "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    state.seen += 1
    state.average = average = smoothed(state.average, candle.close, state.seen, window)
    return average if state.seen >= window else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW,),
    outputs=(Output(Unit.PRICE),),
    warmup=lambda window: window - 1,
    inputs=("close",),
    source="TA-Lib EMA",
)
