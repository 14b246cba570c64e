"""What commits changed of candles is told after they are committed, and never less than that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.stored import START, TRADED

from tapeline.clock import MINUTE
from tapeline.stores import rows
from tapeline.stores._duckdb_changes import ALL, MODELS, NONE
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import CANDLE


def candles(*minutes: int, close: float = 1.0) -> np.ndarray:
    made = np.zeros(len(minutes), CANDLE)
    made["open_time"] = START + MINUTE * np.array(minutes)
    made["close_time"] = made["open_time"] + MINUTE
    made["close"] = close
    return made


def add(store: DuckDBStore, *minutes: int, timeframe: str = "1m") -> None:
    store.append("candles", rows.from_candles(TRADED, timeframe, candles(*minutes)))


@pytest.fixture
def store(tmp_path: Path) -> DuckDBStore:
    return DuckDBStore(tmp_path / "tape.duckdb", threads=1)


def test_the_earliest_candle_since_a_mark_is_told(store: DuckDBStore) -> None:
    with store:
        begun = store.changes.mark
        add(store, 5, 6)
        between = store.changes.mark
        add(store, 9, 3, 7)
        add(store, 1, timeframe="5m")
        assert store.changes.since(begun, TRADED, "1m") == START + 3 * MINUTE
        assert store.changes.since(between, TRADED, "5m") == START + MINUTE
        assert store.changes.since(store.changes.mark, TRADED, "1m") == NONE
        assert store.changes.since(begun, "ETH-USD.SIM", "1m") == NONE


def test_that_models_changed_is_told(store: DuckDBStore) -> None:
    with store:
        mark = store.changes.mark
        add(store, 1)
        assert store.changes.since(mark, *MODELS) == NONE
        model = {"name": "a", "version": "1", "instrument": TRADED, "status": "candidate"}
        for status in ("candidate", "champion"):
            known = store.changes.mark
            store.upsert("models", rows.from_dicts("models", model | {"status": status}))
            assert store.changes.since(known, *MODELS) == ALL


def fail(store: DuckDBStore, mark: int) -> None:
    with store.transaction():
        add(store, 1)
        assert store.changes.since(mark, TRADED, "1m") == NONE
        assert store.changes.since(mark, TRADED, "1m", noted=True) == START + MINUTE
        raise ZeroDivisionError


def test_nothing_is_told_before_the_commit_or_after_a_rollback(store: DuckDBStore) -> None:
    with store:
        mark = store.changes.mark
        with pytest.raises(ZeroDivisionError):
            fail(store, mark)
        assert store.changes.since(mark, TRADED, "1m", noted=True) == NONE
        with store.transaction():
            add(store, 2)
        assert store.changes.since(mark, TRADED, "1m") == START + 2 * MINUTE


def test_what_replaces_or_removes_candles_is_told(store: DuckDBStore) -> None:
    with store:
        add(store, 1, 2, 3)
        mark = store.changes.mark
        store.upsert("candles", rows.from_candles(TRADED, "1m", candles(2, close=9.0)))
        assert store.changes.since(mark, TRADED, "1m") == START + 2 * MINUTE
        mark = store.changes.mark
        store.delete("candles", TRADED, start=START + 3 * MINUTE)
        assert store.changes.since(mark, TRADED, "1m") == START + 3 * MINUTE
        mark = store.changes.mark
        store.delete("candles", TRADED, source="trades")
        assert store.changes.since(mark, TRADED, "1m") == ALL


def test_how_candles_are_to_be_read_is_told_where_it_changes(store: DuckDBStore) -> None:
    def state(layout: str) -> None:
        store.upsert("states", rows.from_dicts("states", {"instrument": TRADED, "layout": layout, "snapshot": b"x"}))

    with store:
        state("/a")
        mark = store.changes.mark
        state("/a")
        assert store.changes.since(mark, TRADED, "1m") == NONE
        state("stale/a")
        assert store.changes.since(mark, TRADED, "1m") == ALL


def test_too_long_ago_means_everything(store: DuckDBStore) -> None:
    with store:
        mark = store.changes.mark
        for minute in range(1, 100):
            add(store, minute)
        assert store.changes.since(mark, TRADED, "1m") == ALL
        assert store.changes.since(store.changes.mark - 3, TRADED, "1m") == START + 97 * MINUTE


def test_of_a_closed_store_nothing_is_known(store: DuckDBStore) -> None:
    store.close()
    assert store.changes.since(store.changes.mark, TRADED, "1m") == ALL


def minutes_given(store: DuckDBStore, after: int) -> list[int] | None:
    table = store.changes.given(after, store.changes.mark, TRADED, "1m")
    return None if table is None else [(at - START) // MINUTE for at in table["open_time"].to_pylist()]


def test_what_commits_gave_is_remembered_in_the_order_it_came(store: DuckDBStore) -> None:
    with store:
        marks = [store.changes.mark]
        for minutes in ((1, 2), (3,), (9, 4)):
            with store.transaction():
                add(store, *minutes)
                add(store, 5, timeframe="5m")
            marks.append(store.changes.mark)
        assert [minutes_given(store, mark) for mark in marks] == [[1, 2, 3, 9, 4], [3, 9, 4], [9, 4], None]
        between = store.changes.given(marks[0], marks[1], TRADED, "1m")
        assert between is not None
        assert rows.to_candles(between).tobytes() == candles(1, 2).tobytes()


def test_what_cannot_all_be_told_is_not_told_in_part(store: DuckDBStore) -> None:
    with store:
        begun = store.changes.mark
        add(store, 1)
        with store.transaction():
            add(store, *range(2, 400))
            add(store, 400)
        assert minutes_given(store, begun) is None
        for minute in range(401, 470):
            add(store, minute)
        assert minutes_given(store, begun) is None
        known = store.changes.mark
        add(store, 470)
        assert minutes_given(store, known) == [470]
        store.delete("candles", TRADED, start=START + 470 * MINUTE)
        assert minutes_given(store, known) is None
    assert store.changes.given(known, store.changes.mark, TRADED, "1m") is None
