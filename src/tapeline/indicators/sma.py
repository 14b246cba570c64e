"""Simple moving average: the mean of the last ``window`` closes.

.. math:: SMA_t = (close_t + ... + close_{t-window+1}) / window

Output: price, NaN for the first ``window - 1`` candles. Source: TA-Lib ``SMA``.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, State, Unit
from tapeline.indicators.window import mean, push


def state(window: int) -> Fields:
    return {"closes": (float, window), "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    push(state.closes, state.seen, candle.close)
    state.seen += 1
    return mean(state.closes) if state.seen >= window else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW,),
    outputs=(Output(Unit.PRICE),),
    warmup=lambda window: window - 1,
    inputs=("close",),
    source="TA-Lib SMA",
)
