"""The writer: what is told was committed, what cannot be kept is refused, and nothing waits without bound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tapeline.clock import SECOND, ManualClock
from tapeline.config import load_settings
from tapeline.errors import BrokenInvariant, StoreLocked, StoreUnavailable, UsageError
from tapeline.hub import Committed
from tapeline.ingest.base import Delivery, Missing
from tapeline.lane import Lane
from tapeline.recorder import Recorder
from tapeline.refold import refold
from tapeline.runners.keeper import Keeper
from tapeline.runners.writer import Writer
from tapeline.simulator.market import JANUARY_2024, Market
from tapeline.stores.base import Store
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.memory import MemoryStore
from tapeline.types import Frame

NAME = "BTC-USD.SIM"
SETTINGS = load_settings(timeframes=("1m",), feature_sets=("bars",), queue=4, backoff_cap="100ms")
TAPE = Frame.concat(list(Market(5, instrument=NAME, trades_per_second=1.0).frames(trades=400)))


class Slow(MemoryStore):
    """A store that commits when it is let, and whose disk may be full."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.full = False
        self.refused = threading.Event()
        self.committed: list[int] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            assert self.gate.wait(10)
            if self.full:
                self.refused.set()
                raise StoreUnavailable("database", "the disk is full")
        self.committed.append(len(self._kinds["trades"]))


def writer(store: Store, publish: Callable[[Committed], None] = lambda committed: None) -> Writer:
    return Writer(lambda: store, SETTINGS, clock=ManualClock(JANUARY_2024), publish=publish)


def delivery(first: int, last: int) -> Delivery:
    return Delivery((TAPE.take(slice(first - 1, last)),), received=JANUARY_2024 - SECOND)


async def test_what_is_told_is_committed_and_in_order() -> None:
    store, seen = Slow(), list[tuple[int, int]]()

    def publish(one: Committed) -> None:
        if len(one.outputs.admission.accepted):
            seen.append((int(one.outputs.admission.accepted.trade_id[-1]), store.committed[-1]))

    async with writer(store, publish) as sink:
        for first in range(1, 400, 20):
            await sink.take(delivery(first, first + 19))
        assert (await sink.standing(NAME)).trade_id == 400
        assert all(last <= committed for last, committed in seen)
        assert [last for last, _ in seen] == sorted(last for last, _ in seen)
        assert seen[-1][0] == 400
        assert sink.latency["total"].count == 20
        assert sink.latency["total"].quantile(0.5) == pytest.approx(1e9, rel=0.1)


async def test_a_slow_disk_makes_larger_commits_then_waits() -> None:
    store, told = Slow(), list[Committed]()
    async with writer(store, told.append) as sink:
        await sink.take(delivery(1, 10))
        await sink.standing(NAME)
        told.clear()
        store.gate.clear()
        taking = [asyncio.create_task(sink.take(delivery(at, at + 9))) for at in range(11, 81, 10)]
        await asyncio.wait(taking, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(5):
            await asyncio.sleep(0)
        assert sum(task.done() for task in taking) == SETTINGS.queue
        assert sink.queued == SETTINGS.queue
        store.gate.set()
        await asyncio.gather(*taking)
        await sink.standing(NAME)
        assert sum(len(one.outputs.admission.accepted) for one in told) == 70
        assert len(told) < 7
        assert sink.queued == 0


async def test_who_reads_a_socket_waits_for_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeline.runners.writer._MOMENT", 60.0)
    store, told = Slow(), list[Committed]()
    async with writer(store, told.append) as sink:
        await sink.drained()  # nothing was taken
        for count in (1, 2):
            await sink.take(delivery(count * 10 - 9, count * 10))
            await sink.drained()
            assert (sink.queued, len(told)) == (0, count)


async def test_who_reads_a_socket_does_not_wait_for_a_slow_disk() -> None:
    store = Slow()
    async with writer(store) as sink:
        store.gate.clear()
        await sink.take(delivery(1, 10))
        async with asyncio.timeout(10):
            await sink.drained()
        assert sink.queued == 1
        store.gate.set()
        assert (await sink.standing(NAME)).trade_id == 10


async def test_what_was_heard_parts_no_transaction() -> None:
    store, told = Slow(), list[Committed]()
    async with writer(store, told.append) as sink:
        store.gate.clear()
        for first in range(1, 41, 10):
            await sink.take(delivery(first, first + 9))
            sink.live([NAME], 0)
        store.gate.set()
        assert (await sink.standing(NAME)).trade_id == 40
    assert 0 < len([one for one in told if len(one.outputs.admission.accepted)]) < 4


async def test_a_full_disk_is_said_and_nothing_taken_is_lost() -> None:
    store = Slow()
    async with writer(store) as sink:
        await sink.take(delivery(1, 10))
        await sink.standing(NAME)
        store.full = True
        await sink.take(delivery(11, 20))
        await asyncio.to_thread(store.refused.wait, 10)
        while sink.problem is None:
            await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="writer: can keep nothing now: database: the disk is full"):
            await sink.take(delivery(21, 30))
        with pytest.raises(StoreUnavailable):
            await sink.standing(NAME)
        store.full = False
        while sink.problem is not None:
            await asyncio.sleep(0)
        assert (await sink.standing(NAME)).trade_id == 20
        await sink.take(delivery(21, 30))
    assert store.read("trades").num_rows == 30


