"""What is measured, row by row.

The squared error decides for returns. It is least for the expected return, which is what a prediction claims to be.
The absolute error is least for the median: where prices move in ticks and half of the short returns are 0, the median
is 0 whatever is known, and no forecast can ever beat "the price stays". The difference of two squared errors,
2 r (p - q) + q^2 - p^2, has tails no heavier than those of the return r, as the forecasts p and q are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tapeline.types import Float


@dataclass(frozen=True, slots=True)
class Metric:
    """A number per row whose mean is the metric; ``sign`` is -1 where less is better."""

    name: str
    rows: Callable[[Float, Float], Float]
    sign: int = -1


METRICS: Mapping[str, tuple[Metric, ...]] = {
    "return": (
        Metric("mse", lambda labels, said: (labels - said) ** 2),
        Metric("mae", lambda labels, said: np.abs(labels - said)),
    ),
    "direction": (
        Metric("log_loss", lambda labels, said: -np.log(np.where(labels > 0, said, 1 - said))),
        Metric("accuracy", lambda labels, said: ((said > 0.5) == (labels > 0)).astype(np.float64), sign=1),
    ),
}
"""The metrics of each target; the first decides the gate."""
