"""Average true range: how far prices move within a candle, the jump from the previous close included.

.. math::
    TR_t = max(high_t, close_{t-1}) - min(low_t, close_{t-1}),
    ATR_t = (ATR_{t-1} (window - 1) + TR_t) / window

The first candle has no true range; ATR begins as the mean of the first ``window`` of them.

Output: price difference, NaN for the first ``window`` candles. Source: Wilder 1978, TA-Lib ``ATR``.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, State, Unit
from tapeline.indicators.window import true_range


def state(window: int) -> Fields:
    return {"last": float, "average": float, "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    moved = true_range(candle.high, candle.low, state.last)
    state.last = candle.close
    state.seen += 1
    if state.seen <= window:
        state.average += moved if state.seen > 1 else 0.0
        return nan
    kept: float = state.average if state.seen == window + 1 else state.average * (window - 1)
    state.average = average = (kept + moved) / window
    return average


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW,),
    outputs=(Output(Unit.PRICE_CHANGE),),
    warmup=lambda window: window,
    inputs=("high", "low", "close"),
    source="Wilder 1978; TA-Lib ATR",
)
