"""Another thread reads what is committed while the store goes on writing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tapeline.errors import StoreUnavailable, UsageError
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.rows import from_frame
from tapeline.types import Frame


def trades(*ids: int) -> pa.Table:
    ones = [1.0] * len(ids)
    return from_frame(Frame.of("BTC-USD.SIM", trade_id=ids, ts_event=ids, price=ones, qty=ones))


def test_it_sees_one_committed_state(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "a.duckdb") as store:
        store.append("trades", trades(1, 2))
        reader = store.reader()
        with store.transaction():
            store.append("trades", trades(3))
            assert reader.read("trades").num_rows == store.reader().read("trades").num_rows == 2
        assert reader.read("trades").num_rows == 2
        assert store.reader().read("trades").num_rows == 3
        reader.close()


def test_it_writes_nothing(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "a.duckdb") as store:
        reader = store.reader()
        for write in (
            lambda: reader.append("trades", trades(1)),
            lambda: reader.upsert("trades", trades(1)),
            lambda: reader.delete("trades", "BTC-USD.SIM"),
            lambda: reader.transaction().__enter__(),
        ):
            with pytest.raises(StoreUnavailable, match="cannot be written here"):
                write()
        with reader.connection() as cursor, pytest.raises(UsageError, match="not allowed"):
            reader.sql_on(cursor, "DELETE FROM trades", limit=1)
        with pytest.raises(duckdb.Error, match="read-only"):
            reader._connection.execute("DELETE FROM trades")


def test_threads_read_while_the_writer_commits(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "a.duckdb") as store:
        done = threading.Event()
        seen: list[int] = []

        def look() -> None:
            while not done.is_set():
                reader = store.reader()
                ids = reader.read("trades")["trade_id"].to_pylist()
                reader.close()
                assert ids == list(range(len(ids)))
                assert len(ids) % 2 == 0
                seen.append(len(ids))

        with ThreadPoolExecutor(3) as pool:
            looks = [pool.submit(look) for _ in range(3)]
            for at in range(0, 200, 2):
                with store.transaction():
                    store.append("trades", trades(at))
                    store.append("trades", trades(at + 1))
            done.set()
        for one in looks:
            one.result()
        assert max(seen) > 0


def test_pages_lead_back_to_the_first_row(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "a.duckdb") as store:
        store.append("trades", trades(*range(10)))
        reader = store.reader()
        found: list[int] = []
        before: tuple[int | str, ...] = ()
        while True:
            table, before = reader.page("trades", 3, instrument="BTC-USD.SIM", before=before)
            found = table["trade_id"].to_pylist() + found
            if not before:
                break
        assert found == list(range(10))
        with pytest.raises(UsageError, match="cursor"):
            reader.page("trades", 3, before=("x",))
        reader.close()
