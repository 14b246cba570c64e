"""Moving average convergence divergence: how far a fast EMA of the closes stands above a slow one.

.. math::
    line = EMA(close, fast) - EMA(close, slow), signal = EMA(line, signal), histogram = line - signal

Both averages begin at the same candle, number ``slow``, as plain means of their last ``fast`` and ``slow`` closes; the
signal begins as the mean of the first ``signal`` lines. A ``fast`` above ``slow`` changes places with it.

Output: three differences of prices, all NaN for the first ``slow + signal - 2`` candles. Source: TA-Lib ``MACD``.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, Parameter, State, Unit
from tapeline.indicators.window import smoothed


def state(fast: int, slow: int, signal: int) -> Fields:
    return {"fast": float, "slow": float, "signal": float, "seen": int}


def update(state: State, candle: Candle, fast: int, slow: int, signal: int) -> tuple[float, float, float]:
    short, long = min(fast, slow), max(fast, slow)
    state.seen += 1
    state.slow = smoothed(state.slow, candle.close, state.seen, long)
    if state.seen > long - short:
        state.fast = smoothed(state.fast, candle.close, state.seen - (long - short), short)
    if state.seen < long:
        return nan, nan, nan
    line = state.fast - state.slow
    lines = state.seen - long + 1
    state.signal = smoothed(state.signal, line, lines, signal)
    if lines < signal:
        return nan, nan, nan
    return line, state.signal, line - state.signal


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(Parameter("fast", 2, 10_000), Parameter("slow", 2, 10_000), Parameter("signal", 1, 10_000)),
    outputs=(
        Output(Unit.PRICE_CHANGE),
        Output(Unit.PRICE_CHANGE, "signal"),
        Output(Unit.PRICE_CHANGE, "histogram"),
    ),
    warmup=lambda fast, slow, signal: max(fast, slow) + signal - 2,
    inputs=("close",),
    source="TA-Lib MACD",
)
