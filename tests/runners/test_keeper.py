"""The keeper: wherever it is killed, what is stored is what the tape gives, and nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.clock import MINUTE, SECOND, ManualClock
from tapeline.config import load_settings
from tapeline.errors import StoreUnavailable
from tapeline.features import FeatureSet
from tapeline.ingest.base import Delivery, Missing, Source
from tapeline.lane import STALE
from tapeline.recorder import Recorder
from tapeline.refold import refold
from tapeline.runners.embedded import open_database
from tapeline.runners.keeper import Keeper
from tapeline.runners.watch import Taken
from tapeline.simulator.market import JANUARY_2024, Market
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.stores.memory import MemoryStore
from tapeline.stores.parts import Part
from tapeline.types import DeadLetter, Frame
from tapeline.verify import verify

NAME = "BTC-USD.SIM"
SETTINGS = load_settings(timeframes=("1m", "5m"), feature_sets=("bars",), state_interval="3s")
TAPE = Frame.concat(list(Market(5, instrument=NAME, trades_per_second=1.0).frames(trades=700)))
KINDS = ("trades", "late_trades", "candles", "features", "gaps", "decisions", "dead_letters")


class Process:
    """A keeper over a store that outlives it, with a timer that is moved by hand."""

    def __init__(self, store: Store | None = None, *, contiguous: bool = True, **options: Any) -> None:
        self.store = MemoryStore() if store is None else store
        self.clock = ManualClock(JANUARY_2024)
        self.contiguous = contiguous
        self.options = options
        self.start()

    def start(self) -> None:
        self.keeper = Keeper(lambda: self.store, SETTINGS, clock=self.clock, timer=self.clock.now, **self.options)

    def kill(self) -> None:
        self.start()

    def hear(self) -> None:
        """Let the connection prove that nothing was said that is not here."""
        self.keeper.live([NAME], self.clock.now())

    def take(self, frame: Frame, source: Source = Source.LIVE, **more: Any) -> None:
        delivery = Delivery((frame,), source=source, contiguous=self.contiguous, **more)
        self.clock.advance(SECOND)
        self.keeper.commit([Taken(delivery, self.clock.now())])

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        return {kind: self.store.read(kind).to_pylist() for kind in KINDS}

    def assert_clean(self) -> None:
        assert verify(self.store, SETTINGS).findings == []


def part(first: int, last: int, frame: Frame = TAPE) -> Frame:
    """Return the trades from one place to another, by their ids."""
    return frame.take((frame.trade_id >= first) & (frame.trade_id <= last))


def arrivals(rng: np.random.Generator) -> list[Frame]:
    """Cut the tape at random, let pieces come out of order and some twice."""
    edges = np.sort(rng.integers(1, len(TAPE), 25))
    pieces = [TAPE.take(slice(a, b)) for a, b in zip([0, *edges], [*edges, len(TAPE)], strict=True) if b > a]
    for place in rng.integers(1, len(pieces) - 1, 4):
        pieces[place], pieces[place + 1] = pieces[place + 1], pieces[place]
    return [*pieces, *(pieces[i] for i in rng.integers(0, len(pieces), 3))]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_kills_change_nothing(seed: int, contiguous: bool) -> None:
    rng = np.random.default_rng(seed)
    pieces = arrivals(rng)
    whole, killed = Process(contiguous=contiguous), Process(contiguous=contiguous)
    for piece in pieces:
        whole.take(piece)
        killed.take(piece)
        if rng.random() < 0.4:
            killed.kill()
    assert killed.tables() == whole.tables()
    killed.assert_clean()
    whole.keeper.close()
    killed.kill()
    killed.keeper.standing(NAME)
    killed.keeper.close()
    assert killed.store.read("states").equals(whole.store.read("states"))


class Quick(MemoryStore):
    """A store whose commits cost little, and that may refuse one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[set[str]] = []
        self.refused = -1
        self._names: set[str] = set()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._names = set()
        with super().transaction():
            yield
            if len(self.commits) == self.refused:
                self.refused = -1
                raise StoreUnavailable("database", "the disk is full")
        self.commits.append(self._names)

    def append_parts(self, kind: str, parts: Sequence[Part]) -> None:
        table = rows.from_parts(kind, parts)
        self._names |= set(table["instrument"].to_pylist())
        self.append(kind, table)


