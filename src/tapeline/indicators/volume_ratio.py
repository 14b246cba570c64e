"""Volume ratio: the volume of this candle over the mean of the last ``window``, this one among them.

.. math:: VR_t = volume_t / mean(volume_t, ..., volume_{t-window+1})

Output: ratio, NaN for the first ``window - 1`` candles, and while the window holds no volume.
Source: the feature `volume_ratio` of the reference system SignalStack (current volume / 20-period average).
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import WINDOW, Candle, Fields, Indicator, Output, State, Unit
from tapeline.indicators.window import mean, push


def state(window: int) -> Fields:
    return {"volumes": (float, window), "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    volume: float = candle.volume
    push(state.volumes, state.seen, volume)
    state.seen += 1
    usual = mean(state.volumes)
    return volume / usual if state.seen >= window and usual > 0.0 else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(WINDOW,),
    outputs=(Output(Unit.RATIO),),
    warmup=lambda window: window - 1,
    inputs=("volume",),
    source="SignalStack volume_ratio",
)
