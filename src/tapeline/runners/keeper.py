"""The keeper: deliveries and decisions in, committed transactions out. One thread, no socket, no waiting.

Each call is one transaction; after one that failed everything in memory is left, for it is ahead of what is stored,
and opened anew from the store by the next call. What was committed waits in `made` for whoever publishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from tapeline.clock import Clock, parse_duration
from tapeline.config import Settings
from tapeline.errors import StoreError, StoreUnavailable, UsageError
from tapeline.hub import Committed
from tapeline.ingest.base import Delivery, Missing, Source, Standing
from tapeline.intervals import overlaps
from tapeline.lane import Lane, Span
from tapeline.pipeline import Outputs
from tapeline.recorder import Recorder
from tapeline.refold import refold
from tapeline.registry import Entry, Registry
from tapeline.runners.champions import absent_models, due_models
from tapeline.runners.standing import standing_of
from tapeline.runners.telling import Telling
from tapeline.runners.watch import Batch, Facts, Mail, Taken, VenueTime, Watch, mail_of
from tapeline.serving import champion_loader
from tapeline.stores import rows
from tapeline.stores.base import Store, TakesParts
from tapeline.types import Counters, Decision, DecisionKind, Frame, Timeframe, venue_of

Answer = TypeVar("Answer")
GapRows = list[dict[str, Any]]

SAVE_AT_ONCE = 8
"""States that one commit stores at most: each is some 100 KB."""
GIVE_UP_AT_ONCE = 64
"""Gaps that one transaction gives up: each by itself would store all others with it."""


class Keeper:
    """Keep what ingest delivers.

    Args:
        open_store: opens the database; again after a failure.
        settings: timeframes, feature sets and limits.
        clock: tells when predictions were made.
        timer: ns of a clock that only runs forward.
        joins: whether trades whose moment has passed join the tape, which `close` then folds anew (a backfill of the
            past), or go to the late trades (live).
        ending: whether it is to end, and nothing that takes long is gone on with.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        settings: Settings,
        *,
        clock: Clock,
        timer: Callable[[], int],
        joins: bool = False,
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self.telling = Telling(timer)
        self.refused: dict[str, str] = {}
        self._open_store = open_store
        self._settings = settings
        self._clock = clock
        self._timer = timer
        self._joins = joins
        self._ending = ending
        self._recorder: Recorder | None = None
        self._parts = False
        self._stored = 0
        self._lanes: dict[str, Lane] = {}
        self._lost: set[str] = set()
        self._models: dict[str, list[Entry]] | None = None
        self._watches: dict[str, Watch] = {}
        self._times: dict[str, VenueTime] = {}
        self._grace = parse_duration(settings.quiet_grace)
        self._save_every = parse_duration(settings.state_interval)
        self._step = min(Timeframe.parse(name).step for name in settings.timeframes)

    @property
    def made(self) -> list[Committed]:
        """Return what was committed and waits to be published."""
        return self.telling.made

    @property
    def facts(self) -> dict[str, Facts]:
        """Return the facts of each instrument."""
        return self.telling.facts

    @property
    def recorder(self) -> Recorder:
        """Return the recorder on the open store; opens it where it is not.

        Raises:
            StoreError: the database cannot be had.
        """
        if self._recorder is None:
            store = self._open_store()
            self._parts = isinstance(store, TakesParts) and not self._joins
            self._recorder = Recorder(store, self._settings, clock=self._clock, load_model=champion_loader(store))
            with self._transaction() as recorder:
                recorder.write_sets()
                recorder.read_ahead()
        return self._recorder

    def open(self) -> None:
        """Open the database where it was left, and the instruments that were followed.

        Raises:
            StoreError: it cannot be had.
        """
        assert self.recorder is not None
        for name in sorted(self._lost):
            self._lane(name)

    def abandon(self) -> None:
        """Leave everything in memory, and the store."""
        recorder, self._recorder = self._recorder, None
        self._lost.update(self._lanes)
        self._lanes.clear()
        self._models = None
        if recorder is not None:
            with suppress(StoreError):
                recorder.store.close()

    @contextmanager
    def _transaction(self) -> Iterator[Recorder]:
        recorder, done = self.recorder, False
        try:
            with recorder.store.transaction():
                yield recorder
            done, self._stored = True, self._clock.now()
        finally:
            if not done:
                self.abandon()

    def commit(self, taken: Sequence[Taken]) -> None:
        """Fold deliveries and store all that follows.

        Frames of an instrument whose ids are of another kind than those stored are refused, and said to be.

        Raises:
            StoreError: not all of it is stored.
        """
        for batch in self.parted(taken):
            self.keep(batch)

    def parted(self, taken: Sequence[Taken]) -> list[Batch]:
        """Part deliveries into commits: first each instrument whose candles close, then all others together.

        What follows from a candle is waited for, and should not wait for other candles. Where a commit costs much, all
        are one.
        """
        mails = mail_of(taken)
        closing = [self._parts and self._closes(mail) for mail in mails]
        batches = [Batch([mail]) for mail, closes in zip(mails, closing, strict=True) if closes]
        rest = [mail for mail, closes in zip(mails, closing, strict=True) if not closes]
        batches += [Batch(rest)] if rest or not batches else []
        batches[-1].taken = taken
        return batches

    def _closes(self, mail: Mail) -> bool:
        """Say whether live trades reach the end of a candle."""
        lane = self._lanes.get(mail.instrument)
        due = lane.pipeline.next_close if lane else None
        newest = mail.frames[-1].ts_event[-1:]
        return due is not None and not mail.healing and bool((newest >= due).any())

    def keep(self, batch: Batch) -> None:
        """Commit a batch.

        Raises:
            StoreError: nothing of it is stored.
        """
        work = [(lane, mail) for mail in batch.mails if (lane := self._welcome(mail))]
        given: list[tuple[Lane, Outputs, GapRows | None]] = []
        with self._transaction() as recorder:
            for lane, mail in work:
                lane.counters = Counters()
                outputs = recorder.fold(lane, Frame.concat(mail.frames), keep_behind=self._joins)
                given.append((lane, outputs, recorder.write_gaps(lane, healing=mail.healing)))
                self._watch(lane).unsaved = True
            recorder.flush()
            if dead := [letter for delivery, _ in batch.taken for letter in delivery.dead]:
                recorder.store.append("dead_letters", rows.from_dead_letters(dead))
            if batch.taken:
                self._save()
        for delivery, at in batch.taken:
            self._note(delivery, at)
        for lane, outputs, gaps in given:
            self._tell(lane, outputs, gaps)
            self._relieve(lane)
            self._adopt(lane)

    def _welcome(self, mail: Mail) -> Lane | None:
        """Return the lane of an instrument, None where it has ids of another kind: that is said to whoever sent it."""
        try:
            return self._lane(mail.instrument, mail.id_kind, contiguous=mail.contiguous)
        except UsageError as error:
            self.refused[mail.instrument] = str(error)
            return None

    def _lane(self, name: str, id_kind: str = "trade", *, contiguous: bool | None = None) -> Lane:
        """Return the lane of an instrument, folded to the end of its tape, with its champions answering."""
        lane = self.recorder.lane(name, id_kind=id_kind, contiguous=contiguous)
        if name not in self._lanes:
            if lane.stale:
                self._refold(lane, ending=self._ending)
            self._watches.setdefault(name, Watch()).adopted = False
            self.telling.count_gaps(lane)
            self._lanes[name] = lane
            self._lost.discard(name)
            self._adopt(lane)
            self.telling.facts_of(lane).warmup = lane.pipeline.warmup
        return lane

    def _refold(self, lane: Lane, *, ending: Callable[[], bool] = lambda: False) -> None:
        facts = self.telling.facts_of(lane)
        steps, done = refold(self.recorder, lane), 0
        while not ending() and (count := next(steps, None)) is not None:
            done += count
            facts.note = f"folding its stored tape anew: {done:,} trades done"
        facts.note = ""
        if lane.stale:
            raise StoreUnavailable(lane.tape.instrument, "is not folded anew yet", next_step="the next start goes on")

    def _adopt(self, lane: Lane) -> None:
        """Let the champions of the registry answer from now on, where they do not yet."""
        watch = self._watch(lane)
        if watch.adopted or lane.stale or lane.pipeline.ledger.moment is None:
            return
        watch.adopted = True
        facts = self.telling.facts_of(lane)
        due = due_models(self.recorder.store, lane, self._entries(lane.tape.instrument))
        if due.decisions:
            with self._transaction() as recorder:
                for decision in due.decisions:
                    recorder.feed(lane, decision)
        facts.note = absent_models(lane, due)
        facts.warmup = lane.pipeline.warmup

    def _entries(self, instrument: str) -> list[Entry]:
        """Return the models of an instrument, read for all of them at once."""
        if self._models is None:
            self._models = {}
            for entry in Registry(self.recorder.store).entries():
                self._models.setdefault(entry.instrument, []).append(entry)
        return self._models.get(instrument, [])

    def _save(self, lanes: Iterable[Lane] | None = None) -> None:
        """Store states inside the caller's transaction; by default those not stored for long enough, a few of them."""
        at = self._timer()
        due = self._due(at) if lanes is None else list(lanes)
        for lane in due:
            watch = self._watch(lane)
            watch.saved, watch.unsaved = at, False
        self.recorder.write_states(due)

    def _due(self, at: int) -> list[Lane]:
        """Return the lanes whose state is to be stored: at once where trades of the past have joined the tape."""
        moved = [(watch.saved, lane) for lane in self._lanes.values() if (watch := self._watch(lane)).unsaved]
        moved.sort(key=lambda one: one[0])
        waited = [lane for saved, lane in moved if at - saved >= self._save_every and not lane.stale]
        return [lane for _, lane in moved if lane.stale] + waited[:SAVE_AT_ONCE]

    def _watch(self, lane: Lane) -> Watch:
        return self._watches[lane.tape.instrument]

    def _note(self, delivery: Delivery, at: int) -> None:
        """Note what live trades tell of their venue's time."""
        if delivery.source is not Source.LIVE:
            return
        told = [frame for frame in delivery.frames if len(frame) and frame.instrument in self._lanes]
        for frame in {venue_of(frame.instrument): frame for frame in told}.values():  # the last of a venue counts
            self._time(frame.instrument).saw(frame, at)

    def _time(self, instrument: str) -> VenueTime:
        return self._times.setdefault(instrument.rpartition(".")[2], VenueTime())

    def _tell(self, lane: Lane, outputs: Outputs, gaps: GapRows | None) -> None:
        self.telling.tell(lane, outputs, gaps, stored=self._stored)

    def _relieve(self, lane: Lane) -> None:
        """Keep what waits behind gaps bounded."""
        if lane.pipeline.ledger.pending > self._settings.max_pending:
            self._give_up(lane, lane.pipeline.ledger.awaited())

    def give_up(self, *missing: Missing) -> None:
        """Decide that the venue cannot give these ids (of one instrument, at least one) any more.

        Raises:
            StoreError: it is not stored.
        """
        lane = self._lane(missing[0].instrument)
        asked = sorted((gap.first, gap.last) for gap in missing)
        self._give_up(lane, list(overlaps(lane.pipeline.ledger.awaited(), asked)))

    def _give_up(self, lane: Lane, spans: list[Span]) -> None:
        for at in range(0, len(spans), GIVE_UP_AT_ONCE):
            given = []
            with self._transaction() as recorder:
                for first, last in spans[at : at + GIVE_UP_AT_ONCE]:
                    lane.counters = Counters()
                    lane.unhealable.append((first, last))
                    decision = Decision(lane.tape.instrument, DecisionKind.GIVE_UP, first - 1, last)
                    given.append((recorder.fold(lane, decision), lane.counters))
                recorder.flush()
                gaps = recorder.write_gaps(lane)
                self._watch(lane).unsaved = True
                self._save()
            for outputs, counters in given:
                lane.counters = counters
                self._tell(lane, outputs, gaps if outputs is given[-1][0] else None)

    def standing(self, instrument: str) -> Standing:
        """Return where the tape of an instrument ends.

        Raises:
            StoreError: the database cannot be read.
        """
        if instrument not in self._lanes and not self.recorder.about(instrument, "instruments"):
            return Standing(instrument, None, None)
        return standing_of(self.recorder.store, self._lane(instrument))

    def live(self, instruments: Sequence[str], heard: int | None) -> None:
        """Note up to when (ns of the timer) all was heard that the venue said of instruments; None: trades may miss.

        Only up to there is silence a quiet market, whatever happened to us or to the connection since.
        """
        for name in instruments:
            self._watches.setdefault(name, Watch()).heard = heard

    def shown(self, venue: str, now: int, at: int) -> None:
        """Note what the own clock of a venue showed (ns UTC) at an instant of the timer."""
        self._times.setdefault(venue, VenueTime()).begin(min(now, self._clock.now()), at)

    def tick(self) -> None:
        """Do what time asks for: close quiet candles, show running ones, store states.

        Raises:
            StoreError: nothing of it is stored.
        """
        self.open()
        quiet = [(lane, decision) for lane in self._lanes.values() if (decision := self._silence(lane))]
        if quiet or self._due(self._timer()):
            with self._transaction() as recorder:
                for lane, _ in quiet:
                    lane.counters, self._watch(lane).unsaved = Counters(), True
                given = [(lane, recorder.fold(lane, decision)) for lane, decision in quiet]
                recorder.flush()
                self._save()
            for lane, outputs in given:
                self._tell(lane, outputs, None)
        for lane in self._lanes.values():
            self.telling.show(lane)

    def _silence(self, lane: Lane) -> Decision | None:
        """Return the decision that closes what a quiet market has left open, None where there is nothing to close."""
        name, ledger = lane.tape.instrument, lane.pipeline.ledger
        heard, due, position = self._watches[name].heard, lane.pipeline.next_close, ledger.moment
        now = None if heard is None else self._time(name).at(heard)
        if now is None or due is None or position is None:
            return None
        until = (now - self._grace - (0 if lane.tape.contiguous else ledger.reorder_window)) // self._step * self._step
        if due > until or (lane.tape.contiguous and ledger.pending):
            return None
        return Decision(name, DecisionKind.CLOCK, position, until)

    def change(self, function: Callable[[Store], Answer]) -> Answer:
        """Change the registry in a transaction, and let the champions that follow from it answer.

        Raises:
            StoreError: nothing of it is stored.
        """
        store, self._models = self.recorder.store, None
        with store.transaction():
            answer = function(store)
        for lane in self._lanes.values():
            self._watch(lane).adopted = False
            self._adopt(lane)
        return answer

    def close(self) -> None:
        """Store the states, fold anew what trades of the past have joined, and release the store. Idempotent.

        Raises:
            StoreError: it cannot be written.
        """
        if self._recorder is None:
            return
        stale = [lane for lane in self._lanes.values() if lane.stale]
        if self._lanes:
            with self._transaction():
                self._save(self._lanes.values())
        for lane in stale:
            self._refold(lane)
        self.abandon()
