from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from tests.stores.recorded import recordings, synthetic

from tapeline.errors import StoreLocked, StoreUnavailable, TapelineError, UnreadableFile
from tapeline.stores.base import KINDS, Store
from tapeline.stores.duckdb import DuckDBStore
from tapeline.testing.stores import StoreSuite, some_trades


class TestDuckDBStore(StoreSuite):
    examples = 12

    @staticmethod
    def open(folder: Path) -> Store:
        return DuckDBStore(folder / "tape.duckdb", threads=1)


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


def test_a_feature_set_has_a_view_of_its_current_version(store: DuckDBStore) -> None:
    store.append("feature_sets", feature_set("a", ["open", 'odd "name"'], current=True))
    store.append("features", features("a", [1.0, float("nan")]))
    store.append("features", features("b", [5.0]))
    answer = store.sql('SELECT open, "odd ""name""" AS odd FROM "features_my set"')
    assert answer.to_pylist() == [{"open": 1.0, "odd": None}]
    store.upsert("feature_sets", feature_set("a", ["open"], current=False))
    store.append("feature_sets", feature_set("b", ["close"], current=True))
    assert store.sql('SELECT version, close FROM "features_my set"').to_pylist() == [{"version": "b", "close": 5.0}]


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
