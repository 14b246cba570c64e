from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.stores.recorded import instrument_row, recordings, synthetic

from tapeline.errors import (
    SchemaMismatch,
    StoreError,
    StoreLocked,
    StoreUnavailable,
    TapelineError,
    UnreadableFile,
    UsageError,
)
from tapeline.stores import _duckdb_schema as schema
from tapeline.stores._duckdb_errors import translate, translated
from tapeline.stores._duckdb_keys import Keys
from tapeline.stores.base import KINDS, Store
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.rows import from_candles
from tapeline.testing.stores import StoreSuite, some_trades
from tapeline.types import CANDLE


class TestDuckDBStore(StoreSuite):
    examples = 12

    @staticmethod
    def open(folder: Path) -> Store:
        return DuckDBStore(folder / "tape.duckdb", threads=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape.duckdb"


@pytest.fixture
def store(path: Path) -> Iterator[DuckDBStore]:
    store = DuckDBStore(path, threads=1)
    yield store
    store.close()


def features(version: str, values: list[float]) -> pa.Table:
    row = {"instrument": "BTC-USD.SIM", "timeframe": "1m", "feature_set": "my set", "version": version}
    row |= {"source": "trades"}
    return pa.Table.from_pylist([row | {"as_of": 60, "complete": True, "values": values}], KINDS["features"].schema)


def feature_set(version: str, columns: list[str], *, current: bool) -> pa.Table:
    row = {"feature_set": "my set", "version": version, "definition": "", "columns": columns, "current": current}
    return pa.Table.from_pylist([row], KINDS["feature_sets"].schema)


def test_times_are_readable_and_no_nanosecond_is_lost(store: DuckDBStore) -> None:
    store.append("trades", some_trades(1, 3))
    text = "SELECT typeof(ts_event) t, ts_init, ts_init_ns, side FROM trades WHERE trade_id = 2"
    row = store.sql(text).to_pylist()[0]
    assert row["t"] == "TIMESTAMP WITH TIME ZONE"
    assert row["ts_init"].isoformat() == "1970-01-01T00:00:02.500000+00:00"
    assert row["ts_init_ns"] == 2_500_000_001
    assert row["side"] == "SELL"


_WHERE = """
import sys
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.rows import from_candles
with DuckDBStore(sys.argv[1]) as store:
    print(store.sql("SELECT make_timestamptz(0)::VARCHAR AS t")["t"][0])
"""


def test_times_are_utc_wherever_the_machine_stands(path: Path) -> None:
    command = [sys.executable, "-c", _WHERE, str(path)]
    environment = {**os.environ, "TZ": "America/New_York"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1970-01-01 00:00:00+00\n"


@pytest.mark.parametrize(
    ("kind", "column"),
    sorted({(name, time) for name, kind in KINDS.items() for time in (kind.time, kind.known_at) if time is not None}),
)
def test_every_time_is_a_timestamptz(store: DuckDBStore, kind: str, column: str) -> None:
    named = f"table_name = '{kind}' AND column_name = '{column}'"
    answer = store.sql(f"SELECT data_type FROM duckdb_columns() WHERE {named}")
    assert answer["data_type"].to_pylist() == ["TIMESTAMP WITH TIME ZONE"]


def test_a_feature_set_has_a_view_of_its_current_version(store: DuckDBStore) -> None:
    store.append("feature_sets", feature_set("a", ["open", 'odd "name"'], current=True))
    store.append("features", features("a", [1.0, float("nan")]))
    store.append("features", features("b", [5.0]))
    answer = store.sql('SELECT open, "odd ""name""" AS odd FROM "features_my set"')
    assert answer.to_pylist() == [{"open": 1.0, "odd": None}]
    store.upsert("feature_sets", feature_set("a", ["open"], current=False))
    store.append("feature_sets", feature_set("b", ["close"], current=True))
    assert store.sql('SELECT version, close FROM "features_my set"').to_pylist() == [{"version": "b", "close": 5.0}]


@pytest.mark.parametrize(
    "text",
    [
        f"{verb} trades"
        for verb in ("FROM", "TABLE", "DESCRIBE", "SUMMARIZE", "EXPLAIN FROM", "WITH a AS (SELECT 1) FROM")
    ]
    + ["SHOW TABLES", "SELECT count(*) FROM trades;", "VALUES (1)"],
)
def test_sql_that_reads_is_answered(store: DuckDBStore, text: str) -> None:
    store.append("trades", some_trades())
    assert len(store.sql(text)) > 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("DELETE FROM trades", "DELETE is not allowed: expected a SELECT"),
        ("INSERT INTO gaps VALUES ('a', 1, 2, 'open')", "INSERT is not allowed"),
        ("SELECT 1; DROP TABLE trades", "is not one statement: expected one, was 2"),
        ("", "is not one statement: expected one, was 0"),
        ("PRAGMA database_size", "PRAGMA is not allowed"),
        ("ATTACH ':memory:' AS x", "ATTACH is not allowed"),
        ("COPY trades TO '/tmp/x'", "COPY is not allowed"),
        ("SET threads = 1", "SET is not allowed"),
        ("CHECKPOINT", "CALL is not allowed"),
        ("EXPLAIN ANALYZE DELETE FROM trades", "read-only mode"),
        ("WITH x AS (DELETE FROM trades RETURNING trade_id) SELECT * FROM x", "read-only mode"),
        ("SELECT * FROM read_csv('/etc/hostname')", "disabled by configuration"),
        ("SELECT * FROM '/etc/hostname'", "sql: "),
        ("SELECT * FROM glob('/*')", "disabled by configuration"),
        ("SELEC 1", "Parser Error: syntax error"),
        ("SELECT nothing FROM trades", 'Referenced column "nothing" not found'),
        ("SELECT 'x'::INT", "Could not convert string 'x'"),
    ],
)
def test_sql_that_writes_or_errs_is_refused(store: DuckDBStore, text: str, problem: str) -> None:
    store.append("trades", some_trades())
    with pytest.raises(UsageError) as caught:
        store.sql(text)
    assert problem in str(caught.value)
    assert len(store.read("trades")) == 3


