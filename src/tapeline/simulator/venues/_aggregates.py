"""Aggregated trades of the simulated Binance: what one order traded at one price, with ids of their own."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np

from tapeline.simulator.tape import Tape
from tapeline.types import Frame

_STALE = 1_000_000


class Aggregate(NamedTuple):
    """The trades from the tape's position ``start`` up to ``end``; ``id`` counts from 1 without a gap."""

    id: int
    start: int
    end: int


class Aggregates:
    """Tell which trades of a tape stand together: neighbours of one instant, price and side.

    What is on the tape when it is first asked for never changes: an order whose trades are appended in two goes is
    told in two parts.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._starts = array("q")
        self._forgotten = 0
        self._end = tape.start

    def update(self) -> None:
        """Take in what was appended to the tape."""
        tape = self._tape
        start = max(self._end, tape.start)
        rows = tape.rows(start, tape.end)
        if not len(rows):
            return
        begins = np.ones(len(rows), np.bool_)
        begins[1:] = (np.diff(rows.ts_event) != 0) | (np.diff(rows.price) != 0) | (np.diff(rows.side) != 0)
        self._starts.extend((start + np.flatnonzero(begins)).tolist())
        self._end = tape.end
        stale = bisect_left(self._starts, tape.start)
        if stale > _STALE:
            del self._starts[:stale]
            self._forgotten += stale

    @property
    def first_id(self) -> int:
        """Return the id of the oldest that can be had."""
        return self._forgotten + bisect_left(self._starts, self._tape.start) + 1

    @property
    def next_id(self) -> int:
        """Return the id that the next one will have."""
        return self._forgotten + len(self._starts) + 1

    def at(self, position: int) -> int:
        """Return the id of the one that holds the trade at a position of the tape."""
        return self._forgotten + bisect_right(self._starts, position)

    def ends(self, position: int) -> bool:
        """Return whether the trade at a position is the last of the one that holds it."""
        return position + 1 == self._end or self._starts[self.at(position + 1) - self._forgotten - 1] == position + 1

    def get(self, first: int, stop: int) -> list[Aggregate]:
        """Return those with ids from ``first`` up to ``stop``, as far as they can be had."""
        low, high = max(first, self.first_id), min(stop, self.next_id)
        at = low - self._forgotten - 1
        starts = [*self._starts[at : at + max(0, high - low) + 1], self._end]
        return [Aggregate(low + row, starts[row], starts[row + 1]) for row in range(max(0, high - low))]


def positions(tape: Tape, frame: Frame) -> list[int | None]:
    """Return where the trades of a frame stand on the tape, in the frame's order; None where it has no such id."""
    ids = frame.trade_id
    start = tape.at_id(int(ids.min()))
    rows = tape.rows(start, tape.at_id(int(ids.max()) + 1))
    known = {trade_id: start + row for row, trade_id in enumerate(rows.trade_id.tolist())}
    return [known.get(trade_id) for trade_id in ids.tolist()]
