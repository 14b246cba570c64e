"""Z-score: how many standard deviations the close stands above the mean of the last ``window`` closes.

.. math:: z_t = (close_t - mean) / sigma

``sigma`` is the population's deviation, summed from distances to the mean, so that it keeps its digits.

Output: ratio, NaN for the first ``window - 1`` candles, and while all closes in the window are equal.
Source: the standard score, as of TA-Lib ``SMA`` and ``STDDEV``.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, State, Unit
from tapeline.indicators.window import deviation, mean, push


def state(window: int) -> Fields:
    return {"closes": (float, window), "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    close: float = candle.close
    push(state.closes, state.seen, close)
    state.seen += 1
    spread = deviation(state.closes, 0)
    if state.seen < window or spread == 0.0:
        return nan
    return (close - mean(state.closes)) / spread


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW,),
    outputs=(Output(Unit.RATIO),),
    warmup=lambda window: window - 1,
    inputs=("close",),
    source="Standard score of TA-Lib SMA and STDDEV",
)
