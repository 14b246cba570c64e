"""On-balance volume: the running total of volume, added when the close rises and taken off when it falls.

.. math:: OBV_t = OBV_{t-1} + sign(close_t - close_{t-1}) * volume_t, OBV_0 = volume_0

Output: base currency, never NaN; only its changes mean anything, for its level depends on where the series begins.
Source: TA-Lib ``OBV``.
"""

from __future__ import annotations

from tapeline.indicators.base import Candle, Fields, Indicator, Output, State, Unit


def state() -> Fields:
    return {"last": float, "balance": float, "seen": int}


def update(state: State, candle: Candle) -> float:
    if state.seen == 0 or candle.close > state.last:
        state.balance += candle.volume
    elif candle.close < state.last:
        state.balance -= candle.volume
    state.last = candle.close
    state.seen += 1
    balance: float = state.balance
    return balance


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(),
    outputs=(Output(Unit.CUMULATIVE),),
    warmup=lambda: 0,
    inputs=("close", "volume"),
    source="TA-Lib OBV",
)
