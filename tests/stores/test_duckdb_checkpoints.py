from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from tapeline.stores import rows
from tapeline.stores._duckdb_checkpoints import ROWS, Checkpoints
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import Frame

NAME = "BTC-USD.SIM"


def trades(first: int, count: int) -> Frame:
    ids = np.arange(first, first + count)
    return Frame.of(NAME, trade_id=ids, ts_event=ids * 1_000, price=np.sqrt(ids + 2.0), qty=np.ones(count))


@pytest.mark.parametrize("size", [1, 1 << 30])
def test_a_log_is_merged_once_it_is_full_and_not_before(tmp_path: Path, size: int) -> None:
    file = tmp_path / "a.duckdb"
    with duckdb.connect(file, config={"checkpoint_threshold": "1TB"}) as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS a FROM range(1000)")
        log = file.with_name("a.duckdb.wal")
        assert log.stat().st_size > 1
        beside = Checkpoints(connection.cursor(), log, size)
        beside.look()
        beside.close()
        assert log.exists() is (size > 1)
        assert connection.execute("SELECT sum(a) FROM t").fetchall() == [(499_500,)]


def test_a_log_is_merged_once_it_holds_so_many_trades(tmp_path: Path) -> None:
    file = tmp_path / "a.duckdb"
    with duckdb.connect(file, config={"checkpoint_threshold": "1TB"}) as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS a FROM range(1000)")
        log, merged = file.with_name("a.duckdb.wal"), []
        for trades_added in (99, 100):
            beside = Checkpoints(connection.cursor(), log, 1 << 30, rows=100)
            beside.added(trades_added)
            beside.look()
            beside.close()
            merged.append(not log.exists())
        assert merged == [False, True]


def test_what_is_merged_by_rows_is_never_written_again(tmp_path: Path) -> None:
    """Of smaller row groups DuckDB puts three together whenever it can, and all that is written meanwhile waits."""
    groups = """
        SELECT row_group_id, sum(count)::BIGINT AS count FROM pragma_storage_info('trades')
        WHERE column_name = 'trade_id' AND segment_type = 'BIGINT' GROUP BY ALL ORDER BY ALL
    """
    with DuckDBStore(tmp_path / "a.duckdb", checkpoint_bytes=1 << 30) as store:
        for first in range(0, 4 * ROWS, ROWS):
            store.append("trades", rows.from_frame(trades(first, ROWS)))
            store.checkpoint()
        assert store.sql(groups)["count"].to_pylist() == [ROWS] * 4


def test_a_checkpoint_that_fails_is_left_to_the_next_commit(tmp_path: Path) -> None:
    log = tmp_path / "a.wal"
    log.write_bytes(b"x")
    closed = duckdb.connect()
    closed.close()
    beside = Checkpoints(closed, log, 1)
    beside.look()
    beside.close()
    assert log.exists()


def test_what_is_committed_beside_checkpoints_is_all_there(tmp_path: Path) -> None:
    file = tmp_path / "a.duckdb"
    with DuckDBStore(file, checkpoint_bytes=1 << 16, checkpoint_beside=True) as store:
        for first in range(0, 40_000, 400):
            with store.transaction():
                assert store.append("trades", rows.from_frame(trades(first, 400))) == 400
        with store.reader() as reader:
            assert len(reader.read("trades", instrument=NAME)) == 40_000
    with DuckDBStore(file) as store:
        kept = rows.to_frame(NAME, store.read("trades", instrument=NAME))
    for ours, theirs in zip(kept.columns(), trades(0, 40_000).columns(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
