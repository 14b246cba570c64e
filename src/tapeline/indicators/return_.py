"""Return: by what share the close changed over the last ``window`` candles.

.. math:: RETURN_t = (close_t - close_{t-window}) / close_{t-window}

Output: ratio, NaN for the first ``window`` candles. Source: TA-Lib ``ROCP``.
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
    return (close - before) / before if state.seen > window else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(Parameter("window", 1, 10_000),),
    outputs=(Output(Unit.RATIO),),
    warmup=lambda window: window,
    inputs=("close",),
    source="TA-Lib ROCP",
)
