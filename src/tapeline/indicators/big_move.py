"""Big move: whether the close stands more than ``threshold`` percent away from the open, either way.

.. math:: 1 if |close_t / open_t - 1| > threshold / 100, else 0

Output: 1 or 0, never NaN. Source: the alert "more than 2 % in one minute" of the reference systems' notes.
"""

from __future__ import annotations

from tapeline.indicators.base import Candle, Fields, Indicator, Output, Parameter, State, Unit


def state(threshold: float) -> Fields:
    return {}


def update(state: State, candle: Candle, threshold: float) -> float:
    return 1.0 if abs(candle.close - candle.open) * 100.0 > threshold * candle.open else 0.0


INDICATOR = Indicator(
    update=update,
    state=state,
    parameters=(Parameter("threshold", 0, 1000, "percent", integer=False),),
    outputs=(Output(Unit.RATIO),),
    warmup=lambda threshold: 0,
    inputs=("open", "close"),
    source="Price alert of 2 % in one minute",
)
