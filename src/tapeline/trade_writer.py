"""Writing trades: new ones to the tape, repeats counted, conflicts kept raw, late ones beside it."""

from __future__ import annotations

import numpy as np

from tapeline.lane import BEHIND, STALE, Lane
from tapeline.ledger import Admission
from tapeline.pipeline import Outputs
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.stores.outbox import Outbox
from tapeline.types import DeadLetter, DeadLetterKind, Frame

_CONTENT = ("price", "qty", "side", "count")
"""What makes two trades of one id the same trade, with their ts_event; when each came does not."""
_FINEST = 1_000
"""Times nearer than this (ns) are the same: Kraken tells microseconds on its WebSocket, and more digits over REST."""


class TradeWriter:
    """Judge and write the trades of lanes.

    Args:
        store: knows the trades that are stored.
        outbox: takes what is to be written.
    """

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox

    def write(self, lane: Lane, outputs: Outputs, *, keep_behind: bool) -> None:
        """Write what the ledger said of a frame; ``keep_behind`` as in `Recorder.feed`."""
        admission = outputs.admission
        self._write_new(lane, admission.accepted)
        if keep_behind and lane.tape.contiguous and len(admission.late):
            self._join_late(lane)
        late = admission.late  # without contiguous ids `part` has judged them already
        if lane.tape.contiguous and len(late) + len(admission.repeats):
            late = self.part(lane, Frame.concat([late, admission.repeats]), among=admission.accepted)
        if keep_behind and len(late):
            self._write_new(lane, late)
            lane.stale = f"{STALE}earlier trades were added"
        else:
            self.write_late(lane, late, "its moment had passed")
        for frame in outputs.behind:
            self.write_late(lane, frame, BEHIND)
        self._write_dead(lane, outputs.quarantined, "quarantined", "stamped too far in the future")

    def write_unfolded(self, lane: Lane, frame: Frame) -> Outputs:
        """Write trades that are to be folded later, and tell repeats from the store alone."""
        new = self.part(lane, frame)
        self._write_new(lane, new)
        nothing = Frame.empty(lane.tape.instrument)
        return Outputs(Admission([], new, nothing, nothing), nothing)

    def write_late(self, lane: Lane, frame: Frame, reason: str) -> None:
        """Write late trades with their reason."""
        if len(frame):
            lane.counters.add("late", len(frame))
            self._outbox.add("late_trades", rows.from_frame(frame, reason=reason))

    def _join_late(self, lane: Lane) -> None:
        """Let the stored late trades of an instrument join the tape, which is then to be folded anew."""
        name = lane.tape.instrument
        stored = self._store.read("late_trades", instrument=name)
        if len(stored):
            self._store.append("trades", stored.drop_columns(["reason"]))
            self._store.delete("late_trades", name)
            lane.stale = f"{STALE}late trades joined"

    def part(self, lane: Lane, frame: Frame, *, among: Frame | None = None) -> Frame:
        """Count repeats, keep those of other content raw, and return the trades that are new.

        A trade is judged against the first of its id: the stored one, else the one in ``among``, else in the frame.
        """
        if not len(frame):
            return frame
        stored = rows.to_frame(frame.instrument, self._store.seen(frame.instrument, rows.from_frame(frame)))
        known = stored if among is None else Frame.concat([stored, among])
        both = Frame.concat([known, frame])
        ids, firsts = np.unique(both.trade_id, return_index=True)
        first = firsts[np.searchsorted(ids, frame.trade_id)]
        new = first == len(known) + np.arange(len(frame))
        same = ~new & (np.abs(both.ts_event[first] - frame.ts_event) < _FINEST)
        for name in _CONTENT:
            same &= getattr(both, name)[first] == getattr(frame, name)
        lane.counters.add("duplicates", int(same.sum()))
        conflicts = frame.take(~new & ~same)
        lane.counters.add("conflicts", len(conflicts))
        self._write_dead(lane, conflicts, "conflict", "a trade of this id is stored with other content")
        return frame.take(new)

    def _write_new(self, lane: Lane, frame: Frame) -> None:
        if len(frame):
            lane.counters.add("new", len(frame))
            self._outbox.add_trades(frame)

    def _write_dead(self, lane: Lane, frame: Frame, kind: DeadLetterKind, reason: str) -> None:
        if not len(frame):
            return
        if kind == "quarantined":
            lane.counters.add(kind, len(frame))
        table = rows.from_frame(frame).to_pylist()
        name = lane.tape.instrument
        letters = [
            DeadLetter(
                lane.tape.venue,
                f"{name} trade {row['trade_id']}: {reason}",
                repr(row).encode(),
                row["ts_init"],
                name,
                kind,
            )
            for row in table
        ]
        self._outbox.add("dead_letters", rows.from_dead_letters(letters))
