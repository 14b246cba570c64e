"""Candles: a fold over trades, for any number of timeframes at once, each from the trades themselves.

A candle is half-open [open_time, close_time) on a regular grid and exists only when it is closed: by the first trade
at or after its close time, or by the clock. A period without trades gives a candle with ``trades = 0``, prices of the
previous close and volume 0. Open and close are by (ts_event, trade_id).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from tapeline.clock import DAY
from tapeline.errors import SnapshotMismatch
from tapeline.types import CANDLE, Bool, Float, Frame, Records, Timeframe

MAX_QUIET = 7 * DAY
"""A silence longer than this is not filled with empty candles: the grid begins anew after it."""

GRID_STATE = np.dtype(
    [
        ("size", "i8"),
        ("offset", "i8"),
        ("timeframe", "i8"),
        ("open_time", "i8"),
        ("close_time", "i8"),
        ("first_ts", "i8"),
        ("first_id", "i8"),
        ("last_ts", "i8"),
        ("last_id", "i8"),
        ("trades", "i8"),
        ("rows", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("quote_volume", "f8"),
        ("buy_volume", "f8"),
        ("variance", "f8"),
        ("started", "i8"),
        ("incomplete", "i8"),
        ("hole", "i8"),
        ("restart", "i8"),
    ],
    align=True,
)
"""The running candle of one grid. ``hole``: a gap was given up and no trade has come since."""

_BATCH = 4096
_BLOCK = 1 << 16
"""Rows folded at once: few enough that all grids find them in the cache of the processor."""
_FEW = 1024
"""A live frame has fewer trades: each instrument keeps room for these alone."""


@njit(cache=True, error_model="numpy", nogil=True)
def _begin(grid: Any, ts: int, incomplete: int, restart: int) -> None:
    """Begin the candle that holds ``ts``, without trades."""
    grid.open_time = (ts - grid.offset) // grid.size * grid.size + grid.offset
    grid.close_time = grid.open_time + grid.size
    grid.trades = 0
    grid.rows = 0
    grid.volume = 0.0
    grid.quote_volume = 0.0
    grid.buy_volume = 0.0
    grid.variance = 0.0
    grid.incomplete = incomplete
    grid.restart = restart


@njit(cache=True, error_model="numpy", nogil=True)
def _write(grid: Any, candle: Any) -> None:
    """Write the running candle; one without trades takes the previous close."""
    empty = grid.rows == 0
    candle.open_time = grid.open_time
    candle.close_time = grid.close_time
    candle.open = grid.close if empty else grid.open
    candle.high = grid.close if empty else grid.high
    candle.low = grid.close if empty else grid.low
    candle.close = grid.close
    candle.volume = grid.volume
    candle.quote_volume = grid.quote_volume
    candle.vwap = grid.quote_volume / grid.volume if grid.volume > 0.0 else math.nan
    candle.trades = grid.trades
    candle.buy_volume = grid.buy_volume
    candle.realized_vol = math.sqrt(grid.variance) if grid.rows > 1 else math.nan
    candle.complete = grid.incomplete == 0
    candle.restart = grid.restart != 0


@njit(cache=True, error_model="numpy", nogil=True)
def _close_until(grid: Any, ts: int, max_quiet: int, out: Any, written: int) -> int:
    """Close candles that end at or before ``ts`` as far as ``out`` has room; return how many it holds now."""
    while ts >= grid.close_time and written < len(out):
        _write(grid, out[written])
        written += 1
        if ts - grid.close_time > max_quiet:
            _begin(grid, ts, grid.hole, 1)
        else:
            _begin(grid, grid.close_time, grid.hole, 0)
    return written


@njit(cache=True, error_model="numpy", nogil=True)
def _first(grid: Any, trade_id: int, ts: int, price: float) -> None:
    """Let a trade open the running candle."""
    grid.open = price
    grid.high = price
    grid.low = price
    grid.close = price
    grid.first_ts = ts
    grid.first_id = trade_id
    grid.last_ts = ts
    grid.last_id = trade_id


@njit(cache=True, error_model="numpy", nogil=True)
def _reorder(grid: Any, trade_id: int, ts: int, price: float) -> None:
    """Let a trade that stands out of order on the tape be the open or the close, if its time makes it so."""
    if ts > grid.last_ts or (ts == grid.last_ts and trade_id > grid.last_id):
        grid.close = price
        grid.last_ts = ts
        grid.last_id = trade_id
    elif ts < grid.first_ts or (ts == grid.first_ts and trade_id < grid.first_id):
        grid.open = price
        grid.first_ts = ts
        grid.first_id = trade_id


@njit(cache=True, error_model="numpy", nogil=True)
def _add(grid: Any, columns: Any, squares: Any, row: int, end: int, late: Any) -> int:
    """Add trades from ``row`` to ``end`` to the running candle while they belong to it; return where that ends.

    The sums are held in local variables: in a record, every addition would wait for the store before it.
    """
    trade_id, ts_event, price, qty, side, count = columns
    high, low, variance = grid.high, grid.low, grid.variance
    trades, rows, volume, quote, bought = grid.trades, grid.rows, grid.volume, grid.quote_volume, grid.buy_volume
    while row < end and ts_event[row] < grid.close_time:
        if ts_event[row] < grid.open_time:
            late[row] = True
            row += 1
            continue
        paid, amount = price[row], qty[row]
        if rows == 0:
            _first(grid, trade_id[row], ts_event[row], paid)
            high = low = paid
        else:
            variance += squares[row]
            high = max(high, paid)
            low = min(low, paid)
            _reorder(grid, trade_id[row], ts_event[row], paid)
        rows += 1
        trades += count[row]
        volume += amount
        quote += paid * amount
        if side[row] >= 0:
            bought += amount if side[row] > 0 else math.nan
        grid.hole = 0
        row += 1
    grid.high, grid.low, grid.variance = high, low, variance
    grid.trades, grid.rows, grid.volume, grid.quote_volume, grid.buy_volume = trades, rows, volume, quote, bought
    return row


@njit(cache=True, error_model="numpy", nogil=True)
def _add_in_order(grid: Any, columns: Any, squares: Any, start: int, end: int) -> None:
    """Add trades of the running candle that come in order after those it has: `_add`, with its sums in registers."""
    trade_id, ts_event, price, qty, side, count = columns
    high, low, trades, variance = grid.high, grid.low, grid.trades, grid.variance
    volume, quote_volume, buy_volume = grid.volume, grid.quote_volume, grid.buy_volume
    for row in range(start, end):
        high = price[row] if price[row] > high else high
        low = price[row] if price[row] < low else low
        trades += count[row]
        variance += squares[row]
        volume += qty[row]
        quote_volume += price[row] * qty[row]
        buy_volume += qty[row] if side[row] > 0 else 0.0 if side[row] < 0 else math.nan
    grid.high, grid.low, grid.close = high, low, price[end - 1]
    grid.last_ts, grid.last_id = ts_event[end - 1], trade_id[end - 1]
    grid.trades, grid.variance = trades, variance
    grid.volume, grid.quote_volume, grid.buy_volume = volume, quote_volume, buy_volume
    grid.rows += end - start
    grid.hole = 0


@njit(cache=True, error_model="numpy", nogil=True)
def _squared_returns(prices: Any, before: float, squares: Any) -> None:
    """Write the squared log return of each price over the one before it.

    Near 1 the logarithm is its series, exact to the last bit of a double and the same on every machine.
    """
    previous, far = before, False
    for row in range(len(prices)):  # Without a branch, so that it runs on vectors.
        move = prices[row] / previous - 1.0
        tail = move * (1 / 3 - move * (0.25 - move * 0.2))
        change = move * (1.0 - move * (0.5 - tail))
        squares[row] = change * change
        far |= not abs(move) < 1e-3
        previous = prices[row]
    if far:
        for row in range(len(prices)):
            ratio = prices[row] / before
            if not abs(ratio - 1.0) < 1e-3:
                squares[row] = math.log(ratio) ** 2
            before = prices[row]


@njit(cache=True, error_model="numpy", nogil=True)
def _in_tape_order(ts_event: Any, trade_id: Any) -> bool:
    """Return whether times never fall and ids always rise."""
    ordered = True
    for row in range(1, len(ts_event)):
        ordered &= (ts_event[row] >= ts_event[row - 1]) & (trade_id[row] > trade_id[row - 1])
    return ordered


@njit(cache=True, error_model="numpy", nogil=True)
def _end_of(ts_event: Any, start: int, close_time: int) -> int:
    """Return the first row from ``start`` on that is at or after ``close_time``, where times never fall."""
    low, step = start, 64
    while low + step < len(ts_event) and ts_event[low + step] < close_time:
        low += step
        step *= 2
    high = min(len(ts_event), low + step)
    while low < high:
        middle = (low + high) // 2
        if ts_event[middle] < close_time:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, error_model="numpy", nogil=True)
def _fold(
    grid: Any, columns: Any, squares: Any, start: int, max_quiet: int, ordered: bool, out: Any, late: Any
) -> tuple[int, int]:
    """Add trades from ``start`` on to one grid; stop when ``out`` is full.

    Returns the position reached and the number of candles written.
    """
    trade_id, ts_event = columns[0], columns[1]
    row, written = start, 0
    if grid.started == 0:
        _begin(grid, ts_event[row], 1, 1)
        grid.started = 1
    while row < len(ts_event):
        ts = ts_event[row]
        after = ts > grid.last_ts or (ts == grid.last_ts and trade_id[row] > grid.last_id)
        if ordered and after and grid.rows > 0 and grid.open_time <= ts < grid.close_time:
            end = _end_of(ts_event, row, grid.close_time)
            _add_in_order(grid, columns, squares, row, end)
            row = end
        else:
            row = _add(grid, columns, squares, row, row + 1 if ordered else len(ts_event), late)
        if row < len(ts_event):
            written = _close_until(grid, ts_event[row], max_quiet, out, written)
            if ts_event[row] >= grid.close_time:
                break
    return row, written


@njit(cache=True, error_model="numpy")
def _add_running(grids: Any, columns: Any, before: float, squares: Any) -> bool:
    """Add trades (at least one) that come in order and close no candle, as nearly all live ones do.

    Returns False, with nothing changed, for others. One call instead of one a grid and more: for a few trades calls
    are what takes the time. It keeps the interpreter's lock: to have it again after a microsecond may take a hundred.
    """
    trade_id, ts_event = columns[0], columns[1]
    for index in range(len(grids)):
        grid = grids[index]
        after = ts_event[0] > grid.last_ts or (ts_event[0] == grid.last_ts and trade_id[0] > grid.last_id)
        if not (after and grid.rows > 0 and grid.open_time <= ts_event[0] and ts_event[-1] < grid.close_time):
            return False
    if not _in_tape_order(ts_event, trade_id):
        return False
    _squared_returns(columns[2], before, squares)
    for index in range(len(grids)):
        _add_in_order(grids[index], columns, squares, 0, len(ts_event))
    return True


class CandleFold:
    """Fold trades of one instrument, in the order of the tape, into candles of several timeframes.

    Args:
        timeframes: which candles.
        max_quiet: a silence longer than this (ns) is not filled; the grid begins anew.

    Attributes:
        next_close: when the first of the running candles ends, None before the first trade.
    """

    def __init__(self, timeframes: Sequence[Timeframe], *, max_quiet: int = MAX_QUIET) -> None:
        self.timeframes = list(timeframes)
        self.max_quiet = max_quiet
        grids = [(index, *grid) for index, timeframe in enumerate(self.timeframes) for grid in timeframe.grids]
        self._grids: Records = np.zeros(len(grids), GRID_STATE)
        for state, (index, size, offset) in zip(self._grids, grids, strict=True):
            state["timeframe"], state["size"], state["offset"] = index, size, offset
        self._owners = [grid[0] for grid in grids]
        self._price = np.full(1, np.nan)
        self._out = np.zeros(_BATCH, CANDLE)
        self._squares = np.empty(_FEW)
        self._none: list[Records] = [np.empty(0, CANDLE) for _ in self.timeframes]
        self.next_close: int | None = None

    def feed(self, frame: Frame) -> tuple[list[Records], Bool]:
        """Return the candles each timeframe closes, and which trades came too late for one of them."""
        late = np.zeros(len(frame), np.bool_)
        columns = (frame.trade_id, frame.ts_event, frame.price, frame.qty, frame.side, frame.count)
        runs_on = self.next_close is not None and 0 < len(frame) <= _FEW and frame.ts_event[-1] < self.next_close
        if runs_on and _add_running(self._grids, columns, self._price[0], self._squares):
            self._price[0] = frame.price[-1]
            return list(self._none), late
        closed: list[list[Records]] = [[] for _ in self.timeframes]
        squares = self._squares if len(frame) <= _FEW else np.empty(min(len(frame), _BLOCK))
        for start in range(0, len(frame), _BLOCK):
            block = slice(start, start + _BLOCK)
            self._feed_block(tuple(column[block] for column in columns), squares, late[block], closed)
        self._look_ahead()
        return [_in_order(parts) for parts in closed], late

    def _feed_block(self, columns: tuple[Any, ...], squares: Float, late: Bool, closed: list[list[Records]]) -> None:
        trade_id, ts_event, price = columns[:3]
        squares = squares[: len(price)]
        _squared_returns(price, self._price[0], squares)
        self._price[0] = price[-1]
        ordered = _in_tape_order(ts_event, trade_id)
        for index, timeframe in enumerate(self._owners):
            at = 0
            while at < len(price):
                at, written = _fold(self._grids[index], columns, squares, at, self.max_quiet, ordered, self._out, late)
                if written:
                    closed[timeframe].append(self._out[:written].copy())

    def close_until(self, ts: int) -> list[Records]:
        """Return the candles that end at or before ``ts``: the clock closes what no trade has closed."""
        closed: list[list[Records]] = [[] for _ in self.timeframes]
        for index in np.flatnonzero(self._grids["started"]):
            grid = self._grids[index]
            written = _BATCH
            while written == _BATCH:
                written = _close_until(grid, ts, self.max_quiet, self._out, 0)
                closed[grid["timeframe"]].append(self._out[:written].copy())
        self._look_ahead()
        return [_in_order(parts) for parts in closed]

    def _look_ahead(self) -> None:
        self.next_close = int(self._grids["close_time"].min()) if self._grids["started"].all() else None

    def hole(self) -> None:
        """Mark that trades are missing here: the running candles, and those up to the next trade, are incomplete."""
        self._grids["incomplete"] = 1
        self._grids["hole"] = 1

    def running(self) -> list[Records]:
        """Return each timeframe's running candle as it stands, without closing it (none before the first trade)."""
        shown: list[Records] = []
        for index in range(len(self.timeframes)):
            grids = self._grids[(self._grids["timeframe"] == index) & (self._grids["started"] == 1)]
            candles = np.zeros(min(1, len(grids)), CANDLE)
            for grid in grids[np.argsort(grids["close_time"])][:1]:
                _write(grid, candles[0])
                candles["complete"] = False
            shown.append(candles)
        return shown

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return self._price.tobytes() + self._grids.tobytes()

    def restore(self, snapshot: bytes) -> None:
        """Continue from a state that `snapshot` gave.

        Raises:
            SnapshotMismatch: it is of other timeframes.
        """
        size = self._price.nbytes + self._grids.nbytes
        if len(snapshot) != size:
            raise SnapshotMismatch("candles", "cannot take this state", expected=f"{size} bytes", was=len(snapshot))
        grids = np.frombuffer(snapshot[self._price.nbytes :], GRID_STATE).copy()
        for name in ("timeframe", "size", "offset"):
            if not np.array_equal(grids[name], self._grids[name]):
                raise SnapshotMismatch(
                    "candles", "cannot take this state", expected=str(self._grids[name]), was=grids[name]
                )
        self._price = np.frombuffer(snapshot[: self._price.nbytes]).copy()
        self._grids = grids
        self._look_ahead()


def _in_order(parts: list[Records]) -> Records:
    """Join the candles of a timeframe's grids in the order in which they close."""
    if len(parts) == 1:
        return parts[0]
    joined = np.empty(sum(map(len, parts)), CANDLE)
    at = 0
    for part in parts:  # np.concatenate would work out the common type of each pair of records anew
        joined[at : at + len(part)] = part
        at += len(part)
    return joined[np.argsort(joined["close_time"], kind="stable")]


def chained(records: Records) -> Records:
    """Return imported candles as features must see them: one that does not follow the one before is incomplete."""
    made = records.copy()
    made["restart"] = np.arange(len(made)) == 0
    made["complete"][1:] &= records["open_time"][1:] == records["close_time"][:-1]
    return made
