"""Average directional index: how one-sided the recent movement is, whichever way; +DI and -DI say which way.

.. math::
    DI+ = 100 * DM+ / TR, DI- = 100 * DM- / TR, DX = 100 * |DI+ - DI-| / (DI+ + DI-),
    ADX_t = (ADX_{t-1} (window - 1) + DX_t) / window

``DM+`` is the part of a candle above the previous high, ``DM-`` the part below the previous low; the larger counts
alone. ``DM`` and ``TR`` are Wilder sums: the sum of the first ``window - 1``, then ``S - S / window + new``. ADX begins
as the mean of the first ``window`` DX. Without any movement DI is 0 and ADX stays, as in TA-Lib.

Output: 0 to 100; ADX is NaN for the first ``2 * window - 1`` candles, +DI and -DI for the first ``window``.
Source: Wilder 1978, TA-Lib ``ADX``, ``PLUS_DI``, ``MINUS_DI``.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, State, Unit
from tapeline.indicators.window import true_range


def state(window: int) -> Fields:
    last = dict.fromkeys(("high", "low", "close"), float)
    return {**last, "up": float, "down": float, "moved": float, "adx": float, "seen": int}


def update(state: State, candle: Candle, window: int) -> tuple[float, float, float]:
    rise, fall = candle.high - state.high, state.low - candle.low
    up = rise if rise > fall and rise > 0.0 else 0.0
    down = fall if fall > rise and fall > 0.0 else 0.0
    moved = true_range(candle.high, candle.low, state.close)
    state.high, state.low, state.close = candle.high, candle.low, candle.close
    state.seen += 1
    if state.seen == 1:
        return nan, nan, nan
    kept = 1.0 if state.seen <= window else (window - 1.0) / window
    state.up = state.up * kept + up
    state.down = state.down * kept + down
    state.moved = state.moved * kept + moved
    if state.seen <= window:
        return nan, nan, nan
    plus = 100.0 * state.up / state.moved if state.moved > 0.0 else 0.0
    minus = 100.0 * state.down / state.moved if state.moved > 0.0 else 0.0
    if plus + minus > 0.0:
        one_sided = 100.0 * abs(plus - minus) / (plus + minus)
        if state.seen <= 2 * window:
            state.adx += one_sided / window
        else:
            state.adx = (state.adx * (window - 1) + one_sided) / window
    return (state.adx if state.seen >= 2 * window else nan), plus, minus


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW,),
    outputs=(Output(Unit.RATIO), Output(Unit.RATIO, "plus_di"), Output(Unit.RATIO, "minus_di")),
    warmup=lambda window: (2 * window - 1, window, window),
    inputs=("high", "low", "close"),
    source="Wilder 1978; TA-Lib ADX, PLUS_DI, MINUS_DI",
)