def test_sql_limits_its_rows_and_sees_what_is_committed(store: DuckDBStore) -> None:
    store.append("trades", some_trades(1, 3))
    assert store.sql("SELECT trade_id FROM trades ORDER BY 1 DESC", limit=2)["trade_id"].to_pylist() == [3, 2]
    assert len(store.sql("FROM range(100000)", limit=70_000)) == 70_000
    assert len(store.sql("SELECT 1", limit=0)) == 0
    with store.transaction():
        store.append("trades", some_trades(4, 3))
        assert store.sql("SELECT count(*) AS n FROM trades")["n"].to_pylist() == [3]
        assert len(store.read("trades")) == 6


def test_a_newer_schema_is_refused(store: DuckDBStore, path: Path) -> None:
    store.close()
    _execute(path, "UPDATE tapeline_schema SET version = 9")
    with pytest.raises(SchemaMismatch, match=r"schema is newer: expected version 1 or older, was 9; update Tapeline"):
        DuckDBStore(path)


def test_other_tables_of_the_same_version_are_refused(store: DuckDBStore, path: Path) -> None:
    store.close()
    _execute(path, "UPDATE tapeline_schema SET layout = 'old'")
    with pytest.raises(SchemaMismatch, match="tables differ within one version"):
        DuckDBStore(path)


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    _execute(path, "CREATE TABLE accounts (a INTEGER)")
    with pytest.raises(SchemaMismatch, match="something else: expected Tapeline's tables, was 'accounts'"):
        DuckDBStore(path)
    with duckdb.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(1,)]


def test_an_older_schema_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DuckDBStore(path) as old:
        old.append("trades", some_trades())
        old.append("gaps", _gap(7))
    _execute(path, "ALTER TABLE gaps DROP COLUMN status; UPDATE tapeline_schema SET layout = 'of version 1'")

    def give_gaps_a_status(connection: schema.Connection) -> None:
        connection.execute("ALTER TABLE gaps ADD COLUMN status VARCHAR DEFAULT 'open'")

    monkeypatch.setattr(schema, "MIGRATIONS", (give_gaps_a_status,))
    with pytest.raises(SchemaMismatch, match=r"must be upgraded: expected version 2, was 1; open it once for writing"):
        DuckDBStore(path, read_only=True)
    for _ in range(2):
        with DuckDBStore(path) as new:
            assert new.read("gaps").to_pylist() == _gap(7).to_pylist()
            assert len(new.read("trades")) == 3
            assert new.sql("SELECT version FROM tapeline_schema")["version"].to_pylist() == [2]


