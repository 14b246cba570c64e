"""Realised volatility: the standard deviation of the last ``window`` log returns of the close.

.. math:: RV_t = sqrt(sum((r - mean(r))^2) / (window - 1)), r_t = ln(close_t / close_{t-1})

Output: per candle, not annualised; NaN for the first ``window`` candles.
Source: Hull, Options, Futures and Other Derivatives, "Estimating volatility from historical data".
"""

from __future__ import annotations

from math import log, nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, State, Unit
from tapeline.indicators.window import deviation, push


def state(window: int) -> Fields:
    return {"returns": (float, window), "last": float, "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    if state.seen > 0:
        push(state.returns, state.seen - 1, log(candle.close / state.last))
    state.last = candle.close
    state.seen += 1
    return deviation(state.returns, 1) if state.seen > window else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW,),
    outputs=(Output(Unit.RATIO),),
    warmup=lambda window: window,
    inputs=("close",),
    source="Hull, Options, Futures and Other Derivatives: volatility from historical data",
)
