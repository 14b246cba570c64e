"""Weighted moving average: the newest close weighs ``window``, the one before it ``window - 1``, the oldest 1.

.. math:: WMA_t = (window * close_t + ... + 1 * close_{t-window+1}) / (window * (window + 1) / 2)

Output: price, NaN for the first ``window - 1`` candles. Source: TA-Lib ``WMA``.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, State, Unit
from tapeline.indicators.window import back, push


def state(window: int) -> Fields:
    return {"closes": (float, window), "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    push(state.closes, state.seen, candle.close)
    state.seen += 1
    if state.seen < window:
        return nan
    weighed = 0.0
    for steps in range(window):
        weighed += (window - steps) * back(state.closes, state.seen, steps)
    return weighed / (window * (window + 1) / 2)


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW,),
    outputs=(Output(Unit.PRICE),),
    warmup=lambda window: window - 1,
    inputs=("close",),
    source="TA-Lib WMA",
)
