"""Is one forecast better than another? The test of Diebold and Mariano, beside the bootstrap that decides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tapeline.types import Float


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """The statistic, and the two-sided p-value; both NaN where the losses do not differ."""

    statistic: float
    p: float


def long_run_variance(values: Float, lags: int) -> float:
    """Return the variance of the mean times the rows, for dependent rows: Bartlett weights 1 - k / (lags + 1).

    Source: Newey and West (1987), A simple, positive semi-definite covariance matrix.

    >>> import numpy as np
    >>> long_run_variance(np.array([1.0, -1.0, 1.0, -1.0]), 0)
    1.0
    """
    centred = values - values.mean()
    n = len(centred)
    total = float(centred @ centred) / n
    for lag in range(1, min(lags, n - 1) + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag]) / n
    return total


def lags_for(rows: int, overlap: int) -> int:
    """Return how many lags to weigh: at least those that overlapping outcomes bring, else 4 (rows / 100)^(2/9).

    >>> lags_for(100, 5), lags_for(100, 1)
    (8, 4)
    """
    return max(2 * (overlap - 1), math.floor(4 * math.pow(rows / 100, 2 / 9)))


def diebold_mariano(gains: Float, overlap: int) -> DieboldMariano:
    """Test whether the mean gain in loss (one forecast against another, n) is 0.

    The mean over its Newey-West error, with the correction for small samples; p by Student's t with n - 1 degrees.

    Source: Diebold and Mariano (1995), Comparing predictive accuracy; Harvey, Leybourne and Newbold (1997).
    """
    from scipy.stats import t

    n = len(gains)
    variance = long_run_variance(gains, lags_for(n, overlap)) / n
    if not variance > 0:
        return DieboldMariano(math.nan, math.nan)
    kept = (n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n
    statistic = float(gains.mean()) / math.sqrt(variance) * math.sqrt(max(kept, 0.0))
    return DieboldMariano(statistic, float(2 * t.sf(abs(statistic), n - 1)))
