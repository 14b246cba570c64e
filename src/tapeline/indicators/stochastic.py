"""Stochastic oscillator: where the close stands between the lowest low and the highest high of recent candles.

.. math::
    raw = 100 * (close - lowest) / (highest - lowest),
    k = mean_{smooth}(raw), d = mean_{d_window}(k)

``lowest`` and ``highest`` are over the last ``k_window`` candles. Where both are one price, raw is 0, as in TA-Lib.

Output: k and d, 0 to 100, both NaN for the first ``k_window + smooth + d_window - 3`` candles.
Source: Lane 1984, TA-Lib ``STOCH`` with plain means.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, Parameter, State, Unit
from tapeline.indicators.window import highest, lowest, mean, push


def state(k_window: int, smooth: int, d_window: int) -> Fields:
    return {
        "highs": (float, k_window),
        "lows": (float, k_window),
        "raws": (float, smooth),
        "ks": (float, d_window),
        "seen": int,
    }


def update(state: State, candle: Candle, k_window: int, smooth: int, d_window: int) -> tuple[float, float]:
    push(state.highs, state.seen, candle.high)
    push(state.lows, state.seen, candle.low)
    state.seen += 1
    raws = state.seen - k_window + 1
    if raws < 1:
        return nan, nan
    top, bottom = highest(state.highs), lowest(state.lows)
    push(state.raws, raws - 1, 100.0 * (candle.close - bottom) / (top - bottom) if top > bottom else 0.0)
    ks = raws - smooth + 1
    if ks < 1:
        return nan, nan
    k = mean(state.raws)
    push(state.ks, ks - 1, k)
    return (k, mean(state.ks)) if ks >= d_window else (nan, nan)


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(Parameter("k_window", 1, 10_000), Parameter("smooth", 1, 10_000), Parameter("d_window", 1, 10_000)),
    outputs=(Output(Unit.RATIO, "k"), Output(Unit.RATIO, "d")),
    warmup=lambda k_window, smooth, d_window: k_window + smooth + d_window - 3,
    inputs=("high", "low", "close"),
    source="Lane 1984; TA-Lib STOCH",
)
