"""Bollinger bands: the mean of the last ``window`` closes, and bands some standard deviations away from it.

.. math::
    mid = SMA, upper, lower = mid +- deviations * sigma,
    width = (upper - lower) / mid, percent_b = (close - lower) / (upper - lower)

``sigma`` is the population's deviation, summed from distances to the mean: it keeps its digits when closes hardly move
(TA-Lib before 0.8 took a difference of squares and lost them), and it is exactly 0 for equal closes.

Output: mid, upper and lower are prices, width and percent_b are ratios (percent_b of a close on the upper band is 1);
NaN for the first ``window - 1`` candles, and percent_b also while the bands have no width.
Source: TA-Lib ``BBANDS``; width and percent_b from Bollinger 2001.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, Parameter, State, Unit
from tapeline.indicators.window import deviation, mean, push


def state(window: int, deviations: float) -> Fields:
    return {"closes": (float, window), "seen": int}


def update(state: State, candle: Candle, window: int, deviations: float) -> tuple[float, float, float, float, float]:
    push(state.closes, state.seen, candle.close)
    state.seen += 1
    if state.seen < window:
        return nan, nan, nan, nan, nan
    mid = mean(state.closes)
    reach = deviations * deviation(state.closes, 0)
    percent_b = (candle.close - (mid - reach)) / (2.0 * reach) if reach > 0.0 else nan
    return mid, mid + reach, mid - reach, 2.0 * reach / mid, percent_b


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW, Parameter("deviations", 0.01, 100, "standard deviations", integer=False)),
    outputs=(
        Output(Unit.PRICE, "mid"),
        Output(Unit.PRICE, "upper"),
        Output(Unit.PRICE, "lower"),
        Output(Unit.RATIO, "width"),
        Output(Unit.RATIO, "percent_b"),
    ),
    warmup=lambda window, deviations: window - 1,
    inputs=("close",),
    source="TA-Lib BBANDS; Bollinger 2001",
)