def told(begin: int, end: int, *names: str) -> list[Taken]:
    """Return one delivery of the same trades of several instruments."""
    piece = TAPE.take(slice(begin, end))
    return [Taken(Delivery(tuple(replace(piece, instrument=name) for name in names)), 0)]


MINUTE_ENDS = int(np.searchsorted(TAPE.ts_event, TAPE.ts_event[0] // MINUTE * MINUTE + MINUTE))
"""The first trade that closes a candle."""


def test_instruments_whose_candles_close_are_committed_each_by_itself_and_first() -> None:
    store = Quick()
    process = Process(store)
    process.keeper.commit(told(0, MINUTE_ENDS, "A.SIM", "B.SIM") + told(0, 5, "C.SIM"))
    store.commits.clear()
    process.keeper.commit(told(5, 9, "C.SIM") + told(MINUTE_ENDS, MINUTE_ENDS + 5, "A.SIM", "B.SIM"))
    assert store.commits == [{"A.SIM"}, {"B.SIM"}, {"C.SIM"}]
    assert [one.instrument for one in process.keeper.made[-3:]] == ["A.SIM", "B.SIM", "C.SIM"]


def test_where_a_commit_costs_much_all_instruments_share_it() -> None:
    process = Process()
    process.keeper.commit(told(0, MINUTE_ENDS, "A.SIM", "B.SIM"))
    assert len(process.keeper.parted(told(MINUTE_ENDS, MINUTE_ENDS + 5, "A.SIM", "B.SIM"))) == 1


def test_what_is_refused_between_two_commits_is_kept_by_the_next_attempt() -> None:
    store = Quick()
    process = Process(store)
    process.keeper.commit(told(0, MINUTE_ENDS, "A.SIM", "B.SIM"))
    first, second = process.keeper.parted(told(MINUTE_ENDS, len(TAPE), "A.SIM", "B.SIM"))
    process.keeper.keep(first)
    store.refused = len(store.commits)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        process.keeper.keep(second)
    process.keeper.keep(second)
    for name in ("A.SIM", "B.SIM"):
        assert len(store.read("trades", instrument=name)) == len(TAPE)
        assert process.keeper.facts[name].totals.counts.get("duplicates", 0) == 0
    process.assert_clean()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_replay_takes_what_was_decided_by_time(seed: int, contiguous: bool) -> None:
    rng = np.random.default_rng(seed)
    process = Process(contiguous=contiguous)
    for piece in arrivals(rng):
        process.take(piece)
        if rng.random() < 0.3:
            process.clock.advance(3 * MINUTE)
            process.hear()
            process.keeper.tick()
        if rng.random() < 0.2:
            process.kill()
        if contiguous and rng.random() < 0.3:
            for gap in process.keeper.standing(NAME).missing:
                process.keeper.give_up(gap)
    process.assert_clean()
    kinds = set(process.store.read("decisions").column("kind").to_pylist())
    assert kinds <= {"start", "clock", "give_up"}


def test_states_are_stored_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    written: list[str] = []
    upsert = process.store.upsert

    def noting(kind: str, table: pa.Table) -> None:
        written.append(kind)
        upsert(kind, table)

    monkeypatch.setattr(process.store, "upsert", noting)
    for first in range(1, 100, 10):
        process.take(part(first, first + 9))
    assert written.count("states") == 4, "10 commits, 1 s apart, a state every 3 s"
    process.keeper.close()
    assert written.count("states") == 5


def test_a_gap_is_open_then_healed_or_unhealable() -> None:
    process = Process()
    process.take(part(1, 100))
    process.take(part(131, 200))
    process.take(part(221, 300))
    standing = process.keeper.standing(NAME)
    assert (standing.trade_id, standing.ts_event) == (300, int(TAPE.ts_event[299]))
    assert standing.missing == (
        Missing(NAME, 101, 130, int(TAPE.ts_event[99]), int(TAPE.ts_event[130])),
        Missing(NAME, 201, 220, int(TAPE.ts_event[199]), int(TAPE.ts_event[220])),
    )
    process.take(part(101, 115), Source.HEAL)
    process.take(part(116, 130), Source.HEAL)
    process.keeper.give_up(standing.missing[1])
    process.keeper.give_up(standing.missing[0])
    gaps = [
        (row["first_missing"], row["last_missing"], row["status"]) for row in process.store.read("gaps").to_pylist()
    ]
    assert gaps == [(101, 130, "healed"), (201, 220, "unhealable")]
    assert process.keeper.facts[NAME].gaps == {"open": 0, "healed": 1, "unhealable": 1}
    process.kill()
    assert process.keeper.standing(NAME).missing == ()
    process.take(part(201, 220), Source.HEAL)
    assert process.store.read("late_trades").num_rows == 20
    assert process.keeper.made[-1].late == 20
    process.take(part(201, 220), Source.HEAL)
    assert process.keeper.made[-1].duplicates == 20
    process.assert_clean()


@pytest.mark.parametrize("asked", [False, True])
def test_late_trades_of_a_gap_given_up_are_kept_aside_until_they_may_join(asked: bool) -> None:
    """They join by a fold of the whole tape (`tapeline rebuild`), or where the venue is asked (`gaps --heal`)."""
    process = Process()
    process.take(part(1, 100))
    process.take(part(131, 200))
    process.keeper.give_up(process.keeper.standing(NAME).missing[0])
    process.take(part(101, 130), Source.HEAL)
    assert process.store.read("late_trades")["trade_id"].to_pylist() == list(range(101, 131))
    assert process.store.read("gaps")["status"].to_pylist() == ["unhealable"]
    process.assert_clean()
    process.keeper.close()
    if asked:
        process.options["joins"] = True
        process.start()
        process.take(part(101, 130), Source.BACKFILL)
        assert process.store.read("trades")["trade_id"].to_pylist() == list(range(1, 201))
        process.keeper.close()
    else:
        recorder = Recorder(process.store, SETTINGS, clock=process.clock)
        lane = recorder.lane(NAME)
        lane.stale = STALE
        assert sum(refold(recorder, lane)) == 200
    assert process.store.read("late_trades").num_rows == 0
    assert process.store.read("gaps")["status"].to_pylist() in ([], ["healed"])
    whole = Process()
    whole.take(part(1, 200))
    whole.keeper.close()
    assert process.store.read("candles").equals(whole.store.read("candles"))
    process.assert_clean()


def test_trades_out_of_order_leave_no_trace() -> None:
    process = Process()
    process.take(part(1, 100))
    process.take(part(103, 200))
    assert process.keeper.made[-1].gaps is not None
    process.take(part(101, 102))
    assert process.store.read("gaps").num_rows == 0


def test_a_state_is_small_whatever_waits_behind_a_gap() -> None:
    """A state of megabytes, stored every few seconds, once filled the memory of a database that then never opened."""
    process = Process()
    process.take(part(1, 100))
    process.keeper.close()
    before = len(process.store.read("states")["snapshot"][0].as_py())
    process.start()
    process.take(part(102, 700))
    process.keeper.close()
    assert len(process.store.read("states")["snapshot"][0].as_py()) == before
    process.start()
    assert process.keeper.standing(NAME).missing[0].first == 101
    assert process.keeper.standing(NAME).trade_id == 700
    process.take(part(101, 101), Source.HEAL)
    assert process.keeper.facts[NAME].pending == 0
    process.assert_clean()


@pytest.mark.services
def test_a_database_can_be_opened_again_whatever_waits_behind_gaps(tmp_path: Path) -> None:
    """With what waits in the states, four busy markets behind a gap each filled the memory that a live database has."""
    clock = ManualClock(JANUARY_2024)
    names = [f"BTC-USD.V{number}" for number in range(4)]
    (tape,) = Market(5, instrument=NAME, trades_per_second=5000.0, steady=True).frames(trades=90_000, rows=90_000)
    tape = tape.take(tape.trade_id != 2)
    frames = [Frame(name, *tape.columns()) for name in names]

    def open_keeper() -> Keeper:
        return Keeper(lambda: open_database(tmp_path / "a.duckdb"), SETTINGS, clock=clock, timer=clock.now)

    keeper = open_keeper()
    for at in range(0, len(tape), 30_000):
        clock.advance(10 * SECOND)
        keeper.commit([Taken(Delivery((one.take(slice(at, at + 30_000)),)), clock.now()) for one in frames])
    keeper.close()
    again = open_keeper()
    for name in names:
        missing = again.standing(name).missing
        assert [(gap.first, gap.last) for gap in missing] == [(2, 2)]
    again.give_up(*again.standing(names[0]).missing)
    assert again.facts[names[0]].pending == 0
    again.close()


def test_many_gaps_are_given_up_with_few_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gap by itself, thousands of them once held up the writer for minutes."""
    process = Process()
    process.take(TAPE.take(TAPE.trade_id % 4 == 1))
    written: list[str] = []
    append = process.store.append

    def noting(kind: str, table: pa.Table) -> int:
        written.append(kind)
        return append(kind, table)

    monkeypatch.setattr(process.store, "append", noting)
    missing = process.keeper.standing(NAME).missing
    process.keeper.made.clear()
    process.keeper.give_up(*missing)
    assert len(missing) == 174
    assert written.count("decisions") == 3, "64 gaps at once"
    assert [one.gaps is not None for one in process.keeper.made].count(True) == 3
    assert process.keeper.facts[NAME].gaps == {"open": 0, "healed": 0, "unhealable": 174}
    assert process.keeper.facts[NAME].pending == 0
    process.assert_clean()


def test_too_much_behind_a_gap_gives_it_up() -> None:
    process = Process()
    few = SETTINGS.model_copy(update={"max_pending": 50})
    process.keeper = Keeper(lambda: process.store, few, clock=process.clock, timer=process.clock.now)
    process.take(part(1, 100))
    process.take(part(111, 200))
    assert process.keeper.facts[NAME].pending == 0 or process.keeper.standing(NAME).missing == ()
    assert process.store.read("gaps").column("status").to_pylist() == ["unhealable"]
    process.assert_clean()


def quiet(process: Process, *, proven: bool = True) -> list[int]:
    """Let three minutes pass, and return the close times of the candles that this closes."""
    process.keeper.made.clear()
    process.clock.advance(3 * MINUTE)
    if proven:
        process.hear()
    process.keeper.tick()
    closed = [one.outputs.candles["1m"] for one in process.keeper.made if "1m" in one.outputs.candles]
    return [int(time) for candles in closed for time in candles["close_time"]]


def test_quiet_candles_are_closed_by_the_clock() -> None:
    process = Process()
    process.take(part(1, 200))
    last = int(TAPE.ts_event[199])
    closed = quiet(process)
    until = (last + 3 * MINUTE - 2 * SECOND) // MINUTE * MINUTE
    assert closed[-1] == until
    assert quiet(process)[0] == until + MINUTE
    process.take(part(201, 210))
    assert process.store.read("late_trades").num_rows == 10, "their candle was closed as quiet"
    process.assert_clean()


@pytest.mark.parametrize("why", ["down", "gap", "unheard"])
def test_silence_that_is_not_known_to_be_silence_closes_nothing(why: str) -> None:
    process = Process()
    process.take(part(1, 200))
    process.hear()
    if why == "gap":
        process.take(part(205, 210))
    elif why == "down":
        process.keeper.live([NAME], None)
    assert quiet(process, proven=why == "gap") == []
    process.take(part(201, 204))
    assert quiet(process) != []


def test_before_the_venue_shows_its_time_our_clock_closes_no_quiet_candle() -> None:
    process = Process()
    process.take(part(1, 200))
    first_open = int(TAPE.ts_event[199]) // MINUTE * MINUTE + MINUTE
    process.clock.advance(first_open - process.clock.now() + MINUTE)
    process.kill()
    process.keeper.open()
    process.keeper.standing(NAME)
    closed = len(process.store.read("candles", timeframe="1m"))
    process.hear()
    process.keeper.tick()
    assert len(process.store.read("candles", timeframe="1m")) == closed, "nothing is known of the venue's time"
    skew = MINUTE + 30 * SECOND
    process.keeper.shown("SIM", process.clock.now() - skew, process.clock.now())
    process.hear()
    process.keeper.tick()
    assert len(process.store.read("candles", timeframe="1m")) == closed, "there it is too early"
    process.clock.advance(skew)
    process.hear()
    process.keeper.tick()
    assert len(process.store.read("candles", timeframe="1m")) > closed
    process.assert_clean()


def test_what_a_venue_shows_is_not_believed_ahead_of_our_clock() -> None:
    process = Process()
    process.take(part(1, 200))
    process.kill()
    process.keeper.standing(NAME)
    closed = len(process.store.read("candles"))
    process.keeper.shown("SIM", process.clock.now() + 3600 * SECOND, process.clock.now())
    process.hear()
    process.keeper.tick()
    assert len(process.store.read("candles")) == closed


def test_the_wall_clock_closes_nothing() -> None:
    process = Process()
    wall = ManualClock(JANUARY_2024)
    process.keeper = Keeper(lambda: process.store, SETTINGS, clock=wall, timer=process.clock.now)
    process.hear()
    process.take(part(1, 200))
    closed = len(process.store.read("candles"))
    wall.advance(3600 * SECOND)
    process.keeper.tick()
    wall.advance(-7200 * SECOND)
    process.keeper.tick()
    process.take(part(201, 400))
    assert set(process.store.read("decisions").column("kind").to_pylist()) == {"start"}
    assert len(process.store.read("candles")) > closed
    process.assert_clean()


def test_running_candles_are_shown_but_not_stored() -> None:
    process = Process()
    process.take(part(1, 3))
    running = process.keeper.made[-1].running
    assert running is not None
    assert running["1m"]["trades"].tolist() == [3]
    assert not running["1m"]["complete"][0]
    assert process.store.read("candles").num_rows == 0
    process.keeper.commit([Taken(Delivery((part(4, 5),)), process.clock.now())])
    assert process.keeper.made[-1].running is None, "shown a moment ago"
    process.keeper.tick()
    assert process.keeper.made[-1].running is None
    process.clock.advance(SECOND)
    process.keeper.tick()
    running = process.keeper.made[-1].running
    assert running is not None
    assert running["1m"]["trades"].tolist() == [5]


class Failing(MemoryStore):
    """A store whose disk is full while ``full``."""

    full = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            if self.full:
                raise StoreUnavailable("database", "the disk is full")


def test_a_failed_transaction_leaves_nothing_behind() -> None:
    store = Failing()
    process, whole = Process(store), Process()
    for first in range(1, 700, 100):
        piece = part(first, first + 99)
        whole.take(piece)
        store.full = first % 200 == 1
        if store.full:
            before = process.tables()
            with pytest.raises(StoreUnavailable):
                process.take(piece)
            assert process.tables() == before
            store.full = False
        process.take(piece)
    assert process.tables() == whole.tables()
    process.assert_clean()


def test_ids_of_another_kind_are_refused_and_said_to_be() -> None:
    process = Process()
    process.take(part(1, 10))
    process.take(part(11, 20), id_kind="aggregate")
    assert "ids: are of another kind" in process.keeper.refused[NAME]
    assert process.store.read("trades").num_rows == 10


def test_dead_letters_are_kept() -> None:
    process = Process()
    letter = DeadLetter("SIM", "cannot be read", b"rubbish", 5, NAME)
    process.take(part(1, 10), dead=(letter,))
    assert process.store.read("dead_letters").column("raw").to_pylist() == [b"rubbish"]


def test_the_past_joins_the_tape_where_it_is_asked_to() -> None:
    process = Process(joins=True)
    process.take(part(301, 700))
    process.take(part(1, 150), Source.BACKFILL)
    process.kill()
    process.take(part(151, 300), Source.BACKFILL)
    process.keeper.close()
    whole = Process()
    whole.take(TAPE)
    assert process.tables()["candles"] == whole.tables()["candles"]
    process.assert_clean()


def test_warm_up_counts_complete_candles_in_a_row_and_outlives_a_kill() -> None:
    process = Process()
    process.take(TAPE.take(slice(0, 300)))
    candles = process.store.read("candles", instrument=NAME, timeframe="1m").to_pylist()
    needed = FeatureSet.load("bars").window
    assert candles[0]["complete"] is False
    told = process.keeper.facts[NAME].warmup
    assert told["1m"] == (len(candles) - 1, needed)
    process.keeper.close()
    process.kill()
    process.keeper.standing(NAME)
    assert process.keeper.facts[NAME].warmup == told
