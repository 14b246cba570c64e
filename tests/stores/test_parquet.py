from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stores.recorded import TRADES, instrument_row, recordings, synthetic

from tapeline.errors import (
    SchemaMismatch,
    StoreError,
    StoreLocked,
    StoreUnavailable,
    UnreadableFile,
)
from tapeline.stores import _parquet_codec as codec
from tapeline.stores import _parquet_manifest as manifests
from tapeline.stores.base import KINDS, Store
from tapeline.stores.parquet import ParquetStore, read_file
from tapeline.testing.stores import StoreSuite, some_trades


class TestParquetStore(StoreSuite):
    examples = 12

    @staticmethod
    def open(folder: Path) -> Store:
        return ParquetStore(folder)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ParquetStore]:
    store = ParquetStore(tmp_path / "tape")
    yield store
    store.close()


_DECIMALS = st.integers(-(10**17), 10**17).flatmap(lambda n: st.integers(0, 12).map(lambda scale: n / 10**scale))
_STAMPS = st.integers(-(1 << 62), 1 << 62) | st.integers(0, 10**12).map(lambda ms: ms * 1_000_000)


@given(st.lists(st.tuples(_STAMPS, st.integers(-(10**9), 10**9), _DECIMALS | st.floats()), min_size=1, max_size=20))
def test_what_is_written_comes_back_bit_for_bit(rows: list[tuple[int, int, float]]) -> None:
    stamps, delays, prices = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    columns = [pa.repeat("BTC-USD.SIM", n), pa.array(np.arange(n)), pa.array(stamps), pa.array(stamps + delays)]
    columns += [pa.array(prices.astype(np.float64)), pa.array(prices.astype(np.float64)[::-1].copy())]
    columns += [pa.repeat(pa.scalar(1, pa.int8()), n), pa.repeat(pa.scalar(1, pa.int32()), n)]
    table = pa.Table.from_arrays(columns, schema=TRADES)
    sink = pa.BufferOutputStream()
    codec.write(KINDS["trades"], table, sink)
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as file:
        back = codec.read_group(KINDS["trades"], file, 0)
        assert file.schema_arrow.metadata[b"tapeline"] == b"1"
    assert back.schema.equals(TRADES)
    for name in TRADES.names:
        got, put = (t[name].combine_chunks() for t in (back, table))
        if name in ("price", "qty"):
            bits = [np.asarray(column.to_numpy()).view(np.int64).tolist() for column in (got, put)]
            assert bits[0] == bits[1]
        else:
            assert got.equals(put)


def test_other_readers_understand_the_files(store: ParquetStore) -> None:
    store.append("trades", some_trades(1, 3))
    (path,) = (store.folder / "trades").rglob("*.parquet")
    assert path.relative_to(store.folder).as_posix() == (
        "trades/instrument=BTC-USD.SIM/date=1970-01-01/00000001.parquet"
    )
    text = (
        f"SELECT trade_id, epoch_ms(ts_event), price::DOUBLE, qty::DOUBLE, delay_ns, instrument FROM '{path}' LIMIT 1"
    )
    with duckdb.connect() as connection:
        assert connection.execute(text).fetchall() == [(1, 1000, 101.0, 0.1, 500_000_001, "BTC-USD.SIM")]


def test_one_file_is_read_by_itself(store: ParquetStore, tmp_path: Path) -> None:
    store.append("instruments", instrument_row("BTC-USD.SIM", contiguous=True))
    store.append("trades", some_trades(1, 3))
    (path,) = (store.folder / "trades").rglob("*.parquet")
    assert pa.concat_tables(list(read_file(path))).equals(some_trades(1, 3))
    assert pq.read_schema(path).metadata[b"tapeline.id_kind"] == b"venue"
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(UnreadableFile, match="is no file of a Parquet store"):
        list(read_file(tmp_path / "other.parquet"))


def test_constant_columns_cost_nothing(store: ParquetStore) -> None:
    store.append("trades", synthetic(100_000).slice(0, 50_000))
    size = store.sizes()["trades"]
    assert size.bytes < 6 * size.rows
    for path in (store.folder / "trades").rglob("*.parquet"):
        group = pq.ParquetFile(path).metadata.row_group(0)
        columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
        assert sum(columns[name].total_compressed_size for name in ("count", "delay_ns", "instrument")) < 1_000


def test_recorded_trades_take_less_than_8_bytes_each(store: ParquetStore, shared: Path) -> None:
    tables = recordings(shared)
    for table in tables:
        assert store.append("trades", table) == len(table)
    store.compact()
    size = store.sizes()["trades"]
    assert size.rows == sum(map(len, tables))
    assert size.bytes < 8 * size.rows
    eth = list(store.tape("ETH-USDT-PERP.BINANCE"))
    assert pa.concat_tables(eth).equals(tables[2].sort_by([("ts_event", "ascending"), ("trade_id", "ascending")]))


