"""The kernel of the simulated market: state and law in, trades out. Everything random comes from the state."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from tapeline.clock import MINUTE
from tapeline.types import Float, Int, Records

STATE = np.dtype(
    [
        ("random", "u8"),
        ("minute", "i8"),
        ("offset", "f8"),
        ("silence", "f8"),
        ("base_rate", "f8"),
        ("excited_rate", "f8"),
        ("log_price", "f8"),
        ("log_vol", "f8"),
        ("variance", "f8"),
        ("drift", "f8"),
        ("pending_variance", "f8"),
        ("pending_jump", "f8"),
        ("pending_drift", "f8"),
        ("minute_noise", "f8"),
        ("buy_share", "f8"),
        ("volume", "f8"),
        ("buy_volume", "f8"),
        ("pressure_variance", "f8"),
        ("pressure_noise", "f8"),
        ("minutes", "f8"),
        ("trade_id", "i8"),
        ("ts_init", "i8"),
        ("price", "f8"),
        ("buy", "?"),
    ],
    align=True,
)
"""The whole state: ``offset`` and ``silence`` in s, rates and ``variance`` per s, ``minute`` and ``ts_init`` in ns."""

PERSISTENCE = 0.3
"""How much of a minute's buy pressure (less one half) stays in the next minute's."""
SHOCK = 0.2
CHASE = 0.15
DECAY = 2.0
BRANCHING = 0.6
SWEEP = 0.2
SEASON = 0.75
LOG_VOL_SD = 0.5
LOG_VOL_KEEP = 2.0 ** (-1 / 180)
JUMPS_PER_MINUTE = 4 / 1440
JUMP_SIZE = 4.0
LULLS_PER_SECOND = 8 / 86_400
LULL_SECONDS = 150.0
SIZE_SD = 1.5


class Law(NamedTuple):
    """How the market moves: the mean pace, and ``edge`` with the moments that turn it into a drift.

    A ``steady`` one has the same pace at every hour, and no lulls.
    """

    base_rate: float
    steady: bool
    minute_variance: float
    edge: float
    horizon_variance: float
    signal_sum: float
    drift_variance: float
    drift_noise: float


class Grid(NamedTuple):
    """How what happens is written: prices in ticks, sizes in lots."""

    ticks_per_unit: float
    lots_per_unit: float
    size_lots: float
    half_spread: float


class Columns(NamedTuple):
    """Where the trades are written, a row each."""

    trade_id: Int
    ts_event: Int
    ts_init: Int
    price: Float
    qty: Float
    side: NDArray[np.int8]

    @classmethod
    def empty(cls, rows: int) -> Self:
        """Make room for ``rows`` trades."""
        whole = np.empty((3, rows), np.int64)
        real = np.empty((2, rows), np.float64)
        return cls(whole[0], whole[1], whole[2], real[0], real[1], np.empty(rows, np.int8))


@numba.njit(cache=True, inline="always")
def _uniform(s: Any) -> float:
    """Return the next number in (0, 1) of the SplitMix64 sequence (Steele, Lea and Flood 2014)."""
    s.random += np.uint64(0x9E3779B97F4A7C15)
    z = s.random
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (np.float64(z >> np.uint64(12)) + 0.5) * 2.0**-52


@numba.njit(cache=True)
def _normal(s: Any) -> float:
    return math.sqrt(-2.0 * math.log(_uniform(s))) * math.cos(2.0 * math.pi * _uniform(s))


@numba.njit(cache=True)
def _drift(s: Any, law: Law) -> float:
    """Return the log return per minute and unit of pressure at which the pressure predicts the share ``edge``."""
    square = s.pressure_variance * (law.signal_sum**2 - law.edge * law.drift_variance)
    linear = law.edge * law.drift_noise * s.pressure_noise
    return float((linear + math.sqrt(linear**2 + square * law.edge * law.horizon_variance)) / square)


@numba.njit(cache=True)
def _close_minute(s: Any, law: Law) -> None:
    pressure = s.buy_volume / s.volume - 0.5 if s.volume > 0.0 else 0.0
    s.minutes += 1.0
    weight = 1.0 / min(s.minutes, 20_000.0)
    s.pressure_variance += weight * (pressure * pressure - s.pressure_variance)
    s.pressure_noise += weight * (pressure * s.minute_noise - s.pressure_noise)
    s.drift = _drift(s, law) * pressure / 60.0 if law.edge > 0.0 else 0.0
    s.buy_share = 0.5 + PERSISTENCE * pressure + SHOCK * (2.0 * _uniform(s) - 1.0)
    s.volume = 0.0
    s.buy_volume = 0.0
    s.minute_noise = 0.0


@numba.njit(cache=True)
def open_minute(s: Any, law: Law) -> None:
    """Draw what holds for the minute that begins: activity, volatility, and perhaps a jump."""
    hour = (s.minute // MINUTE) % 1440 / 60.0
    season = 1.0 - SEASON * math.cos(2.0 * math.pi * (hour - 3.0) / 24.0)
    s.log_vol = LOG_VOL_KEEP * s.log_vol + math.sqrt(1.0 - LOG_VOL_KEEP**2) * LOG_VOL_SD * _normal(s)
    s.variance = law.minute_variance / 60.0 * season * math.exp(2.0 * (s.log_vol - LOG_VOL_SD**2))
    pace = 1.0 if law.steady else season * math.exp(s.log_vol - 0.5 * LOG_VOL_SD**2)
    s.base_rate = law.base_rate * pace
    if _uniform(s) < JUMPS_PER_MINUTE:
        s.pending_jump += JUMP_SIZE * math.sqrt(60.0 * s.variance) * _normal(s)


@numba.njit(cache=True)
def _wait(s: Any) -> float:
    """Draw the time to the next order of a self-exciting process (Dassios and Zhao 2013), s."""
    wait = float(-math.log(_uniform(s)) / s.base_rate)
    if s.excited_rate > 0.0:
        survival = 1.0 + DECAY * math.log(_uniform(s)) / s.excited_rate
        if survival > 0.0:
            return min(wait, -math.log(survival) / DECAY)
    return wait


@numba.njit(cache=True, inline="always")
def _pass(s: Any, seconds: float) -> None:
    s.offset += seconds
    s.pending_variance += s.variance * seconds
    s.pending_drift += s.drift * seconds
    s.excited_rate *= math.exp(-DECAY * seconds)


@numba.njit(cache=True)
def _next_order(s: Any, law: Law) -> None:
    """Move on to the next order, across lulls and minutes."""
    while True:
        silent = s.silence > 0.0
        wait = s.silence if silent else _wait(s)
        if s.offset + wait < 60.0:
            break
        rest = 60.0 - s.offset
        if silent:
            s.silence -= rest
        _pass(s, rest)
        _close_minute(s, law)
        s.minute += MINUTE
        s.offset = 0.0
        open_minute(s, law)
    _pass(s, wait)
    s.silence = 0.0
    if not silent and not law.steady and _uniform(s) < LULLS_PER_SECOND * wait:
        s.silence = -LULL_SECONDS * math.log(_uniform(s))
    s.excited_rate += BRANCHING * DECAY


@numba.njit(cache=True, inline="always")
def _move_price(s: Any, law: Law, normal: float) -> None:
    """Move the log price by a shock that the past tells nothing about; the flow of buyers follows the price."""
    shock = math.sqrt(s.pending_variance) * normal + s.pending_jump
    s.log_price += shock + s.pending_drift
    s.minute_noise += shock
    s.pending_variance = 0.0
    s.pending_jump = 0.0
    s.pending_drift = 0.0
    chase = s.minute_noise / math.sqrt(law.minute_variance)
    s.buy = _uniform(s) < s.buy_share + CHASE * max(-1.0, min(1.0, chase))
    s.price = math.exp(s.log_price)


@numba.njit(cache=True)
def trade(states: Records, law: Law, grid: Grid, out: Columns) -> None:
    """Fill ``out`` with the next trades."""
    s = states[0]
    for row in range(len(out.price)):
        radius = math.sqrt(-2.0 * math.log(_uniform(s)))
        angle = 2.0 * math.pi * _uniform(s)
        if _uniform(s) >= SWEEP:
            _next_order(s, law)
            _move_price(s, law, radius * math.cos(angle))
        ts_event = s.minute + np.int64(s.offset * 1e6) * 1000
        side = 1 if s.buy else -1
        ticks = max(1.0, np.rint(s.price * grid.ticks_per_unit + side * grid.half_spread))
        lots = max(1.0, np.rint(grid.size_lots * math.exp(SIZE_SD * radius * math.sin(angle))))
        qty = lots / grid.lots_per_unit
        s.volume += qty
        s.buy_volume += qty if s.buy else 0.0
        delay = 2_000 + np.int64(9_000.0 * _uniform(s) ** 2)
        s.ts_init = max(s.ts_init, ts_event + delay * 1000)
        out.trade_id[row] = s.trade_id
        out.ts_event[row] = ts_event
        out.ts_init[row] = s.ts_init
        out.price[row] = ticks / grid.ticks_per_unit
        out.qty[row] = qty
        out.side[row] = side
        s.trade_id += 1
