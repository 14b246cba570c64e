"""The ledger: identity before arithmetic. It stands in front of every fold.

Where a venue's ids are contiguous it knows every id it has seen (as intervals), drops what it sees again, names what
is missing, and releases trades in the order of their ids: whatever order, repetition and cut they arrive in, what
comes out is the same. A gap holds back what lies behind it until it is healed or given up.

Where ids are not contiguous it cannot prove that nothing is missing. It holds trades back for a reorder window and
releases them by (ts_event, trade_id); what arrives after its moment has passed is late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from tapeline.clock import SECOND
from tapeline.errors import SnapshotMismatch
from tapeline.intervals import Intervals
from tapeline.types import Bool, Frame, Int

REORDER_WINDOW = 5 * SECOND
"""How long trades without contiguous ids are held back, ns of event time."""

_HEADER = np.dtype(
    [
        ("contiguous", "i8"),
        ("next_id", "i8"),
        ("newest", "i8"),
        ("floor", "i8"),
        ("gap", "i8"),
        ("seen", "i8"),
        ("void", "i8"),
        ("pending", "i8"),
    ]
)
_UNSET = np.iinfo(np.int64).min
_JOINED = 64
"""Frames behind a gap are put in order so many at a time: each anew, with all that waits, would take ever longer."""


@dataclass(frozen=True, slots=True)
class Run:
    """Trades in the order of the tape, and whether a gap was given up right before them."""

    frame: Frame
    after_gap: bool


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a frame.

    Attributes:
        released: runs of trades in the order of the tape.
        accepted: trades that are new (released now or held back).
        repeats: trades whose id was seen before; the same content or another, which only the store can tell.
        late: trades with an id not seen in time whose moment has passed (they may be repeats of late ones).
    """

    released: list[Run]
    accepted: Frame
    repeats: Frame
    late: Frame


