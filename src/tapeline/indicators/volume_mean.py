"""Mean volume of the last ``window`` candles.

.. math:: (volume_t + ... + volume_{t-window+1}) / window

Output: base currency per candle, NaN for the first ``window - 1`` candles. Source: TA-Lib ``SMA`` of the volume.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, Parameter, State, Unit
from tapeline.indicators.window import mean, push


def state(window: int) -> Fields:
    return {"volumes": (float, window), "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    push(state.volumes, state.seen, candle.volume)
    state.seen += 1
    return mean(state.volumes) if state.seen >= window else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(Parameter("window", 1, 10_000),),
    outputs=(Output(Unit.QUANTITY),),
    warmup=lambda window: window - 1,
    inputs=("volume",),
    source="TA-Lib SMA of volume",
)