@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("compacted", [True, False])
def test_the_tape_is_in_order_however_it_came(store: ParquetStore, contiguous: bool, compacted: bool) -> None:
    whole = synthetic(40_000)
    nearly = pa.array(
        whole["ts_event"].to_numpy() + np.random.default_rng(1).integers(0, 3_600_000, 40_000) * 1_000_000
    )
    whole = whole.set_column(2, "ts_event", nearly).set_column(3, "ts_init", nearly)
    shuffled = whole.take(pa.array(np.random.default_rng(2).permutation(len(whole))))
    for start in range(0, len(whole), 9_000):
        store.append("trades", shuffled.slice(start, 9_000))
    store.append("instruments", instrument_row("BTC-USD.SIM", contiguous=contiguous))
    if compacted:
        assert store.compact() > 0
        assert store.compact() == 0
    tables = list(store.tape("BTC-USD.SIM", rows=1_000))
    assert max(len(table) for table in tables) <= 1_000
    order = [("trade_id", "ascending")] if contiguous else [("ts_event", "ascending"), ("trade_id", "ascending")]
    expected = whole.sort_by(order)
    assert pa.concat_tables(tables).equals(expected)
    row = expected.slice(20_000, 1).to_pylist()[0]
    rest = store.tape("BTC-USD.SIM", after=(row["ts_event"], row["trade_id"]))
    assert pa.concat_tables(list(rest)).equals(expected.slice(20_001))


def test_a_reader_that_stops_early_leaves_no_thread(store: ParquetStore) -> None:
    for first in range(1, 30, 3):
        store.append("trades", some_trades(first))
    tape = store.tape("BTC-USD.SIM")
    assert next(tape)["trade_id"].to_pylist() == [1, 2, 3]
    tape.close()  # type: ignore[attr-defined]


def test_compaction_keeps_rows_and_removes_files(store: ParquetStore) -> None:
    for first in range(1, 30, 3):
        store.append("trades", some_trades(first))
    before = store.read("trades")
    assert store.compact() == 9
    assert store.read("trades").equals(before)
    assert len(list((store.folder / "trades").rglob("*.parquet"))) == 1


def test_leftovers_of_a_killed_transaction_are_removed(store: ParquetStore) -> None:
    store.append("trades", some_trades())
    stray = store.folder / "trades/instrument=BTC-USD.SIM/date=1970-01-01/00000099.parquet"
    stray.write_bytes(b"half")
    (store.folder / f"{manifests.NAME}.new").write_bytes(b"half")
    store.close()
    with ParquetStore(store.folder) as again:
        assert len(again.read("trades")) == 3
        assert not stray.exists()


def test_many_read_while_one_writes(store: ParquetStore) -> None:
    store.append("trades", some_trades())
    with ParquetStore(store.folder, read_only=True) as reader:
        assert len(reader.read("trades")) == 3
        with pytest.raises(StoreUnavailable, match="cannot be written: expected an open writer"):
            reader.append("trades", some_trades(9))
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            reader.delete("trades", "BTC-USD.SIM")
    with pytest.raises(StoreLocked, match=r"is written elsewhere: expected no other writer, was .*PID"):
        ParquetStore(store.folder)


def test_another_version_is_refused(store: ParquetStore) -> None:
    store.close()
    manifest = store.folder / manifests.NAME
    manifest.write_bytes(manifest.read_bytes().replace(b'"schema":1', b'"schema":9'))
    with pytest.raises(SchemaMismatch, match="is of another version: expected version 1, was '9'"):
        ParquetStore(store.folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"schema":1,"files":3}', b"\xff\xfe"])
def test_a_damaged_manifest_is_refused(store: ParquetStore, content: bytes) -> None:
    store.close()
    (store.folder / manifests.NAME).write_bytes(content)
    with pytest.raises((UnreadableFile, SchemaMismatch), match=r"folder .*tape"):
        ParquetStore(store.folder)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UnreadableFile, match=r"holds something else: expected an empty folder, was 'letter.txt'"):
        ParquetStore(tmp_path)
    with pytest.raises(UnreadableFile, match="is no Tapeline folder"):
        ParquetStore(tmp_path / "nowhere", read_only=True)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("damage", ["cut", "gone", "noise"])
def test_a_damaged_file_is_named(store: ParquetStore, damage: str) -> None:
    store.append("trades", synthetic(1_000))
    (path,) = (store.folder / "trades").rglob("*.parquet")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:1_000] if damage == "cut" else b"\x55" * len(content))
    with pytest.raises(StoreError, match="folder "):
        store.read("trades")
    with pytest.raises(StoreError, match="folder "):
        list(store.tape("BTC-USD.SIM"))


_HOLD = """
import sys
from tapeline.stores.parquet import ParquetStore
store = ParquetStore(sys.argv[1])
print(1, flush=True)
input()
"""


def test_the_other_writer_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "tape")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "1\n"
        with pytest.raises(StoreLocked, match=rf"PID {owner.pid}\).*; stop that process"):
            ParquetStore(tmp_path / "tape")
        owner.communicate("\n")
    ParquetStore(tmp_path / "tape").close()
