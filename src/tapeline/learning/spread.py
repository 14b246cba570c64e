"""The unit in which the ends of an interval are measured: how far the market moved of late.

Markets are quiet and loud by turns: an interval of one width holds too much in one and too little in the other. So
residuals are told in units of the volatility known when the prediction was made (a normalised conformal interval).

Source: Papadopoulos, Gammerman and Vovk (2008), Normalized nonconformity measures for regression conformal prediction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tapeline.types import Float

FEATURE = "realized_vol(30)"
_COLUMN = "realized_vol_30"
_LEAST = 0.1
"""A silence is no certainty: the unit is at least this share of the usual one."""


def floor_of(inputs: Float, columns: Sequence[str]) -> float:
    """Return the least unit, from rows that were learnt from (n x k); 0 where the column is not among them."""
    if _COLUMN not in columns or not len(inputs):
        return 0.0
    return _LEAST * float(np.median(inputs[:, columns.index(_COLUMN)]))


def units(inputs: Float, columns: Sequence[str], floor: float) -> Float:
    """Return the unit of each row (n x k -> n): 1 where ``floor`` is 0.

    >>> units(np.array([[0.002], [0.0]]), ["realized_vol_30"], 0.001).tolist()
    [0.002, 0.001]
    """
    if not floor:
        return np.ones(len(inputs))
    return np.maximum(inputs[:, columns.index(_COLUMN)], floor)
