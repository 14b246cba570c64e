"""The recorder: feeds pipelines and keeps what they give, everything of one step in one transaction.

Import, replay into another database and the live process all write through it, so a crash loses whole steps only,
and what is stored is always what the pipeline gave.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

from tapeline.answering import LoadModel
from tapeline.clock import Clock, format_duration, parse_duration
from tapeline.config import Settings
from tapeline.errors import UsageError
from tapeline.features import FeatureSet
from tapeline.gap_writer import write_gaps
from tapeline.lane import STALE, WHOLE, Lane, Span
from tapeline.pipeline import Layout, Outputs, Pipeline, described
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.stores.outbox import Outbox
from tapeline.tape import Record, TapeInfo, info, instruments, resume
from tapeline.trade_writer import TradeWriter
from tapeline.types import Decision, DecisionKind, Frame, GapStatus, venue_of

STORED = ("timeframes", "feature_sets")
"""Settings that say what is stored, not by which limits."""
_IN_LAYOUT = (*STORED, "reorder_window", "max_quiet", "max_ahead")
_ABOUT = ("instruments", "decisions", "gaps", "states")
"""The kinds that tell where an instrument was left."""


def layout_of(
    settings: Settings,
    *,
    contiguous: bool,
    timeframes: tuple[str, ...] | None = None,
    sets: tuple[FeatureSet, ...] | None = None,
) -> Layout:
    """Return the layout that the settings ask for, or one of other timeframes and sets under the same limits."""
    return Layout(
        timeframes=settings.timeframes if timeframes is None else timeframes,
        sets=tuple(FeatureSet.load(name) for name in settings.feature_sets) if sets is None else sets,
        contiguous=contiguous,
        reorder_window=parse_duration(settings.reorder_window),
        max_quiet=parse_duration(settings.max_quiet),
        max_ahead=parse_duration(settings.max_ahead),
    )


def settings_of(snapshot: bytes, settings: Settings, names: Collection[str] = _IN_LAYOUT) -> Settings:
    """Return the settings with those of ``names`` in which the layout of a stored state differs from them.

    Raises:
        SnapshotMismatch: it is no snapshot.
    """
    layout = described(snapshot)
    stored = {
        "timeframes": tuple(layout["timeframes"]),
        "feature_sets": tuple(layout["feature sets"]),
        **{
            name: format_duration(layout[name.replace("_", " ")])
            for name in ("reorder_window", "max_quiet", "max_ahead")
        },
    }
    return settings.model_copy(update={name: stored[name] for name in names})


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
        self._outbox = Outbox(store)
        self.trades = TradeWriter(store, self._outbox)
        self.settings = settings
        self._clock = clock
        self._load_model = load_model
        self._lanes: dict[str, Lane] = {}
        self._layouts: dict[bool, Layout] = {}
        self._ahead: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def lane(self, instrument: str, *, id_kind: str = "trade", contiguous: bool | None = None) -> Lane:
        """Return the lane of an instrument: from memory, from its stored state, or new.

        Args:
            instrument: ours.
            id_kind: what its ids count: ``trade``, ``aggregate`` or ``row``.
            contiguous: whether they are contiguous; None for an instrument that the store knows.

        Raises:
            UsageError: the store holds the instrument with ids of another kind.
        """
        lane = self._lanes.get(instrument)
        if lane is None:
            lane = self._lanes[instrument] = self._open(instrument, id_kind, contiguous)
        if contiguous is not None and lane.tape.id_kind != id_kind:
            raise UsageError(
                f"{instrument} trade ids",
                "are of another kind than those stored",
                expected=lane.tape.id_kind,
                was=id_kind,
                next_step="import it under another name with --instrument",
            )
        return lane

    def read_ahead(self) -> None:
        """Read what opening any lane needs in one go: a question to the store costs more than its answer."""
        names = [tape.instrument for tape in instruments(self.store)]
        self._ahead = {name: {kind: [] for kind in _ABOUT} for name in names}
        for kind in _ABOUT:
            for row in self.store.read(kind).to_pylist():
                if row["instrument"] in self._ahead:
                    self._ahead[row["instrument"]][kind].append(row)

    def about(self, instrument: str, kind: str) -> list[dict[str, Any]]:
        """Return an instrument's rows of a kind of which it has few, from what was read ahead or from the store."""
        if instrument in self._ahead:
            return self._ahead[instrument][kind]
        found: list[dict[str, Any]] = self.store.read(kind, instrument=instrument).to_pylist()
        return found

    def lanes(self) -> list[Lane]:
        """Return the lanes in use."""
        return list(self._lanes.values())

    def forget(self) -> None:
        """Leave all lanes: what they hold is ahead of a transaction that failed; they are opened anew when needed."""
        self._lanes.clear()
        self._ahead.clear()
        self._outbox.clear()

    def layout(self, *, contiguous: bool) -> Layout:
        """Return the layout for instruments whose ids are contiguous, or not."""
        if contiguous not in self._layouts:
            self._layouts[contiguous] = layout_of(self.settings, contiguous=contiguous)
        return self._layouts[contiguous]

    def pipeline(self, tape: TapeInfo) -> Pipeline:
        """Return a new pipeline for a tape."""
        layout = self.layout(contiguous=tape.contiguous)
        return Pipeline(tape.instrument, layout, load_model=self._load_model)

    def _open(self, instrument: str, id_kind: str, contiguous: bool | None) -> Lane:
        known = self.about(instrument, "instruments")
        if known:
            return self._reopen(TapeInfo(**known[0]))
        if contiguous is None:
            info(self.store, instrument)
        tape = TapeInfo(instrument, venue_of(instrument), id_kind, bool(contiguous), self._clock.now())
        self.store.append("instruments", rows.from_dicts("instruments", asdict(tape)))
        return Lane(tape, self.pipeline(tape))

    def _reopen(self, tape: TapeInfo) -> Lane:
        lane = Lane(tape, self.pipeline(tape))
        taken = rows.to_decisions(rows.from_dicts("decisions", *self.about(tape.instrument, "decisions")))
        lane.decisions = len(taken)
        given_up = [(one.position + 1, one.value) for one in taken if one.kind is DecisionKind.GIVE_UP]
        lane.given_up = sorted(given_up)
        gaps = self.about(tape.instrument, "gaps")
        lane.gaps = {_span(gap): GapStatus(gap["status"]) for gap in gaps if gap["status"] != GapStatus.HEALED}
        lane.healed.add_spans([_span(gap) for gap in gaps if gap["status"] == GapStatus.HEALED])
        lane.unhealable = [span for span, status in lane.gaps.items() if status is GapStatus.UNHEALABLE]
        stored = self.about(tape.instrument, "states")
        mark, layout = stored[0]["layout"].rsplit("/", 1) if stored else (WHOLE, lane.pipeline.layout.hash)
        if layout != lane.pipeline.layout.hash:
            lane.stale = f"{STALE}the settings or the code of a feature changed"
            return lane
        lane.stale = mark
        if stored:
            lane.pipeline.restore(stored[0]["snapshot"])
        if not lane.stale:
            resume(self.store, tape, lane.pipeline, rows=self.settings.flush_rows, stored=taken)
        return lane

    def feed(self, lane: Lane, record: Record, *, keep_behind: bool = False) -> Outputs:
        """Feed one record and write all that follows, inside the caller's transaction.

        Args:
            lane: of the record's instrument.
            record: a frame or a decision.
            keep_behind: whether new trades whose moment has passed join the tape (an import, which folds anew
                afterwards) or go to the late trades (live).
        """
        outputs = self.fold(lane, record, keep_behind=keep_behind)
        self.flush()
        return outputs

    def fold(self, lane: Lane, record: Record, *, keep_behind: bool = False) -> Outputs:
        """Feed one record, and collect what follows from it until `flush`: one frame a lane between two of these."""
        if lane.bulk and isinstance(record, Frame):
            return self.trades.write_unfolded(lane, record)
        if isinstance(record, Decision):
            self._outbox.add("decisions", rows.from_decisions([record], first_seq=lane.decisions))
            lane.decisions += 1
            if record.kind is DecisionKind.GIVE_UP:
                lane.given_up = sorted([*lane.given_up, (record.position + 1, record.value)])
        elif lane.tape.contiguous and not lane.pipeline.ledger.started and len(record):
            first = int(record.trade_id.min())
            self.fold(lane, Decision(lane.tape.instrument, DecisionKind.START, first - 1, first))
        if isinstance(record, Frame) and not lane.tape.contiguous:
            record = self.trades.part(lane, record)
        outputs = lane.pipeline.feed(record)
        self.trades.write(lane, outputs, keep_behind=keep_behind)
        self._add_derived(lane, outputs)
        return outputs

    def flush(self) -> None:
        """Write what was collected, inside the caller's transaction."""
        self._outbox.flush()

    def keep_unfolded(self, lane: Lane) -> None:
        """From now on keep trades without folding them: they come in too little order to hold back the others."""
        lane.stale = f"{STALE}trades came out of order"
        lane.bulk = True
        lane.pipeline = self.pipeline(lane.tape)
        self.write_state(lane, gaps=False)

    def write_derived(self, lane: Lane, outputs: Outputs) -> None:
        """Write candles, features and predictions, inside the caller's transaction."""
        self._add_derived(lane, outputs)
        self.flush()

    def _add_derived(self, lane: Lane, outputs: Outputs) -> None:
        name = lane.tape.instrument
        for timeframe, candles in outputs.candles.items():
            self._outbox.add_candles(name, timeframe, candles)
        for features in lane.pipeline.layout.sets if outputs.features else ():
            for timeframe in outputs.candles:
                self._outbox.add_features(name, timeframe, features, outputs.features[timeframe, features.name])
        if outputs.predictions:
            now = self._clock.now()
            outputs.predictions = [replace(prediction, made_at=now) for prediction in outputs.predictions]
            self._outbox.add_predictions(outputs.predictions)
        if outputs.answers:
            now = self._clock.now()
            outputs.answers = [replace(answer, made_at=now) for answer in outputs.answers]
            self._outbox.add("answers", rows.from_answers(outputs.answers))

    def write_state(self, lane: Lane, *, gaps: bool = True) -> None:
        """Write the state of a lane and the gaps of its ledger, inside the caller's transaction."""
        if gaps:
            self.write_gaps(lane)
        self.write_states([lane])

    def write_states(self, lanes: Sequence[Lane]) -> None:
        """Write the states of lanes, inside the caller's transaction; a restart folds the tape on from them.

        Trades that wait are on the tape, and not in the state: behind a gap of a busy market a million may, and a
        database of little memory that is to keep them twice cannot even be opened again.
        """
        states = [
            {
                "instrument": lane.tape.instrument,
                "layout": f"{lane.stale}/{lane.pipeline.layout.hash}",
                "snapshot": lane.pipeline.snapshot(waiting=False),
            }
            for lane in lanes
        ]
        if states:
            self.store.upsert("states", rows.from_dicts("states", *states))

    def write_gaps(self, lane: Lane, *, healing: bool = False) -> list[dict[str, Any]] | None:
        """Bring the stored gaps up to date, inside the caller's transaction; return them, None if nothing changed.

        One that was given up, or that trades asked for have filled (``healing``), is healed; others just vanish. Of the
        healed ones the newest are returned.
        """
        self._ahead.pop(lane.tape.instrument, None)
        return write_gaps(self.store, lane, healing=healing)

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


def _span(gap: dict[str, Any]) -> Span:
    return gap["first_missing"], gap["last_missing"]
