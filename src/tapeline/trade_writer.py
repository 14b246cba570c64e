"""Writing trades: new ones to the tape, repeats counted, conflicts kept raw, late ones beside it."""

from __future__ import annotations

import numpy as np

from tapeline.lane import BEHIND, STALE, Lane
from tapeline.ledger import Admission
from tapeline.pipeline import Outputs
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import DeadLetter, DeadLetterKind, Frame


class TradeWriter:
    """Write the trades of lanes into a store, inside the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, lane: Lane, outputs: Outputs, *, keep_behind: bool) -> None:
        """Write what the ledger said of a frame; ``keep_behind`` as in `Recorder.feed`."""
        admission = outputs.admission
        if len(admission.accepted):
            self._store.append("trades", rows.from_frame(admission.accepted))
            lane.counters.add("new", len(admission.accepted))
        for frame in (admission.late, admission.repeats):
            self.write_again(lane, frame, keep_behind=keep_behind)
        for frame in outputs.behind:
            self.write_late(lane, frame, BEHIND)
        self._write_dead(lane, outputs.quarantined, "quarantined", "stamped too far in the future")

    def part(self, frame: Frame) -> tuple[Frame, Frame]:
        """Part a frame into trades of new ids and all others: without contiguous ids the ledger soon forgets an id."""
        new = np.zeros(len(frame), np.bool_)
        new[np.unique(frame.trade_id, return_index=True)[1]] = True
        if len(frame):
            stored = self._store.seen(frame.instrument, rows.from_frame(frame))
            new &= ~np.isin(frame.trade_id, stored["trade_id"].to_numpy())
        return frame.take(new), frame.take(~new)

    def write_again(self, lane: Lane, frame: Frame, *, keep_behind: bool) -> None:
        """Write trades that are repeats or come too late; those of one id are judged against the first of them."""
        if not len(frame):
            return
        first, rest = _first_of_each(frame)
        late = self._tell_repeats(lane, first)
        if keep_behind and len(late):
            lane.counters.add("new", self._store.append("trades", rows.from_frame(late)))
            lane.stale = f"{STALE}earlier trades were added"
        elif len(late):
            self.write_late(lane, late, "its moment had passed")
        if len(rest):
            self._tell_repeats(lane, rest)

    def write_unfolded(self, lane: Lane, frame: Frame) -> Outputs:
        """Write trades that are to be folded later, and tell repeats from the store alone."""
        first, rest = _first_of_each(frame)
        new = self._tell_repeats(lane, first)
        self._store.append("trades", rows.from_frame(new))
        lane.counters.add("new", len(new))
        self._tell_repeats(lane, rest)
        nothing = Frame.empty(lane.tape.instrument)
        return Outputs(Admission([], new, nothing, nothing), nothing)

    def write_late(self, lane: Lane, frame: Frame, reason: str) -> None:
        """Write late trades with their reason."""
        lane.counters.add("late", self._store.append("late_trades", rows.from_frame(frame, reason=reason)))

    def _tell_repeats(self, lane: Lane, frame: Frame) -> Frame:
        """Count repeats of stored trades, keep those of other content raw, and return the trades that are new."""
        stored = rows.to_frame(frame.instrument, self._store.seen(frame.instrument, rows.from_frame(frame)))
        order = np.argsort(stored.trade_id, kind="stable")
        stored = stored.take(order)
        place = np.minimum(np.searchsorted(stored.trade_id, frame.trade_id), max(len(stored) - 1, 0))
        known = stored.trade_id[place] == frame.trade_id if len(stored) else np.zeros(len(frame), np.bool_)
        same = known.copy()
        for name in ("ts_event", "price", "qty", "side", "count"):
            same[known] &= getattr(frame, name)[known] == getattr(stored, name)[place[known]]
        lane.counters.add("duplicates", int(same.sum()))
        conflicts = frame.take(known & ~same)
        lane.counters.add("conflicts", len(conflicts))
        self._write_dead(lane, conflicts, "conflict", "a trade of this id is stored with other content")
        return frame.take(~known)

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
        self._store.append("dead_letters", rows.from_dead_letters(letters))


def _first_of_each(frame: Frame) -> tuple[Frame, Frame]:
    """Part a frame into the first trade of each id, by id, and all others."""
    first = np.unique(frame.trade_id, return_index=True)[1]
    return frame.take(first), frame.take(np.delete(np.arange(len(frame)), first))
