"""Cumulative volume-weighted average price: what a unit cost on average since the series began.

.. math:: VWAP_t = (quote_volume_0 + ... + quote_volume_t) / (volume_0 + ... + volume_t)

Output: price, NaN until there is volume. Source: Berkowitz, Logue and Noser 1988.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, State, Unit


def state() -> Fields:
    return {"amount": float, "volume": float}


def update(state: State, candle: Candle) -> float:
    state.amount += candle.quote_volume
    state.volume += candle.volume
    return state.amount / state.volume if state.volume > 0.0 else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(),
    outputs=(Output(Unit.PRICE),),
    warmup=lambda: 0,
    inputs=("quote_volume", "volume"),
    source="Berkowitz, Logue and Noser 1988, The total cost of transactions on the NYSE",
)
