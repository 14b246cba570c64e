"""Rolling volume-weighted average price: what a unit cost on average in the last ``window`` candles.

.. math:: VWAP_t = (quote_volume_t + ... + quote_volume_{t-window+1}) / (volume_t + ... + volume_{t-window+1})

It is taken from the trades themselves (``quote_volume`` is their price times quantity), not from a typical price.

Output: price, NaN for the first ``window - 1`` candles, and while the window holds no volume.
Source: Berkowitz, Logue and Noser 1988.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, Parameter, State, Unit
from tapeline.indicators.window import push, total


def state(window: int) -> Fields:
    return {"amounts": (float, window), "volumes": (float, window), "seen": int}


def update(state: State, candle: Candle, window: int) -> float:
    push(state.amounts, state.seen, candle.quote_volume)
    push(state.volumes, state.seen, candle.volume)
    state.seen += 1
    if state.seen < window:
        return nan
    volume = total(state.volumes)
    return total(state.amounts) / volume if volume > 0.0 else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(Parameter("window", 1, 10_000),),
    outputs=(Output(Unit.PRICE),),
    warmup=lambda window: window - 1,
    inputs=("quote_volume", "volume"),
    source="Berkowitz, Logue and Noser 1988, The total cost of transactions on the NYSE",
)
