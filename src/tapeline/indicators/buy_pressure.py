"""Buy pressure: the share of volume that buyers took less the share that sellers took, by aggressor.

.. math:: BP_t = (buy_volume_t - (volume_t - buy_volume_t)) / volume_t

Output: ratio, -1 (only sellers) to 1 (only buyers); NaN for a candle without volume, or with a trade whose side is
unknown. Selling pressure is its negative.
Source: Chordia, Roll and Subrahmanyam 2002, Order imbalance, liquidity, and market returns.
"""

from __future__ import annotations

from math import nan

from tapeline.indicators.base import Candle, Fields, Indicator, Output, State, Unit


def state() -> Fields:
    return {}


def update(state: State, candle: Candle) -> float:
    return 2.0 * candle.buy_volume / candle.volume - 1.0 if candle.volume > 0.0 else nan


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(),
    outputs=(Output(Unit.RATIO),),
    warmup=lambda: 0,
    inputs=("buy_volume", "volume"),
    source="Chordia, Roll and Subrahmanyam 2002, order imbalance",
)
