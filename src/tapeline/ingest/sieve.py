"""Live trades that cannot be true, by their ids and stamps: set aside, so that REST is asked for the true ones.

A venue may lie, or a message be damaged: ids that jump by a million millions or begin again at 1, stamps an hour off.
One false id would make every true one late; so it becomes a dead letter, and what is missing without it is healed.
Ids that go on from one that was set aside are believed: then the venue has really begun elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tapeline.clock import MINUTE, SECOND, format_duration
from tapeline.types import Bool, DeadLetter, Frame, Int

_RATE = 1_000_000
"""More trades than this in one second of one instrument are not believed (and as many at once are)."""
_BACK = 10_000
"""Ids lower by more than this are no snapshot, and no disorder."""
_LATE = MINUTE
"""A new id is not stamped so long before an older one."""


@dataclass(slots=True)
class _Mark:
    """Where an instrument stands: its newest id, the newest instant, and the last id that was set aside."""

    newest: int
    ts_event: int
    aside: int = -1


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

    def start(self, instrument: str, newest: int, ts_event: int) -> None:
        """Say up to which trade the tape of an instrument is known."""
        self._marks[instrument] = _Mark(newest, ts_event)

    def sift(self, frame: Frame) -> tuple[Frame, list[DeadLetter], bool]:
        """Return the trades that can be true, letters for the others, and whether ids may be missing."""
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

    def _doubts(self, frame: Frame, mark: _Mark) -> Iterator[tuple[Bool, str]]:
        ids, ahead = frame.trade_id, frame.ts_event - frame.ts_init > self._max_ahead
        if ahead.any():
            yield ahead, f"time: expected at most {format_duration(self._max_ahead)} after its receipt"
        past = (ids > mark.newest) & (frame.ts_event < mark.ts_event - _LATE)
        if past.any():
            yield past, f"time: expected at most {format_duration(_LATE)} before that of trade {mark.newest}"
        seconds = np.maximum(_happened(frame) - mark.ts_event, 0) / SECOND
        off = (ids - mark.newest > _RATE * (1.0 + seconds)) | (ids < mark.newest - _BACK)
        if off.any():
            goes_on = int(ids[off][0]) == mark.aside + 1
            mark.aside = int(ids[off][-1])
            self._notes[frame.instrument] = f"ids went from {mark.newest} to {mark.aside}"
            if not goes_on:
                yield off, f"id: expected one that can follow {mark.newest}"


def _advance(frame: Frame, mark: _Mark) -> bool:
    """Move on with a frame; return whether its ids are not just the next ones."""
    ids = frame.trade_id
    if not len(ids):
        return False
    highest, before = int(ids.max()), mark.newest
    if highest > mark.newest:
        mark.newest, mark.ts_event = highest, max(mark.ts_event, int(_happened(frame).max()))
    return not (ids[0] == before + 1 and ids[-1] - ids[0] == len(ids) - 1 and bool((ids[1:] > ids[:-1]).all()))


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
