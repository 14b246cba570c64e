"""Labels: what became of an instrument a horizon later, in time and never by counting rows.

A label of the row at ``as_of`` is known at ``as_of + horizon``, not before (that of `barrier` perhaps earlier): the
instant travels with it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view

from tapeline.clock import format_duration
from tapeline.errors import InputError, UsageError
from tapeline.indicators.return_ import INDICATOR as PAST_RETURN
from tapeline.types import Float, Int, Records, Timeframe

_MOST_ROWS = int(PAST_RETURN.parameters[0].maximum)
"""A horizon spans no more rows than the window of the past return, a model's input, may have."""


def log_return(now: float, before: float) -> float:
    """Return ln(now / before), NaN unless both prices are finite and positive.

    One scalar formula serves the live row and the whole history, so both get the same bits.

    >>> round(log_return(101.0, 100.0), 6), log_return(1.0, 0.0)
    (0.00995, nan)
    """
    if not (0 < now < math.inf and 0 < before < math.inf):
        return math.nan
    return math.log(now / before)


def horizon_rows(timeframe: Timeframe, horizon: int) -> int:
    """Return how many steps of the timeframe a horizon in ns spans.

    Raises:
        UsageError: the horizon is not a positive multiple of the step, or longer than 10,000 of them.

    >>> horizon_rows(Timeframe.parse("1m"), 300_000_000_000)
    5
    """
    if horizon <= 0 or horizon % timeframe.step:
        step = format_duration(timeframe.step)
        raise UsageError(
            f"horizon on timeframe {timeframe}",
            "is not on the grid",
            expected=f"a positive multiple of {step}",
            was=format_duration(horizon) if horizon > 0 else f"{horizon} ns",
            next_step=f"try {format_duration(5 * timeframe.step)}",
        )
    if horizon > _MOST_ROWS * timeframe.step:
        raise UsageError(
            f"horizon on timeframe {timeframe}",
            "is too long",
            expected=f"at most {_MOST_ROWS:,} candles ({format_duration(_MOST_ROWS * timeframe.step)})",
            was=format_duration(horizon),
            next_step="ask on a longer timeframe",
        )
    return horizon // timeframe.step


def forward_return(candles: Records, timeframe: Timeframe, horizon: int) -> tuple[Float, Int]:
    """Label each candle with the log return of the close over the horizon after it.

    ``ln(close(as_of + horizon) / close(as_of))`` where the later candle is the one whose ``close_time`` is exactly
    ``as_of + horizon``.

    Args:
        candles: n records of `CANDLE`, ``close_time`` strictly rising.
        timeframe: the grid of the candles.
        horizon: ns, a positive multiple of the grid's step.

    Returns:
        The labels (n), NaN where no such candle exists, where either is incomplete or where the grid restarts in
        between; and ``known_at`` (n), ns UTC.

    Raises:
        UsageError: the horizon is not on the grid.
        InputError: the candles are not in order.
    """
    horizon_rows(timeframe, horizon)
    later = _matching(candles, horizon)
    labels = np.full(len(candles), np.nan)
    rows = np.flatnonzero(later >= 0)
    close = candles["close"].tolist()
    labels[rows] = [log_return(close[end], close[start]) for start, end in zip(rows.tolist(), later[rows], strict=True)]
    return labels, candles["close_time"] + horizon


def past_return(candles: Records, timeframe: Timeframe, horizon: int) -> Float:
    """Return each candle's log return over the horizon that ends with it; NaN as in `forward_return`.

    It is the input of the momentum and mean reversion baselines.
    """
    horizon_rows(timeframe, horizon)
    later = _matching(candles, horizon)
    values = np.full(len(candles), np.nan)
    rows = np.flatnonzero(later >= 0)
    close = candles["close"].tolist()
    ends = later[rows]
    values[ends] = [log_return(close[end], close[start]) for start, end in zip(rows.tolist(), ends, strict=True)]
    return values


def direction(returns: Float) -> Float:
    """Turn returns into two classes: 1 above 0, 0 below, NaN where the price did not move or the return is NaN.

    So P(1) is the probability of a rise given that the price moves. Were a price that stays counted as no rise, a model
    that only tells quiet minutes from busy ones would seem to know the direction.

    >>> direction(np.array([0.1, 0.0, -0.1, np.nan])).tolist()
    [1.0, nan, 0.0, nan]
    """
    return np.where(np.isnan(returns) | (returns == 0), np.nan, (returns > 0).astype(np.float64))


def recent_volatility(candles: Records, timeframe: Timeframe, window: int = 60) -> Float:
    """Return each candle's volatility per step, known at its close: the root mean square of the last log returns.

    ``sqrt(mean(r_1^2 ... r_window^2))`` of the returns over one step; NaN where one of them is unknown. Over a horizon
    of h steps it is ``sqrt(h)`` times that.
    """
    squares = past_return(candles, timeframe, timeframe.step) ** 2
    values = np.full(len(candles), np.nan)
    if len(candles) >= window:
        values[window - 1 :] = np.sqrt(sliding_window_view(squares, window).mean(axis=1))
    return values


