"""Folding a stored tape anew: after earlier trades joined it, or when settings or the code of a feature changed."""

from __future__ import annotations

from collections.abc import Iterator

from tapeline.intervals import Intervals, overlaps
from tapeline.lane import BEHIND, FOLDING, STALE, WHOLE, Lane
from tapeline.recorder import Recorder
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import TapeInfo, decisions, records
from tapeline.types import Decision, DecisionKind, Frame


def refold(recorder: Recorder, lane: Lane) -> Iterator[int]:
    """Fold a stale lane's stored tape anew, or go on with a fold that was interrupted; yield trades folded.

    What was derived from the tape is replaced. Each step is a transaction, and an interrupted fold is marked.
    """
    if lane.stale.startswith(STALE):
        _begin(recorder, lane)
    after, taken = lane.pipeline.ledger.position, lane.pipeline.decisions
    for record in records(recorder.store, lane.tape, after=after, taken=taken, rows=recorder.settings.flush_rows):
        with recorder.store.transaction():
            outputs = lane.pipeline.feed(record)
            for frame in outputs.behind:
                recorder.trades.write_late(lane, frame, BEHIND)
            recorder.write_derived(lane, outputs)
            recorder.write_state(lane, gaps=False)
        yield len(record) if isinstance(record, Frame) else 0
    lane.stale = WHOLE
    with recorder.store.transaction():
        recorder.write_state(lane)


def _begin(recorder: Recorder, lane: Lane) -> None:
    """Drop what was derived, let late trades join the tape, and keep only the decisions that still hold."""
    name = lane.tape.instrument
    with recorder.store.transaction():
        late = recorder.store.read("late_trades", instrument=name)
        recorder.store.append("trades", late.drop_columns(["reason"]))
        recorder.store.delete("late_trades", name)
        recorder.store.delete("candles", name, source="trades")
        recorder.store.delete("features", name, source="trades")
        kept = _decisions_that_hold(recorder.store, lane.tape)
        recorder.store.delete("decisions", name)
        recorder.store.append("decisions", rows.from_decisions(kept, first_seq=0))
        lane.decisions = len(kept)
        lane.pipeline = recorder.pipeline(lane.tape)
        lane.bulk = False
        lane.stale = lane.stale.replace(STALE, FOLDING)
        recorder.write_sets()
        recorder.write_state(lane, gaps=False)


def _decisions_that_hold(store: Store, tape: TapeInfo) -> list[Decision]:
    """Return the decisions for a fold of the whole tape.

    The start is the first id there is now; a gap given up stays so as far as it is still missing; quiet candles
    that the clock closed are closed by the trades that came since, but for those after the last trade.
    """
    seen, last = Intervals(), 0
    for table in store.tape(tape.instrument):
        frame = rows.to_frame(tape.instrument, table)
        last = int((frame.trade_id if tape.contiguous else frame.ts_event)[-1])
        if tape.contiguous:
            seen.add(frame.trade_id)
    kept = [entry for entry in decisions(store, tape.instrument) if _holds(entry, last)]
    if not tape.contiguous or not len(seen):
        return kept
    name, first = tape.instrument, seen.spans()[0][0]
    given_up = [
        (entry.position + 1, entry.value) for entry in decisions(store, name) if entry.kind is DecisionKind.GIVE_UP
    ]
    held = overlaps(seen.holes(), given_up)
    gaps = [Decision(name, DecisionKind.GIVE_UP, a - 1, b) for a, b in held]
    start = Decision(name, DecisionKind.START, first - 1, first)
    return sorted([start, *gaps, *kept], key=lambda decision: decision.position)


def _holds(decision: Decision, last: int) -> bool:
    """Return whether a decision other than a start or a gap holds for a fold of a tape that ends at ``last``."""
    if decision.kind is DecisionKind.CLOCK:
        return decision.position >= last
    return decision.kind is DecisionKind.MODEL
