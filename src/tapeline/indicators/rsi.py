"""Relative strength index: the share of gains in the recent movement, with Wilder's smoothing.

.. math:: RSI = 100 * gain / (gain + loss)

``gain`` and ``loss`` begin as the means of the first ``window`` upward and downward moves, and then move by
``1/window`` towards each new one. Without any movement RSI is 0, as in TA-Lib.

Output: 0 to 100, NaN for the first ``window`` candles. Source: Wilder 1978, TA-Lib ``RSI``.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, State, Unit


def state(window: int) -> Fields:
    return {"last": float, "gain": float, "loss": float, "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    change = candle.close - state.last
    state.last = candle.close
    state.seen += 1
    if state.seen == 1:
        return nan
    weight = window if state.seen > window + 1 else min(state.seen - 1, window)
    state.gain += (max(change, 0.0) - state.gain) / weight
    state.loss += (max(-change, 0.0) - state.loss) / weight
    if state.seen <= window:
        return nan
    moved = state.gain + state.loss
    return 100.0 * state.gain / moved if moved > 0.0 else 0.0


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW,),
    outputs=(Output(Unit.RATIO),),
    warmup=lambda window: window,
    inputs=("close",),
    source="Wilder 1978; TA-Lib RSI",
)
