"""Price momentum: the return of the last ``window`` candles; for one candle, from its open to its close.

.. math::
    PM_t(1) = (close_t - open_t) / open_t, PM_t(window) = (close_t - close_{t-window}) / close_{t-window}

Output: ratio; NaN for the first ``window`` candles, never for a window of 1.
Source: the features `price_momentum_1m` and `price_momentum_5m` of the reference system SignalStack.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, Parameter, State, Unit
from tapeline.indicators.window import push


def state(window: int) -> Fields:
    return {"closes": (float, window), "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    close: float = candle.close
    opened: float = candle.open
    before = push(state.closes, state.seen, close)
    state.seen += 1
    if window == 1:
        return (close - opened) / opened
    return (close - before) / before if state.seen > window else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(Parameter("window", 1, 10_000),),
    outputs=(Output(Unit.RATIO),),
    warmup=lambda window: 0 if window == 1 else window,
    inputs=("open", "close"),
    source="SignalStack price_momentum",
)
