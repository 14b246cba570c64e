from __future__ import annotations

import errno
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tapeline.errors import StoreUnavailable
from tapeline.features import FeatureRows
from tapeline.stores._commit_log import left_behind, paths
from tapeline.stores._duckdb_changes import NONE
from tapeline.stores.base import KINDS, Store
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.logged import LoggedStore
from tapeline.stores.memory import MemoryStore
from tapeline.stores.parts import CandlePart, FeaturePart, Part, PredictionPart
from tapeline.stores.rows import from_dicts, from_parts, to_frame
from tapeline.testing.stores import StoreSuite, some_trades
from tapeline.types import CANDLE, Frame, Prediction

NAME = "BTC-USD.SIM"
FILE = "tape.duckdb"


class Planned(Exception):
    pass


class TestLoggedStore(StoreSuite):
    examples = 6

    @staticmethod
    def open(folder: Path) -> Store:
        return logged(folder)


def logged(folder: Path, *, pause: float | None = None) -> LoggedStore:
    return LoggedStore(DuckDBStore(folder / FILE, threads=1), pause=pause)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LoggedStore]:
    with closing(logged(tmp_path)) as store:
        yield store


@pytest.fixture
def after_a_crash(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Copy what lies on the disk now, as a killed process would leave it."""

    def copy() -> Path:
        return Path(shutil.copytree(tmp_path, tmp_path_factory.mktemp("crash") / "left"))

    return copy


def frame(first: int, count: int) -> Frame:
    return to_frame(NAME, some_trades(first, count, NAME))


def state(number: int) -> pa.Table:
    return from_dicts("states", {"instrument": NAME, "layout": "/a", "snapshot": bytes([number])})


def candle(number: int) -> pa.Table:
    row: dict[str, Any] = dict.fromkeys(KINDS["candles"].schema.names, 1.0)
    row |= {"instrument": NAME, "timeframe": "1m", "source": "trades", "complete": True, "restart": False, "trades": 1}
    return from_dicts("candles", row | {"open_time": number * 60, "close_time": number * 60 + 60})


def ids(folder: Path, *, read_only: bool = False) -> list[int]:
    with DuckDBStore(folder / FILE, read_only=read_only) as store:
        found: list[int] = store.read("trades")["trade_id"].to_pylist()
        return found


def parts(number: int) -> dict[str, Part]:
    """Return what a fold gives as a candle closes."""
    as_of = 60 * number + 60
    candles = np.zeros(1, CANDLE)
    candles["open_time"], candles["close_time"], candles["close"], candles["vwap"] = as_of - 60, as_of, 7.0, math.nan
    made = FeatureRows(np.array([as_of]), np.array([[number, math.nan, 2.0]]), np.array([True]))
    texts = (
        NAME,
        "1m",
        as_of,
        as_of,
        60,
        as_of + 60,
        0.1,
        -0.1,
        0.2,
        math.nan,
        7.0,
        "ridge",
        "v1",
        "bars",
        "f1",
        "hash",
    )
    return {
        "trades": frame(number, 1),
        "candles": CandlePart(NAME, "1m", candles),
        "features": FeaturePart(NAME, "1m", "bars", "f1", made),
        "predictions": PredictionPart([Prediction(f"id {number}", *texts)]),
    }


def commit(store: LoggedStore, number: int) -> None:
    with store.transaction():
        store.append_parts("trades", [frame(number, 1)])
        store.append("candles", candle(number))
        store.upsert("states", state(number))


@pytest.mark.parametrize("read_only", [False, True])
def test_what_was_committed_outlives_the_process(
    store: LoggedStore, after_a_crash: Callable[[], Path], *, read_only: bool
) -> None:
    for number in range(1, 4):
        commit(store, number)
    left = after_a_crash()
    with DuckDBStore(left / FILE, read_only=read_only) as found:
        for kind in ("trades", "candles", "states"):
            assert found.read(kind).equals(store.read(kind))
    assert found.read_only is read_only
    assert not left_behind(left / FILE)


def test_a_crash_while_commits_are_merged_doubles_nothing(
    store: LoggedStore, after_a_crash: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, 1)
    copies: list[Path] = []
    clear = store._log.clear

    def crash() -> None:
        commit(store, 2)  # of another thread, while the first are in DuckDB and in their file
        copies.append(after_a_crash())
        clear()

    monkeypatch.setattr(store._log, "clear", crash)
    store.settle()
    assert ids(copies[0]) == [1, 2]
    with DuckDBStore(copies[0] / FILE) as found:
        assert found.read("states")["snapshot"].to_pylist() == [bytes([2])]
        assert len(found.read("candles")) == 2


def test_a_record_cut_short_is_none(store: LoggedStore, after_a_crash: Callable[[], Path]) -> None:
    file = paths(store.path)[0]
    commit(store, 1)
    end = file.stat().st_size
    commit(store, 2)
    left = after_a_crash()
    whole = paths(left / FILE)[0].read_bytes()
    for cut in (end, end + 1, (end + len(whole)) // 2, len(whole) - 1):
        again = left.with_name(f"cut {cut}")
        shutil.copytree(left, again)
        paths(again / FILE)[0].write_bytes(whole[:cut])
        assert ids(again) == [1]
    paths(left / FILE)[0].write_bytes(whole[: end + 60] + b"?" + whole[end + 61 :])
    assert ids(left) == [1]


def test_what_is_missing_ends_the_log(store: LoggedStore, after_a_crash: Callable[[], Path]) -> None:
    commit(store, 1)
    commit(store, 2)
    store._log.turn()
    commit(store, 3)
    left = after_a_crash()
    first = paths(left / FILE)[0]
    first.write_bytes(first.read_bytes()[:-1])
    assert ids(left) == [1]


def test_the_log_of_another_database_is_left_out(
    store: LoggedStore, after_a_crash: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    commit(store, 1)
    left = after_a_crash()
    other = tmp_path_factory.mktemp("other")
    logged(other).close()
    shutil.copy(other / FILE, left / FILE)
    (left / f"{FILE}.wal").unlink(missing_ok=True)
    assert ids(left) == []


def test_a_failed_transaction_leaves_nothing_in_the_log(store: LoggedStore, after_a_crash: Callable[[], Path]) -> None:
    with suppress(Planned), store.transaction():
        store.append_parts("trades", [frame(1, 2)])
        raise Planned
    assert not left_behind(store.path)
    commit(store, 1)
    assert ids(after_a_crash()) == [1]
    assert store.read("trades")["trade_id"].to_pylist() == [1]


def test_a_transaction_that_reads_is_one_of_the_database(store: LoggedStore) -> None:
    commit(store, 1)
    with suppress(Planned), store.transaction():
        store.append_parts("trades", [frame(2, 1)])
        assert len(store.read("trades")) == 2
        store.delete("candles", NAME)
        raise Planned
    assert store.read("trades")["trade_id"].to_pylist() == [1]
    assert len(store.read("candles")) == 1


def test_trades_that_may_be_stored_are_compared(store: LoggedStore) -> None:
    store.append_parts("trades", [frame(3, 2)])
    store.append_parts("trades", [frame(1, 4)])
    store.append_parts("trades", [frame(7, 2), frame(6, 3)])
    assert store.read("trades")["trade_id"].to_pylist() == [1, 2, 3, 4, 6, 7, 8]


def test_parts_are_stored_as_their_rows(store: LoggedStore, after_a_crash: Callable[[], Path]) -> None:
    expected = MemoryStore()
    for number in (1, 2, 3):
        with store.transaction():
            for kind, part in parts(number).items():
                store.append_parts(kind, [part])
                expected.append(kind, from_parts(kind, [part]))
    with DuckDBStore(after_a_crash() / FILE) as found:
        for kind in parts(1):
            assert found.read(kind).equals(expected.read(kind))
            assert store.read(kind).equals(expected.read(kind))


@pytest.mark.parametrize("kind", ["trades", "candles", "features", "predictions"])
def test_parts_that_may_be_stored_are_compared(store: LoggedStore, kind: str) -> None:
    for number in (2, 1, 3, 2):
        store.append_parts(kind, [parts(number)[kind]])
    store.append_parts(kind, [parts(4)[kind], parts(4)[kind]])
    assert len(store.read(kind)) == 4


def test_candles_that_come_as_parts_are_told_as_changes(store: LoggedStore) -> None:
    seen = store.changes.mark
    for number in (1, 2):
        store.append_parts("candles", [parts(number)["candles"]])
    assert store.changes.since(seen, NAME, "1m") == 60
    given = store.changes.given(seen, store.changes.mark, NAME, "1m")
    assert given is not None
    assert given.equals(store.read("candles"))


def test_a_reader_has_all_that_was_committed(store: LoggedStore) -> None:
    commit(store, 1)
    with store.reader() as reader:
        commit(store, 2)
        assert reader.read("trades")["trade_id"].to_pylist() == [1]
        assert reader.changes.since(reader.mark, NAME, "1m") == 120
    with store.reader() as reader:
        assert reader.read("trades")["trade_id"].to_pylist() == [1, 2]
        assert reader.changes.since(reader.mark, NAME, "1m") == NONE


def test_a_reader_is_not_newer_in_number_than_in_rows(store: LoggedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(store, 1)
    merge = store._store.merge

    def and_then(changes: Any) -> None:
        merge(changes)
        commit(store, 2)  # between the merge and the reader's look

    monkeypatch.setattr(store._store, "merge", and_then)
    with store.reader() as reader:
        assert reader.read("trades")["trade_id"].to_pylist() == [1]
        assert reader.changes.since(reader.mark, NAME, "1m") == 120


def test_a_thread_merges_what_nobody_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merged = threading.Event()
    with closing(logged(tmp_path, pause=0.001)) as store:
        clear = store._log.clear

        def cleared() -> None:
            clear()
            merged.set()

        monkeypatch.setattr(store._log, "clear", cleared)
        commit(store, 1)
        assert merged.wait(60)
        assert not left_behind(store.path)


def test_too_much_is_merged_by_who_brings_it(store: LoggedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeline.stores.logged.MOST", 5)
    store.append_parts("trades", [frame(1, 5)])
    assert left_behind(store.path)
    store.append_parts("trades", [frame(6, 1)])
    assert not left_behind(store.path)


def test_what_cannot_be_merged_stays_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = logged(tmp_path)
    commit(store, 1)

    def full(changes: Any) -> None:
        raise StoreUnavailable("database", "the disk is full")

    monkeypatch.setattr(store._store, "merge", full)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        store.settle()
    with pytest.raises(StoreUnavailable, match="disk is full"), store.transaction():
        pass
    with pytest.raises(StoreUnavailable, match="disk is full"):
        store.read("trades")
    store.close()
    assert ids(tmp_path) == [1]


def test_a_full_disk_takes_nothing_of_a_commit(
    store: LoggedStore, after_a_crash: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, 1)
    write, calls = os.pwrite, list[int]()

    def full(file: int, data: bytes, place: int) -> int:
        calls.append(place)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[: len(data) // 2], place)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreUnavailable, match="the disk is full: expected room to write"):
        commit(store, 2)
    monkeypatch.undo()
    assert len(calls) == 2
    commit(store, 3)
    assert ids(after_a_crash()) == [1, 3]
    assert store.read("trades")["trade_id"].to_pylist() == [1, 3]


def test_a_clean_end_leaves_no_log(tmp_path: Path) -> None:
    with closing(logged(tmp_path)) as store:
        commit(store, 1)
    assert [path for path in paths(tmp_path / FILE) if path.exists()] == []
    assert ids(tmp_path, read_only=True) == [1]