async def test_it_closes_while_the_disk_is_full() -> None:
    store = Slow()
    async with writer(store) as sink:
        store.full = True
        await sink.take(delivery(1, 10))
        await asyncio.to_thread(store.refused.wait, 10)
    assert store.read("trades").num_rows == 0
    with pytest.raises(StoreUnavailable, match="is closing"):
        await sink.take(delivery(1, 10))
    await sink.close()


async def test_closing_keeps_all_that_was_taken_and_the_state() -> None:
    store = Slow()
    sink = writer(store)
    await sink.start()
    for first in range(1, 41, 10):
        await sink.take(delivery(first, first + 9))
    await sink.close()
    assert store.read("trades").num_rows == 40
    again = Keeper(lambda: store, SETTINGS, clock=ManualClock(), timer=lambda: 0)
    assert again.standing(NAME).trade_id == 40


async def test_closing_ends_a_fold_of_the_whole_tape_and_the_next_start_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, steps, going_on = Slow(), list[int](), threading.Event()

    def refolded(recorder: Recorder, lane: Lane) -> Iterator[int]:
        for count in refold(recorder, lane):
            steps.append(count)
            yield count
            going_on.wait(0 if len(steps) > 1 else 10)

    async with writer(store) as sink:
        await sink.take(delivery(1, 400))
    monkeypatch.setattr("tapeline.runners.keeper.refold", refolded)
    settings = SETTINGS.model_copy(update={"timeframes": ("2m",), "flush_rows": 50})
    sink = Writer(lambda: store, settings, clock=ManualClock(JANUARY_2024))
    await sink.start()
    asking = [asyncio.create_task(sink.standing(NAME)) for _ in range(2)]
    while len(steps) < 1:
        await asyncio.sleep(0)
    closing = asyncio.create_task(sink.close())
    await asyncio.sleep(0)
    going_on.set()
    await closing
    for one in await asyncio.gather(*asking, return_exceptions=True):
        assert "is not folded anew yet; the next start goes on" in str(one)
    stopped = len(steps)

    async with Writer(lambda: store, settings, clock=ManualClock(JANUARY_2024)) as sink:
        assert (await sink.standing(NAME)).trade_id == 400
    assert stopped < len(steps)
    assert sum(steps) == 400


async def test_ids_of_another_kind_are_refused() -> None:
    async with writer(Slow()) as sink:
        await sink.take(delivery(1, 10))
        await sink.take(Delivery((TAPE.take(slice(10, 20)),), id_kind="aggregate"))
        await sink.standing(NAME)
        with pytest.raises(UsageError, match="of another kind"):
            await sink.take(Delivery((TAPE.take(slice(20, 30)),), id_kind="aggregate"))


async def test_a_gap_is_given_up() -> None:
    told: list[Committed] = []
    async with writer(Slow(), told.append) as sink:
        await sink.take(delivery(1, 10))
        await sink.take(delivery(21, 30))
        (gap,) = (await sink.standing(NAME)).missing
        assert (gap.first, gap.last) == (11, 20)
        await sink.give_up(gap)
        await sink.give_up(Missing(NAME, 1, 5, 0, 0))
        assert (await sink.standing(NAME)).missing == ()
        assert told[-1].gaps is not None
        assert [(one.first_missing, one.last_missing, one.status) for one in told[-1].gaps] == [(11, 20, "unhealable")]


async def test_a_bug_of_ours_ends_it_and_is_told() -> None:
    def bug(keeper: Keeper) -> None:
        raise BrokenInvariant("test", "is broken")

    sink = writer(Slow())
    await sink.start()
    with pytest.raises(BrokenInvariant):
        await sink.call(bug)
    assert (await sink.standing(NAME)).trade_id is None, "whoever asked is told; the thread goes on"
    await sink.close()


async def test_a_database_that_another_owns_is_refused_at_start(tmp_path: Path) -> None:
    db = tmp_path / "a.duckdb"
    with DuckDBStore(db):
        sink = Writer(lambda: DuckDBStore(db), SETTINGS, clock=ManualClock())
        with pytest.raises(StoreLocked):
            await sink.start()
    async with Writer(lambda: DuckDBStore(db), SETTINGS, clock=ManualClock()) as sink:
        await sink.take(delivery(1, 10))
    with DuckDBStore(db, read_only=True) as store:
        assert len(store.read("trades")) == 10