def test_a_failing_migration_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DuckDBStore(path).close()

    def fail(connection: schema.Connection) -> None:
        connection.execute("DROP TABLE gaps")
        connection.execute("DROP TABLE nothing")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (fail,))
        with pytest.raises(StoreError, match="nothing"):
            DuckDBStore(path)
    with DuckDBStore(path) as store:
        assert len(store.read("gaps")) == 0


def test_garbage_is_not_a_database(path: Path) -> None:
    path.write_bytes(b"id,price\n1,2\n" * 1000)
    with pytest.raises(UnreadableFile, match="is not a database: expected a DuckDB file"):
        DuckDBStore(path)


@pytest.mark.parametrize("damage", [0, 4096 * 2, 4096 * 3])
def test_a_damaged_file_is_refused_in_our_words(path: Path, damage: int) -> None:
    with DuckDBStore(path) as store:
        store.append("trades", synthetic(50_000))
    content = bytearray(path.read_bytes())
    content[damage : damage + (1 << 17)] = b"\xff" * (1 << 17)
    path.write_bytes(content)
    with pytest.raises(TapelineError, match=r"tape\.duckdb"), DuckDBStore(path) as store:
        list(store.tape("BTC-USD.SIM"))


def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is a folder"):
        DuckDBStore(tmp_path)


def test_a_missing_file_is_not_made_for_reading(path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is missing"):
        DuckDBStore(path, read_only=True)
    assert not path.exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"folder is missing: expected a folder, was .*nowhere"):
        DuckDBStore(tmp_path / "nowhere" / "tape.duckdb")


def test_a_read_only_store_reads_and_refuses_to_write(store: DuckDBStore, path: Path) -> None:
    store.append("trades", some_trades())
    store.close()
    with DuckDBStore(path, read_only=True) as reader:
        assert len(reader.read("trades")) == 3
        assert len(list(reader.tape("BTC-USD.SIM"))) == 1
        assert reader.sizes()["trades"].rows == 3
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            reader.append("trades", some_trades(9))


def test_one_process_opens_a_file_once(store: DuckDBStore, path: Path) -> None:
    with pytest.raises(StoreLocked, match=f"was 'this process \\(PID {os.getpid()}\\)'"):
        DuckDBStore(path)
    store.close()
    DuckDBStore(path).close()


def test_one_process_reads_a_file_as_often_as_it_likes(store: DuckDBStore, path: Path) -> None:
    store.append("trades", some_trades())
    store.close()
    first, second = (DuckDBStore(path, read_only=True) for _ in range(2))
    assert first.read("trades").equals(second.read("trades"))
    with pytest.raises(StoreLocked, match="is open already"):
        DuckDBStore(path)
    first.close()
    assert str(second.sql("SELECT ts_event FROM trades LIMIT 1")["ts_event"].type) == "timestamp[us, tz=UTC]"
    assert len(second.read("trades")) == 3
    second.close()


_HOLD = """
import sys
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.rows import from_candles
store = DuckDBStore(sys.argv[1])
print(1, flush=True)
input()
"""


def test_the_other_owner_is_named(path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "1\n"
        for read_only in (False, True):
            with pytest.raises(StoreLocked, match=rf"is open elsewhere.*\(PID {owner.pid}\).*; stop that process"):
                DuckDBStore(path, read_only=read_only)
        owner.communicate("\n")
    DuckDBStore(path).close()


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("IO Error: No space left on device", StoreUnavailable, "the disk is full"),
        ("IO Error: Cannot open file: Read-only file system", StoreUnavailable, "cannot be written"),
        ("IO Error: Cannot open file: Permission denied", StoreUnavailable, "cannot be written"),
        ("Serialization Error: written by a newer version of DuckDB", SchemaMismatch, "is of another DuckDB"),
        ("IO Error: Corrupt database file: computed checksum 1 does not match", StoreError, "is damaged"),
    ],
)
def test_errors_have_our_words(text: str, kind: type[TapelineError], says: str) -> None:
    error = translate("database x", duckdb.IOException(text))
    assert type(error) is kind
    assert says in str(error)