def volatility(candles: Records, timeframe: Timeframe, horizon: int) -> tuple[Float, Int]:
    """Label each candle with the realised volatility over the horizon after it.

    ``sqrt(r_1^2 + ... + r_h^2)`` of the h log returns over one step; see `forward_return` for what is given, returned
    and refused. NaN where one of these returns is unknown.
    """
    steps = horizon_rows(timeframe, horizon)
    squares = past_return(candles, timeframe, timeframe.step) ** 2
    labels = np.full(len(candles), np.nan)
    if len(candles) > steps:
        labels[:-steps] = np.sqrt(sliding_window_view(squares[1:], steps).sum(axis=1))
    labels[_matching(candles, horizon) < 0] = np.nan
    return labels, candles["close_time"] + horizon


def variance_ratio(returns: Float, volatility: Float) -> Float:
    """Return by how much the price went further over the horizon than a walk of the same steps would have (n).

    ``(r_1 + ... + r_h)^2 / (r_1^2 + ... + r_h^2)``, in [0, h]: 1 in the mean where the signs of the steps are
    independent, whatever their sizes and however many are 0; above it the market trends, below it it ranges.

    Args:
        returns: log returns over the horizon (n).
        volatility: roots of the summed squares of their steps (n).

    Returns:
        NaN where either is unknown, or the price did not move.

    Source: Lo and MacKinlay (1988), Stock market prices do not follow random walks, for one horizon.

    >>> variance_ratio(np.array([0.02, 0.0, 0.0]), np.array([0.02**0.5 / 10, 0.01, 0.0])).round(3).tolist()
    [2.0, 0.0, nan]
    """
    moved = volatility > 0
    return np.where(moved, (returns / np.where(moved, volatility, 1.0)) ** 2, np.nan)


def direction3(returns: Float, band: Float | float = 0.001) -> Float:
    """Turn returns into three classes: 0 below the dead band, 1 inside it, 2 above; NaN where either is unknown.

    Args:
        returns: log returns over the horizon (n).
        band: half the width of the dead band, as a log return: one for all or one per row, then known at ``as_of``,
            such as a multiple of `recent_volatility`.

    >>> direction3(np.array([-0.002, 0.0005, 0.002, np.nan])).tolist()
    [0.0, 1.0, 2.0, nan]
    """
    unknown = np.isnan(returns) | np.isnan(band)
    return np.where(unknown, np.nan, 1.0 + (returns > band) - (returns < -np.asarray(band)))


def barrier(candles: Records, timeframe: Timeframe, horizon: int, width: Float) -> tuple[Float, Int]:
    """Label each candle with the barrier that the price meets first (triple barrier).

    The barriers are ``close * exp(-width)``, ``close * exp(+width)`` and the end of the horizon. Met by the low or the
    high of a later candle.

    Args:
        candles: n records of `CANDLE`, ``close_time`` strictly rising.
        timeframe: the grid of the candles.
        horizon: ns, a positive multiple of the grid's step.
        width: distance of the barriers as a log return (n), known at ``as_of``; NaN gives no label.

    Returns:
        The labels (n): 0 lower, 1 neither, 2 upper; NaN where a candle on the way is missing or incomplete, and where
        one candle meets both, as nobody can tell which came first. And ``known_at`` (n), ns UTC: the close of the
        candle that met it, at the latest ``as_of + horizon``.

    Source: Lopez de Prado (2018), Advances in financial machine learning, section 3.4.
    """
    steps = horizon_rows(timeframe, horizon)
    _matching(candles, horizon)
    labels, waited = _first_met(np.ascontiguousarray(candles), width, steps, timeframe.step)
    return labels, candles["close_time"] + np.where(waited > 0, waited * timeframe.step, horizon)


@njit(cache=True, nogil=True)
def _first_met(candles: Any, width: Any, steps: int, step: int) -> Any:
    """Return the label of each row, and after how many steps it was known (0 where it is not)."""
    labels = np.full(len(candles), np.nan)
    waited = np.zeros(len(candles), np.int64)
    for row in range(len(candles)):
        lower, upper = candles[row].close * np.exp(-width[row]), candles[row].close * np.exp(width[row])
        if not (candles[row].complete and lower > 0.0 and upper < np.inf):
            continue
        for later in range(row + 1, min(row + steps + 1, len(candles))):
            candle = candles[later]
            aside = candle.close_time - candles[row].close_time != (later - row) * step
            if aside or candle.restart or not candle.complete:
                break
            low, high = candle.low <= lower, candle.high >= upper
            if low and high:
                break
            if low or high or later - row == steps:
                labels[row] = 2.0 if high else 0.0 if low else 1.0
                waited[row] = later - row
                break
    return labels, waited


def _matching(candles: Records, horizon: int) -> Int:
    """Return for each candle the row of the one a horizon later, -1 where there is none to trust."""
    close_time = candles["close_time"]
    n = len(close_time)
    if n == 0:
        return np.empty(0, np.int64)
    if np.any(np.diff(close_time) <= 0):
        row = int(np.flatnonzero(np.diff(close_time) <= 0)[0]) + 1
        raise InputError(f"candles row {row}", "are out of order", expected="close_time rising", was=close_time[row])
    later = np.searchsorted(close_time, close_time + horizon)
    found = np.minimum(later, n - 1)
    restarts = np.cumsum(candles["restart"])
    good = (close_time[found] == close_time + horizon) & (restarts[found] == restarts)
    good &= candles["complete"] & candles["complete"][found]
    return np.where(good, found, -1).astype(np.int64)
