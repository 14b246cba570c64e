"""Outcomes of the targets beside the return, and those as which descriptions are read; widths suit most markets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapeline import labels
from tapeline.types import Bool, Float, Int, Records, Timeframe

BAND = 0.43
"""Half the dead band of ``direction3`` in volatilities of the horizon: each class holds a third of normal returns."""
BARRIER = 1.0
"""The distance of the barriers in volatilities of the horizon."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Outcomes of one target (n), NaN where unknown, and when each is known, ns UTC (n)."""

    values: Float
    known_at: Int

    def take(self, rows: Int | Bool) -> Labels:
        """Return those of some rows."""
        return Labels(self.values[rows], self.known_at[rows])


def outcomes(candles: Records, grid: Timeframe, horizon: int, returns: Float) -> dict[str, Labels]:
    """Return the outcomes that are not made of the return alone, by target, or by what a description is read as.

    Args:
        candles: n records of `CANDLE` in order of time.
        grid: their timeframe.
        horizon: ns.
        returns: the log return over the horizon (n).
    """
    known_at = candles["close_time"] + horizon
    volatility, _ = labels.volatility(candles, grid, horizon)
    spread = labels.recent_volatility(candles, grid) * np.sqrt(labels.horizon_rows(grid, horizon))
    return {
        "direction3": Labels(labels.direction3(returns, BAND * spread), known_at),
        "barrier": Labels(*labels.barrier(candles, grid, horizon, BARRIER * spread)),
        "volatility": Labels(volatility, known_at),
        "variance_ratio": Labels(labels.variance_ratio(returns, volatility), known_at),
    }