def test_an_interrupted_query_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), translated("database x"):
        raise RuntimeError("Query interrupted")
    with pytest.raises(RuntimeError, match="other"), translated("database x"):
        raise RuntimeError("other")


@pytest.mark.parametrize("contiguous", [True, False])
def test_the_tape_is_in_order_however_it_came(store: DuckDBStore, contiguous: bool) -> None:
    store.append("instruments", instrument_row("BTC-USD.SIM", contiguous=contiguous))
    whole = synthetic(60_000)
    rng = np.random.default_rng(2)
    shuffled = whole.take(pa.array(rng.permutation(len(whole))))
    far = synthetic(10).set_column(1, "trade_id", pa.array(np.arange(10) + (1 << 62)))
    late = pa.array(whole["ts_event"].to_numpy()[-10:] + 10**15)
    far = far.set_column(2, "ts_event", late).set_column(3, "ts_init", late)
    for start in range(0, len(whole), 7_000):
        store.append("trades", shuffled.slice(start, 7_000))
    store.append("trades", far)
    tables = list(store.tape("BTC-USD.SIM", rows=1_000))
    assert max(len(table) for table in tables) <= 1_000
    assert len(tables) < 200
    expected = pa.concat_tables([whole, far])
    order = [("trade_id", "ascending")] if contiguous else [("ts_event", "ascending"), ("trade_id", "ascending")]
    assert pa.concat_tables(tables).equals(expected.sort_by(order))


def test_many_trades_of_one_instant_come_in_pieces(store: DuckDBStore) -> None:
    same = synthetic(5_000)
    stamps = pa.array(np.full(5_000, 10**18))
    store.append("trades", same.set_column(2, "ts_event", stamps).set_column(3, "ts_init", stamps))
    tables = list(store.tape("BTC-USD.SIM", rows=300))
    assert max(len(table) for table in tables) <= 300
    assert pa.concat_tables(tables)["trade_id"].to_pylist() == list(range(5_000))


def test_a_million_trades_take_less_than_16_bytes_each(path: Path) -> None:
    with DuckDBStore(path) as store:
        whole = synthetic(1_000_000)
        for start in range(0, len(whole), 250_000):
            store.append("trades", whole.slice(start, 250_000))
        assert store.sizes()["trades"].bytes < 16 * len(whole)
    assert path.stat().st_size < 16 * len(whole)


def test_recorded_trades_take_less_than_16_bytes_each(store: DuckDBStore, path: Path, shared: Path) -> None:
    tables = recordings(shared)
    for table in tables:
        assert store.append("trades", table) == len(table)
    size = store.sizes()["trades"]
    assert size.bytes < 16 * size.rows
    assert pa.concat_tables(list(store.tape("ETH-USDT-PERP.BINANCE"))).equals(tables[2])


def test_only_rows_of_the_same_series_are_compared(store: DuckDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    monkeypatch.setattr(Keys, "batch", _noting(Keys.batch, compared))
    for timeframe, hours in (("1m", [1, 2]), ("1h", [1]), ("1m", [3]), ("1h", [1, 2])):
        store.append("candles", _candles(timeframe, hours))
    assert compared == [2]
    stored = [(row["timeframe"], row["open_time"]) for row in store.read("candles").to_pylist()]
    assert stored == [("1h", 1), ("1h", 2), ("1m", 1), ("1m", 2), ("1m", 3)]


def _noting(batch: Any, sizes: list[int]) -> Any:
    def noted(keys: Keys, rows: pa.Table) -> Any:
        sizes.append(len(rows))
        return batch(keys, rows)

    return noted


def _candles(timeframe: str, times: list[int]) -> pa.Table:
    records = np.zeros(len(times), CANDLE)
    records["open_time"] = times
    return from_candles("BTC-USD.SIM", timeframe, records)


def _gap(first: int) -> pa.Table:
    row = {"instrument": "BTC-USD.SIM", "first_missing": first, "last_missing": first, "status": "open"}
    return pa.Table.from_pylist([row], KINDS["gaps"].schema)


def _execute(path: Path, text: str) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(text)
