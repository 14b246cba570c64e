"""Momentum: by how much the close changed over the last ``window`` candles.

.. math:: MOM_t = close_t - close_{t-window}

Output: price difference, NaN for the first ``window`` candles. Source: TA-Lib ``MOM``.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, Parameter, State, Unit
from tapeline.indicators.window import push


def state(window: int) -> Fields:
    return {"closes": (float, window), "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    close: float = candle.close
    before = push(state.closes, state.seen, close)
    state.seen += 1
    return close - before if state.seen > window else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(Parameter("window", 1, 10_000),),
    outputs=(Output(Unit.PRICE_CHANGE),),
    warmup=lambda window: window,
    inputs=("close",),
    source="TA-Lib MOM",
)