class Ledger:
    """Know the ids of one instrument.

    Args:
        instrument: whose trades.
        contiguous: whether the venue counts ids without holes.
        reorder_window: how long trades are held back where it does not, ns of event time.
    """

    def __init__(self, instrument: str, *, contiguous: bool, reorder_window: int = REORDER_WINDOW) -> None:
        self.instrument = instrument
        self.contiguous = contiguous
        self.reorder_window = reorder_window
        self.next_id = _UNSET
        self.seen = Intervals()
        self._void = Intervals()
        self._none = self._pending = Frame.empty(instrument)
        self._joining: list[Frame] = []
        self._newest = _UNSET
        self._floor = _UNSET
        self.gap_ahead = False
        """Whether a gap was given up and nothing has been released since."""

    @property
    def started(self) -> bool:
        """Return whether the first id to expect is known."""
        return self.next_id != _UNSET

    @property
    def pending(self) -> int:
        """Return how many trades are held back."""
        return len(self._pending) + (sum(map(len, self._joining)) if self._joining else 0)

    @property
    def position(self) -> tuple[int, int] | None:
        """Return (ts_event, trade_id) of the tape up to which all is released, None before the first release.

        Only the part that orders the tape counts: the id where ids are contiguous, otherwise ts_event.
        """
        if self.contiguous:
            return (0, self.next_id - 1) if self.started else None
        watermark = self._watermark()
        return None if watermark == _UNSET else (watermark - 1, np.iinfo(np.int64).max)

    @property
    def moment(self) -> int | None:
        """Return the position of a decision taken now: the newest id released, or the newest ts_event taken.

        None before the first trade. A replay that has taken the tape up to there has released the same trades.
        """
        newest = self.next_id - 1 if self.contiguous and self.started else self._newest
        return None if newest == _UNSET else newest

    def _watermark(self) -> int:
        return max(self._newest - self.reorder_window if self._newest != _UNSET else _UNSET, self._floor)

    def start(self, first_id: int) -> None:
        """Expect ids from ``first_id`` on; what lies before is late. Without this the first frame decides."""
        if not self.started:
            self.next_id = first_id

    def holes(self) -> list[tuple[int, int]]:
        """Return the missing ids between those seen, as (first, last)."""
        return self.seen.holes()

    def awaited(self) -> list[tuple[int, int]]:
        """Return the missing ids that hold trades back: the holes not yet given up."""
        return [hole for hole in self.holes() if hole[1] >= self.next_id and self._void.end_of(hole[0]) is None]

    def admit(self, frame: Frame) -> Admission:
        """Take trades in any order and return what is now in order."""
        if not len(frame):
            return Admission([], frame, frame, frame)
        return self._admit_by_id(frame) if self.contiguous else self._admit_by_time(frame)

    def give_up(self, first: int, last: int) -> Admission:
        """Wait no longer for the ids from first to last: release what they hold back."""
        self._void.add_span(first, last)
        return self._released_only()

    def release_until(self, ts: int) -> Admission:
        """Release what happened before ``ts`` where ids are not contiguous: time has passed without a trade."""
        if not self.contiguous:
            self._floor = max(self._floor, ts)
        return self._released_only()

    def _released_only(self) -> Admission:
        none = self._none
        released = self._release_by_id() if self.contiguous else self._release_by_time()
        return Admission(released, none, none, none)

    def _admit_by_id(self, frame: Frame) -> Admission:
        ids = frame.trade_id
        if not self.started:
            self.start(int(ids.min()))
        if not self.pending and ids[0] == self.next_id and _is_run(ids) and self._void.end_of(self.next_id) is None:
            self.next_id = int(ids[-1]) + 1
            self.seen.add_span(int(ids[0]), int(ids[-1]))
            return Admission([self._run(frame)], frame, self._none, self._none)
        rows, repeated = _distinct(ids)
        known = self.seen.contains(ids[rows])
        fresh = rows[~known]
        behind = ids[fresh] < self.next_id
        accepted = frame.take(fresh[~behind])
        late = frame.take(fresh[behind])
        repeats = frame.take(np.sort(np.r_[repeated, rows[known]]))
        self.seen.add(ids[fresh[~behind]])
        self._joining.append(accepted)
        if len(self._joining) >= _JOINED:
            self._join()
        return Admission(self._release_by_id(), accepted, repeats, late)

    def _release_by_id(self) -> list[Run]:
        """Release runs of ids from the next one on, stepping over ids that were given up."""
        released: list[Run] = []
        while True:
            end = self.seen.end_of(self.next_id) if self.pending else None
            void_end = self._void.end_of(self.next_id) if end is None else None
            if end is not None:
                released.append(self._take_pending(end))
            elif void_end is not None:
                self.next_id = self._end_of_hole(self.next_id, void_end) + 1
                self.gap_ahead = True
            else:
                return released

    def _join(self) -> None:
        """Put what waits in order."""
        if not self._joining:
            return
        parts = [self._pending, *self._joining] if len(self._pending) else self._joining
        whole = Frame.concat(parts)
        self._pending = whole.take(np.argsort(whole.trade_id, kind="stable")) if len(parts) > 1 else whole
        self._joining = []

    def _take_pending(self, end: int) -> Run:
        self._join()
        count = int(np.searchsorted(self._pending.trade_id, end, side="right"))
        run = self._pending.take(slice(0, count))
        self._pending = self._pending.take(slice(count, None))
        self.next_id = end + 1
        return self._run(run)

    def _run(self, frame: Frame) -> Run:
        run = Run(frame, self.gap_ahead)
        self.gap_ahead = False
        return run

    def _end_of_hole(self, first: int, void_end: int) -> int:
        """Return the last id, up to ``void_end``, of the run of ids from ``first`` on that were never seen."""
        spans = self.seen.to_array()
        place = int(np.searchsorted(spans[:, 0], first, side="right"))
        return min(void_end, int(spans[place, 0]) - 1) if place < len(spans) else void_end

    def _admit_by_time(self, frame: Frame) -> Admission:
        # What comes after the clock has passed it is late whatever else came: it does not move the newest.
        on_tape = np.where(frame.ts_event < self._floor, self._newest, frame.ts_event)
        newest = np.maximum.accumulate(np.r_[self._newest, on_tape])
        self._newest = int(newest[-1])
        # Saturating: before the first trade there is no watermark to fall behind.
        watermark = np.maximum(np.maximum(newest[:-1], _UNSET + self.reorder_window) - self.reorder_window, self._floor)
        late = frame.ts_event < watermark
        timely = np.flatnonzero(~late)
        rows, repeated = _distinct(frame.trade_id[timely])
        known = np.isin(frame.trade_id[timely[rows]], self._pending.trade_id)
        accepted = frame.take(timely[rows[~known]])
        repeats = frame.take(np.sort(timely[np.r_[repeated, rows[known]]]))
        self._pending = _by_time(self._pending, accepted)
        return Admission(self._release_by_time(), accepted, repeats, frame.take(late))

    def _release_by_time(self) -> list[Run]:
        count = int(np.searchsorted(self._pending.ts_event, self._watermark(), side="left"))
        released = self._pending.take(slice(0, count))
        self._pending = self._pending.take(slice(count, None))
        return [Run(released, False)] if count else []

    def snapshot(self, *, waiting: bool = True) -> bytes:
        """Return the whole state, or that without the trades that wait: who has the tape can admit them again."""
        self._join()
        spans, void = self.seen.to_array(), self._void.to_array()
        pending = self._pending if waiting else self._none
        if not waiting:
            spans = spans[spans[:, 0] < self.next_id]
        header = np.zeros(1, _HEADER)
        header[0] = (
            self.contiguous,
            self.next_id,
            self._newest,
            self._floor,
            self.gap_ahead,
            len(spans),
            len(void),
            len(pending),
        )
        columns = b"".join(column.tobytes() for column in pending.columns())
        return header.tobytes() + spans.tobytes() + void.tobytes() + columns

    def restore(self, snapshot: bytes) -> None:
        """Continue from a state that `snapshot` gave.

        Raises:
            SnapshotMismatch: it is of a ledger of the other kind, or its length is wrong.
        """
        if len(snapshot) < _HEADER.itemsize:
            raise SnapshotMismatch(
                f"{self.instrument} ledger",
                "cannot take this state",
                expected=f">= {_HEADER.itemsize} bytes",
                was=len(snapshot),
            )
        header = np.frombuffer(snapshot, _HEADER, 1)[0]
        row = sum(column.itemsize for column in self._pending.columns())
        sizes = [_HEADER.itemsize, 16 * int(header["seen"]), 16 * int(header["void"]), row * int(header["pending"])]
        if bool(header["contiguous"]) != self.contiguous or len(snapshot) != sum(sizes):
            raise SnapshotMismatch(
                f"{self.instrument} ledger", "cannot take this state", expected=f"{sum(sizes)} bytes", was=len(snapshot)
            )
        self.next_id, self._newest, self._floor = (int(header[name]) for name in ("next_id", "newest", "floor"))
        self.gap_ahead = bool(header["gap"])
        self._joining = []
        ends = np.cumsum(sizes)
        self.seen = Intervals.from_bytes(snapshot[ends[0] : ends[1]])
        self._void = Intervals.from_bytes(snapshot[ends[1] : ends[2]])
        self._pending = _columns_from(self._pending, snapshot[ends[2] :], int(header["pending"]))


@njit(cache=True)
def _is_run(ids: Any) -> bool:
    """Return whether ids count up by one."""
    run = True
    for row in range(1, len(ids)):
        run &= ids[row] == ids[row - 1] + 1
    return run


def _distinct(ids: Int) -> tuple[Int, Int]:
    """Return the positions of the first row of each id, by id, and those of the other rows."""
    order = np.argsort(ids, kind="stable")
    first: Bool = np.r_[True, ids[order][1:] != ids[order][:-1]] if len(ids) else np.empty(0, np.bool_)
    return order[first], order[~first]


def _by_time(left: Frame, right: Frame) -> Frame:
    both = Frame.concat([left, right])
    return both.take(np.lexsort((both.trade_id, both.ts_event)))


def _columns_from(like: Frame, data: bytes, rows: int) -> Frame:
    columns, at = [], 0
    for column in like.columns():
        columns.append(np.frombuffer(data, column.dtype, rows, at).copy())
        at += rows * column.itemsize
    return Frame(like.instrument, *columns)
