"""A seeded market: trades with the habits of real ones, in which past trades tell exactly as much as is asked.

What is as in real markets: volatility that clusters and has an hour, jumps, orders that come in bursts, orders that
sweep several trades at one instant, quiet seconds and quiet minutes, heavy-tailed sizes, buyers and sellers in turns
that last and that follow the price.

What is not: the log price moves by shocks that are symmetric whatever happened before. So with ``edge=0`` and
``spread=0``, the default, the last price is the best forecast and both directions are equally likely. A ``spread``
adds the bounce between bid and ask, which makes returns between *trades* predictable although the middle is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import numpy as np

from tapeline.clock import DAY, MINUTE, format_duration
from tapeline.errors import UsageError
from tapeline.simulator import _process
from tapeline.types import Frame, Records, check_instrument

JANUARY_2024 = 1_704_067_200_000_000_000


class Market:
    """Make the trades of one instrument: the same seed makes the same trades, however they are cut into frames.

    Args:
        seed: picks the path, >= 0.
        instrument: the name the frames carry.
        start: the instant before the first trade, ns UTC.
        price: where it starts, in the quote currency.
        tick: the grid of prices.
        lot: the grid of sizes, in the base currency.
        trades_per_second: the mean over a day.
        steady: whether the pace is the same at every hour, without lulls: for loads, not for realism.
        volatility: standard deviation of the log return over a day.
        size: the median size of a trade, in the base currency.
        spread: between bid and ask, in ticks.
        edge: the share (R^2) of the variance of the log return over ``edge_horizon`` that the buy pressure
            (buy_volume / volume) of the last closed minute predicts linearly.
        edge_horizon: whole minutes, ns.
        first_id: the id of the first trade; the others follow without a gap.

    Raises:
        UsageError: an argument is out of its range, or ``edge`` is more than one minute's flow can predict.

    >>> frame = next(Market(1).frames(trades=1000))
    >>> len(frame), frame.trade_id[[0, -1]].tolist(), bool((np.diff(frame.ts_event) >= 0).all())
    (1000, [1, 1000], True)
    """

    def __init__(
        self,
        seed: int,
        *,
        instrument: str = "BTC-USD.SIM",
        start: int = JANUARY_2024,
        price: float = 60_000.0,
        tick: float = 0.1,
        lot: float = 0.00001,
        trades_per_second: float = 5.0,
        steady: bool = False,
        volatility: float = 0.03,
        size: float = 0.01,
        spread: float = 0.0,
        edge: float = 0.0,
        edge_horizon: int = 5 * MINUTE,
        first_id: int = 1,
    ) -> None:
        self.instrument = check_instrument(instrument)
        scales = {"price": price, "tick": tick, "lot": lot, "size": size, "volatility": volatility}
        for name, value in (scales | {"trades_per_second": trades_per_second}).items():
            _require(math.isfinite(value) and value > 0, name, "a finite number > 0", value)
        for name, whole in {"seed": seed, "start": start, "first_id": first_id}.items():
            _require(whole >= 0, name, "a whole number >= 0", whole)
        _require(math.isfinite(spread) and spread >= 0, "spread", "a number of ticks >= 0", spread)
        self._law = _law(trades_per_second, steady, volatility, edge, edge_horizon)
        self._grid = _process.Grid(_per_unit(tick), _per_unit(lot), size / lot, spread / 2)
        self._begin = _begin(self._law, seed, start, price, first_id)

    def frames(self, *, trades: int | None = None, duration: int | None = None, rows: int = 1 << 16) -> Iterator[Frame]:
        """Yield the market from its start in frames of ``rows`` trades (the last may be shorter).

        It ends after that many ``trades``, or before start + ``duration`` (ns), whichever comes first; with
        neither it does not end.
        """
        _require(rows > 0, "rows", "> 0", rows)
        state = self._begin.copy()
        end = None if duration is None else int(self._begin["ts_init"][0]) + duration
        for done in count(0, rows):
            size = rows if trades is None else min(rows, trades - done)
            if size <= 0:
                return
            frame = self._next(state, size)
            keep = size if end is None else int(np.searchsorted(frame.ts_event, end))
            if keep:
                yield frame.take(slice(keep)) if keep < size else frame
            if keep < size:
                return

    def _next(self, state: Records, size: int) -> Frame:
        out = _process.Columns.empty(size)
        _process.trade(state, self._law, self._grid, out)
        return Frame(self.instrument, *out, np.ones(size, np.int32))


def _require(holds: bool, name: str, rule: str, was: object) -> None:
    if not holds:
        raise UsageError("simulator market", f"{name} is out of range", expected=rule, was=was)


def _per_unit(step: float) -> float:
    """Return 1 / step, whole where it nearly is, so that numbers on a decimal grid have no more digits than it."""
    whole = round(1 / step)
    return float(whole) if abs(whole * step - 1) < 1e-9 else 1 / step


def _law(rate: float, steady: bool, volatility: float, edge: float, horizon: int) -> _process.Law:
    """Work out the kernel's constants from what the user asked for."""
    minutes = horizon // MINUTE
    _require(minutes >= 1 and horizon % MINUTE == 0, "edge_horizon", "whole minutes", format_duration(horizon))
    keep = _process.PERSISTENCE ** np.arange(minutes)
    signal_sum = float(keep.sum())
    drift_variance = float(minutes + 2 * ((minutes - np.arange(1, minutes)) * keep[1:]).sum())
    most = math.floor(100 * signal_sum**2 / drift_variance) / 100
    _require(0 <= edge < most, "edge", f"a share from 0 to below {most} over {format_duration(horizon)}", edge)
    silent = 0.0 if steady else _process.LULLS_PER_SECOND * _process.LULL_SECONDS
    orders = rate * (1 - _process.SWEEP) / (1 - silent)
    per_minute = volatility**2 * MINUTE / DAY
    return _process.Law(
        base_rate=orders * (1 - _process.BRANCHING),
        steady=steady,
        minute_variance=per_minute / (1 + _process.JUMPS_PER_MINUTE * _process.JUMP_SIZE**2),
        edge=edge,
        horizon_variance=per_minute * minutes,
        signal_sum=signal_sum,
        drift_variance=drift_variance,
        drift_noise=float(sum(keep[: minutes - lag].sum() for lag in range(1, minutes))),
    )


def _begin(law: _process.Law, seed: int, start: int, price: float, first_id: int) -> Records:
    """Return the state before the first trade; the pressure's moments begin as if 500 minutes had told them."""
    state = np.zeros(1, _process.STATE)
    state["random"] = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    state["minute"] = start - start % MINUTE
    state["offset"] = start % MINUTE / 1e9
    state["log_price"] = math.log(price)
    state["price"] = price
    state["buy_share"] = 0.5
    orders = 60 * law.base_rate / (1 - _process.BRANCHING)
    sampling = min(1.0, math.exp(_process.SIZE_SD**2) / orders) / 4
    shocks = (_process.SHOCK**2 + _process.CHASE**2) / 3
    state["pressure_variance"] = (sampling + shocks) / (1 - _process.PERSISTENCE**2)
    state["pressure_noise"] = 0.4 * _process.CHASE * math.sqrt(law.minute_variance)
    state["minutes"] = 500
    state["trade_id"] = first_id
    state["ts_init"] = start
    _process.open_minute(state[0], law)
    return state
