"""Live trades that cannot be true, by their ids and stamps: set aside, so that REST is asked for the true ones.

A venue may lie, or a message be damaged: ids that jump by a million millions or begin again at 1, stamps an hour off.
One false id would make every true one late; so it becomes a dead letter, and what is missing without it is healed.
Ids that go on from one that was set aside are believed: then the venue has really begun elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit

from tapeline.clock import MINUTE, SECOND, format_duration
from tapeline.ingest.base import Standing
from tapeline.types import Bool, DeadLetter, Frame, Int

_RATE = 1_000_000
"""More trades than this in one second of one instrument are not believed (and as many at once are)."""
_BACK = 10_000
"""Ids lower by more than this are no snapshot, and no disorder."""
_LATE = MINUTE
"""A new id is not stamped so long before an older one."""
_DISORDER = SECOND
"""Ids of one instrument may be so far from the order of their times."""
_LAST = 2**63 - 1
_HOLES = 1_000
"""So many runs of ids that were left out are remembered, the newest."""


@dataclass(slots=True)
class _Mark:
    """Where an instrument stands: its newest id, the newest instant, and the last id that was set aside.

    ``holes`` are ids that were left out, as (first, last, ts_event of the one before them).
    """

    newest: int
    ts_event: int
    aside: int = -1
    holes: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=_HOLES))


class Sieve:
    """Sift the live trades of a connection's instruments, where ids are contiguous.

    Args:
        notes: takes what is odd about an instrument's ids, for people.
        max_ahead: how far a trade may be stamped ahead of its receipt, ns.
    """

    def __init__(self, notes: dict[str, str], max_ahead: int) -> None:
        self._notes = notes
        self._max_ahead = max_ahead
        self._marks: dict[str, _Mark] = {}

    def start(self, standing: Standing) -> None:
        """Say up to which trade the tape of an instrument is known, and what is missing before."""
        if standing.trade_id is not None and standing.ts_event is not None:
            mark = self._marks[standing.instrument] = _Mark(standing.trade_id, standing.ts_event)
            mark.holes.extend((gap.first, gap.last, gap.after) for gap in standing.missing)

    def sift(self, frame: Frame) -> tuple[Frame, list[DeadLetter], bool]:
        """Return the trades that can be true, letters for the others, and whether ids may be missing."""
        if (known := self._marks.get(frame.instrument)) and self._follows(frame, known):
            return frame, [], False
        first = int(frame.trade_id.argmin())
        begin = _Mark(int(frame.trade_id[first]) - 1, int(_happened(frame)[first]))
        mark = self._marks.setdefault(frame.instrument, begin)
        letters: list[DeadLetter] = []
        kept: Bool = np.ones(len(frame), np.bool_)
        for false, reason in self._doubts(frame, mark):
            letters += _letters(frame.take(false & kept), reason)
            kept &= ~false
        if letters:
            frame = frame.take(kept)
        return frame, letters, bool(letters) or _advance(frame, mark)

    def judge(self, past: Frame, held: Frame) -> tuple[Frame, list[DeadLetter]]:
        """Judge live trades of an instrument of which nothing was known, by the trades before them that REST told.

        Ids lower than those of the past are of older trades: one that happened later lies.

        Returns:
            the trades that can be true, and letters for the others.
        """
        first, last = int(past.trade_id.argmin()), int(past.trade_id.argmax())
        oldest = int(past.trade_id[first])
        false = (held.trade_id < oldest) & (_happened(held) > past.ts_event[first] + _DISORDER)
        letters = _letters(held.take(false), f"id: expected one after {oldest}, which is older")
        self._marks[held.instrument] = _Mark(int(past.trade_id[last]), int(past.ts_event[last]))
        held = held.take(~false)
        if len(held):
            held, more, _ = self.sift(held)
            letters += more
        return held, letters

    def _follows(self, frame: Frame, mark: _Mark) -> bool:
        """Move on with trades that are just the next ones, as nearly all are; return False for others."""
        columns = (frame.trade_id, frame.ts_event, frame.ts_init)
        newest = _newest_of_next(*columns, mark.newest, mark.ts_event - _LATE, self._max_ahead)
        if newest < 0 or len(frame) > _RATE:
            return False
        mark.newest, mark.ts_event = mark.newest + len(frame), max(mark.ts_event, newest)
        return True

    def _doubts(self, frame: Frame, mark: _Mark) -> Iterator[tuple[Bool, str]]:
        ids, ahead = frame.trade_id, frame.ts_event - frame.ts_init > self._max_ahead
        if ahead.any():
            yield ahead, f"time: expected at most {format_duration(self._max_ahead)} after its receipt"
        for first, last, after in _since(mark, ids):
            past = (ids >= first) & (ids <= last) & (frame.ts_event < after - _LATE)
            if past.any():
                yield past, f"time: expected at most {format_duration(_LATE)} before that of trade {first - 1}"
        seconds = np.maximum(_happened(frame) - mark.ts_event, 0) / SECOND
        off = (ids - mark.newest > _RATE * (1.0 + seconds)) | (ids < mark.newest - _BACK)
        if off.any():
            goes_on = int(ids[off][0]) == mark.aside + 1
            mark.aside = int(ids[off][-1])
            self._notes[frame.instrument] = f"ids went from {mark.newest} to {mark.aside}"
            if not goes_on:
                yield off, f"id: expected one that can follow {mark.newest}"


@njit(cache=True)
def _newest_of_next(ids: Any, ts_event: Any, ts_init: Any, newest_id: int, earliest: int, ahead: int) -> int:
    """Return the newest instant of trades whose ids and times are those of the next ones, -1 of others."""
    newest = -1
    for row in range(len(ids)):
        happened, heard = ts_event[row], ts_init[row]
        if ids[row] != newest_id + 1 + row or happened < earliest or happened - heard > ahead:
            return -1
        newest = max(newest, min(happened, heard))
    return newest


def _advance(frame: Frame, mark: _Mark) -> bool:
    """Move on with a frame; return whether its ids are not just the next ones."""
    ids = frame.trade_id
    if not len(ids):
        return False
    highest, before = int(ids.max()), mark.newest
    if highest > mark.newest:
        _leave_out(mark, frame.take(ids > before))
        mark.newest, mark.ts_event = highest, max(mark.ts_event, int(_happened(frame).max()))
    return not (ids[0] == before + 1 and ids[-1] - ids[0] == len(ids) - 1 and bool((ids[1:] > ids[:-1]).all()))


def _leave_out(mark: _Mark, frame: Frame) -> None:
    """Remember the ids that new trades (at least one) have left out."""
    order = np.argsort(frame.trade_id, kind="stable")
    ids = np.r_[mark.newest, frame.trade_id[order]]
    for at in np.flatnonzero(np.diff(ids) > 1).tolist():
        after = int(_happened(frame)[order[:at]].max(initial=mark.ts_event))
        mark.holes.append((int(ids[at]) + 1, int(ids[at + 1]) - 1, after))


def _since(mark: _Mark, ids: Int) -> Iterator[tuple[int, int, int]]:
    """Yield the ids (first, last) that are not known yet, with the newest instant before them."""
    if ids.min() <= mark.newest:
        yield from mark.holes
    yield mark.newest + 1, _LAST, mark.ts_event


def _letters(frame: Frame, reason: str) -> list[DeadLetter]:
    name = frame.instrument
    rows = zip(*(column.tolist() for column in frame.columns()), strict=True)
    return [
        DeadLetter(
            name.rpartition(".")[2], f"{name} trade {row[0]}: {reason}", repr(row).encode(), row[2], name, "quarantined"
        )
        for row in rows
    ]


def _happened(frame: Frame) -> Int:
    """Return when trades happened, none later than it was here: a false stamp excuses no jump."""
    return np.minimum(frame.ts_event, frame.ts_init)
