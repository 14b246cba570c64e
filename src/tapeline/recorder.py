"""The recorder: feeds pipelines and keeps what they give, everything of one step in one transaction.

Import, replay into another database and the live process all write through it, so a crash loses whole steps only,
and what is stored is always what the pipeline gave.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from tapeline.clock import Clock, parse_duration
from tapeline.config import Settings
from tapeline.errors import UsageError
from tapeline.features import FeatureSet
from tapeline.intervals import Intervals, overlaps
from tapeline.ledger import Admission
from tapeline.pipeline import Layout, LoadModel, Outputs, Pipeline
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import Record, TapeInfo, decisions, info, instruments, records
from tapeline.types import Counters, DeadLetter, DeadLetterKind, Decision, DecisionKind, Frame, GapStatus, venue_of

WHOLE = ""
"""A stored state that stands at the end of the tape; other states are marked with what must be done."""
STALE = "stale: "
"""Earlier trades were added, or the layout changed: the candles and features must be folded anew."""
FOLDING = "folding: "
"""A fold of the stored tape was interrupted; it goes on from the stored state."""

BEHIND = "a candle of its time was closed"
"""Why a trade that is on the tape is among the late trades too."""


def layout_of(settings: Settings, *, contiguous: bool) -> Layout:
    """Return the layout that the settings ask for."""
    return Layout(
        timeframes=settings.timeframes,
        sets=tuple(FeatureSet.load(name) for name in settings.feature_sets),
        contiguous=contiguous,
        reorder_window=parse_duration(settings.reorder_window),
        max_quiet=parse_duration(settings.max_quiet),
        max_ahead=parse_duration(settings.max_ahead),
    )


@dataclass(slots=True)
class Lane:
    """One instrument under way: its pipeline, and what is known of its tape.

    ``gaps`` are the stored missing ids, first to last; ``given_up`` the first ids of those that were ever given up.
    In ``bulk`` trades are kept without folding them: the whole tape is folded afterwards.
    """

    tape: TapeInfo
    pipeline: Pipeline
    decisions: int = 0
    gaps: dict[int, int] = field(default_factory=dict)
    given_up: set[int] = field(default_factory=set)
    stale: str = ""
    bulk: bool = False
    counters: Counters = field(default_factory=Counters)


class Recorder:
    """Drive pipelines and commit their outputs.

    Args:
        store: where everything is kept.
        settings: timeframes, feature sets and limits.
        clock: tells when a prediction was made and an instrument was first seen.
        load_model: see `Pipeline`.
    """

    def __init__(self, store: Store, settings: Settings, *, clock: Clock, load_model: LoadModel | None = None) -> None:
        self.store = store
        self.settings = settings
        self._clock = clock
        self._load_model = load_model
        self._lanes: dict[str, Lane] = {}
        self._layouts: dict[bool, Layout] = {}

    def lane(self, instrument: str, *, id_kind: str = "trade", contiguous: bool | None = None) -> Lane:
        """Return the lane of an instrument: from memory, from its stored state, or new.

        Args:
            instrument: ours.
            id_kind: what its ids count: ``trade``, ``aggregate`` or ``row``.
            contiguous: whether they are contiguous; None for an instrument that the store knows.

        Raises:
            UsageError: the store holds the instrument with ids of another kind.
        """
        if instrument not in self._lanes:
            self._lanes[instrument] = self._open(instrument, id_kind, contiguous)
        lane = self._lanes[instrument]
        if contiguous is not None and lane.tape.id_kind != id_kind:
            raise UsageError(
                f"{instrument} trade ids",
                "are of another kind than those stored",
                expected=lane.tape.id_kind,
                was=id_kind,
                next_step="import it under another name with --instrument",
            )
        return lane

    def lanes(self) -> list[Lane]:
        """Return the lanes in use."""
        return list(self._lanes.values())

    def layout(self, *, contiguous: bool) -> Layout:
        """Return the layout for instruments whose ids are contiguous, or not."""
        if contiguous not in self._layouts:
            self._layouts[contiguous] = layout_of(self.settings, contiguous=contiguous)
        return self._layouts[contiguous]

    def _pipeline(self, tape: TapeInfo) -> Pipeline:
        layout = self.layout(contiguous=tape.contiguous)
        return Pipeline(tape.instrument, layout, load_model=self._load_model)

    def _open(self, instrument: str, id_kind: str, contiguous: bool | None) -> Lane:
        known = {entry.instrument: entry for entry in instruments(self.store)}
        if instrument in known:
            return self._reopen(known[instrument])
        if contiguous is None:
            info(self.store, instrument)
        tape = TapeInfo(instrument, venue_of(instrument), id_kind, bool(contiguous), self._clock.now())
        self.store.append("instruments", rows.from_dicts("instruments", asdict(tape)))
        return Lane(tape, self._pipeline(tape))

    def _reopen(self, tape: TapeInfo) -> Lane:
        lane = Lane(tape, self._pipeline(tape))
        taken = decisions(self.store, tape.instrument)
        lane.decisions = len(taken)
        lane.given_up = {entry.position + 1 for entry in taken if entry.kind is DecisionKind.GIVE_UP}
        gaps = self.store.read("gaps", instrument=tape.instrument).to_pylist()
        lane.gaps = {gap["first_missing"]: gap["last_missing"] for gap in gaps if gap["status"] != GapStatus.HEALED}
        stored = self.store.read("states", instrument=tape.instrument).to_pylist()
        if not stored:
            return lane
        mark, layout = stored[0]["layout"].rsplit("/", 1)
        lane.stale = mark
        if layout != lane.pipeline.layout.hash:
            lane.stale = f"{STALE}the settings or the code of a feature changed"
        else:
            lane.pipeline.restore(stored[0]["snapshot"])
        return lane

    def feed(self, lane: Lane, record: Record, *, keep_behind: bool = False) -> Outputs:
        """Feed one record and write all that follows, inside the caller's transaction.

        Args:
            lane: of the record's instrument.
            record: a frame or a decision.
            keep_behind: whether new trades whose moment has passed join the tape (an import, which folds anew
                afterwards) or go to the late trades (live).
        """
        if lane.bulk and isinstance(record, Frame):
            return self._keep_unfolded(lane, record)
        if isinstance(record, Decision):
            self.store.append("decisions", rows.from_decisions([record], first_seq=lane.decisions))
            lane.decisions += 1
            if record.kind is DecisionKind.GIVE_UP:
                lane.given_up.add(record.position + 1)
        elif lane.tape.contiguous and not lane.pipeline.ledger.started and len(record):
            first = int(record.trade_id.min())
            self.feed(lane, Decision(lane.tape.instrument, DecisionKind.START, first - 1, first))
        again = Frame.empty(lane.tape.instrument)
        if isinstance(record, Frame) and not lane.tape.contiguous:
            record, again = self._new_of(record)
        outputs = lane.pipeline.feed(record)
        self._write_trades(lane, outputs, keep_behind=keep_behind)
        self._write_again(lane, again, keep_behind=keep_behind)
        self._write_derived(lane, outputs)
        return outputs

    def _write_trades(self, lane: Lane, outputs: Outputs, *, keep_behind: bool) -> None:
        admission = outputs.admission
        if len(admission.accepted):
            self.store.append("trades", rows.from_frame(admission.accepted))
            lane.counters.add("new", len(admission.accepted))
        for frame in (admission.late, admission.repeats):
            self._write_again(lane, frame, keep_behind=keep_behind)
        for frame in outputs.behind:
            self._write_late(lane, frame, BEHIND)
        self._write_dead(lane, outputs.quarantined, "quarantined", "stamped too far in the future")

    def _new_of(self, frame: Frame) -> tuple[Frame, Frame]:
        """Part a frame into trades of new ids and all others: without contiguous ids the ledger soon forgets an id."""
        new = np.zeros(len(frame), np.bool_)
        new[np.unique(frame.trade_id, return_index=True)[1]] = True
        if len(frame):
            stored = self.store.seen(frame.instrument, rows.from_frame(frame))
            new &= ~np.isin(frame.trade_id, stored["trade_id"].to_numpy())
        return frame.take(new), frame.take(~new)

    def _write_again(self, lane: Lane, frame: Frame, *, keep_behind: bool) -> None:
        """Write trades that are repeats or come too late; those of one id are judged against the first of them."""
        if not len(frame):
            return
        first = np.unique(frame.trade_id, return_index=True)[1]
        late = self._tell_repeats(lane, frame.take(first))
        if keep_behind and len(late):
            lane.counters.add("new", self.store.append("trades", rows.from_frame(late)))
            lane.stale = f"{STALE}earlier trades were added"
        elif len(late):
            self._write_late(lane, late, "its moment had passed")
        rest = np.delete(np.arange(len(frame)), first)
        if len(rest):
            self._tell_repeats(lane, frame.take(rest))

    def keep_unfolded(self, lane: Lane) -> None:
        """From now on keep trades without folding them: they come in too little order to hold back the others."""
        lane.stale = f"{STALE}trades came out of order"
        lane.bulk = True
        lane.pipeline = self._pipeline(lane.tape)
        self.write_state(lane, gaps=False)

    def _keep_unfolded(self, lane: Lane, frame: Frame) -> Outputs:
        first = np.unique(frame.trade_id, return_index=True)[1]
        new = self._tell_repeats(lane, frame.take(first))
        self.store.append("trades", rows.from_frame(new))
        lane.counters.add("new", len(new))
        self._tell_repeats(lane, frame.take(np.delete(np.arange(len(frame)), first)))
        nothing = Frame.empty(lane.tape.instrument)
        return Outputs(Admission([], new, nothing, nothing), nothing)

    def _write_late(self, lane: Lane, frame: Frame, reason: str) -> None:
        lane.counters.add("late", self.store.append("late_trades", rows.from_frame(frame, reason=reason)))

    def _tell_repeats(self, lane: Lane, frame: Frame) -> Frame:
        """Count repeats of stored trades, keep those of other content raw, and return the trades that are new."""
        stored = rows.to_frame(frame.instrument, self.store.seen(frame.instrument, rows.from_frame(frame)))
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
        return _first_of_each(frame.take(~known))

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
        self.store.append("dead_letters", rows.from_dead_letters(letters))

    def _write_derived(self, lane: Lane, outputs: Outputs) -> None:
        name = lane.tape.instrument
        for timeframe, candles in outputs.candles.items():
            self.store.append("candles", rows.from_candles(name, timeframe, candles))
        versions = {features.name: features.version for features in lane.pipeline.layout.sets}
        for (timeframe, feature_set), values in outputs.features.items():
            self.store.append(
                "features", rows.from_features(name, timeframe, feature_set, versions[feature_set], values)
            )
        if outputs.predictions:
            now = self._clock.now()
            made = [replace(prediction, made_at=now) for prediction in outputs.predictions]
            self.store.append("predictions", rows.from_predictions(made))

    def write_state(self, lane: Lane, *, gaps: bool = True) -> None:
        """Write the state of a lane and the gaps of its ledger, inside the caller's transaction."""
        if gaps:
            self._write_gaps(lane)
        layout = f"{lane.stale}/{lane.pipeline.layout.hash}"
        state = {"instrument": lane.tape.instrument, "layout": layout, "snapshot": lane.pipeline.snapshot()}
        self.store.upsert("states", rows.from_dicts("states", state))

    def _write_gaps(self, lane: Lane) -> None:
        """Bring the stored gaps up to date: one that was given up and is there now is healed, others just vanish."""
        holes = dict(lane.pipeline.ledger.holes()) if lane.tape.contiguous else {}
        if holes == lane.gaps:
            return
        name = lane.tape.instrument
        healed = {first: last for first, last in lane.gaps.items() if first in lane.given_up and first not in holes}
        kept = [
            row for row in self.store.read("gaps", instrument=name).to_pylist() if row["status"] == GapStatus.HEALED
        ]
        kept += [_gap(name, *gap, GapStatus.HEALED) for gap in healed.items()]
        kept += [_gap(name, *gap, GapStatus.OPEN) for gap in holes.items()]
        self.store.delete("gaps", name)
        self.store.upsert("gaps", rows.from_dicts("gaps", *kept))
        lane.gaps = holes

    def write_sets(self) -> None:
        """Write the definitions of the feature sets in use."""
        table = [
            {
                "feature_set": features.name,
                "version": features.version,
                "definition": features.definition,
                "columns": features.names,
                "current": True,
            }
            for features in self.layout(contiguous=True).sets
        ]
        stored = {
            (row["feature_set"], row["version"])
            for row in self.store.read("feature_sets").to_pylist()
            if row["current"]
        }
        if stored != {(row["feature_set"], row["version"]) for row in table}:
            old = [row | {"current": False} for row in self.store.read("feature_sets").to_pylist()]
            self.store.upsert("feature_sets", rows.from_dicts("feature_sets", *old, *table))

    def give_up_gaps(self, lane: Lane) -> int:
        """Decide that no awaited id will come, in a transaction of its own; return how many gaps that were."""
        gaps = lane.pipeline.ledger.awaited()
        if gaps:
            with self.store.transaction():
                for first, last in gaps:
                    self.feed(lane, Decision(lane.tape.instrument, DecisionKind.GIVE_UP, first - 1, last))
                self.write_state(lane)
        return len(gaps)

    def refold(self, lane: Lane) -> Iterator[int]:
        """Fold a stale lane's stored tape anew, or go on with a fold that was interrupted; yield trades folded.

        What was derived from the tape is replaced. Each step is a transaction, and an interrupted fold is marked.
        """
        if lane.stale.startswith(STALE):
            self._begin_refold(lane)
        after = lane.pipeline.ledger.position
        for record in records(self.store, lane.tape, after=after, rows=self.settings.flush_rows):
            with self.store.transaction():
                outputs = lane.pipeline.feed(record)
                for frame in outputs.behind:
                    self._write_late(lane, frame, BEHIND)
                self._write_derived(lane, outputs)
                self.write_state(lane, gaps=False)
            yield len(record) if isinstance(record, Frame) else 0
        lane.stale = WHOLE
        with self.store.transaction():
            self.write_state(lane)

    def _begin_refold(self, lane: Lane) -> None:
        """Drop what was derived, let late trades join the tape, and keep only the decisions that still hold."""
        name = lane.tape.instrument
        with self.store.transaction():
            late = self.store.read("late_trades", instrument=name)
            self.store.append("trades", late.drop_columns(["reason"]))
            self.store.delete("late_trades", name)
            self.store.delete("candles", name, source="trades")
            self.store.delete("features", name, source="trades")
            kept = self._decisions_that_hold(lane.tape)
            self.store.delete("decisions", name)
            self.store.append("decisions", rows.from_decisions(kept, first_seq=0))
            lane.decisions = len(kept)
            lane.pipeline = self._pipeline(lane.tape)
            lane.stale = lane.stale.replace(STALE, FOLDING)
            self.write_sets()
            self.write_state(lane, gaps=False)

    def _decisions_that_hold(self, tape: TapeInfo) -> list[Decision]:
        """Return the decisions for a fold of the whole tape.

        The start is the first id there is now; a gap given up stays so as far as it is still missing; quiet candles
        that the clock closed are closed by the trades that came since, but for those after the last trade.
        """
        seen, last = Intervals(), 0
        for table in self.store.tape(tape.instrument):
            frame = rows.to_frame(tape.instrument, table)
            last = int((frame.trade_id if tape.contiguous else frame.ts_event)[-1])
            if tape.contiguous:
                seen.add(frame.trade_id)
        kept = [entry for entry in decisions(self.store, tape.instrument) if _holds(entry, last)]
        if not tape.contiguous or not len(seen):
            return kept
        name, first = tape.instrument, seen.spans()[0][0]
        given_up = [
            (entry.position + 1, entry.value)
            for entry in decisions(self.store, name)
            if entry.kind is DecisionKind.GIVE_UP
        ]
        held = overlaps(seen.holes(), given_up)
        gaps = [Decision(name, DecisionKind.GIVE_UP, a - 1, b) for a, b in held]
        return [Decision(name, DecisionKind.START, first - 1, first), *gaps, *kept]


def _gap(instrument: str, first: int, last: int, status: GapStatus) -> dict[str, Any]:
    return {"instrument": instrument, "first_missing": first, "last_missing": last, "status": status.value}


def _holds(decision: Decision, last: int) -> bool:
    """Return whether a decision other than a start or a gap holds for a fold of a tape that ends at ``last``."""
    if decision.kind is DecisionKind.CLOCK:
        return decision.position >= last
    return decision.kind is DecisionKind.MODEL


def _first_of_each(frame: Frame) -> Frame:
    return frame.take(np.unique(frame.trade_id, return_index=True)[1])
