"""Import: order, repetition, gaps, conflicts and restarts change nothing in what is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tapeline.clock import SECOND, ManualClock
from tapeline.config import Settings, load_settings
from tapeline.importing import ImportReport, import_files
from tapeline.simulator.market import Market
from tapeline.stores import rows
from tapeline.stores.base import KINDS, Store
from tapeline.stores.memory import MemoryStore
from tapeline.types import Frame
from tapeline.verify import verify

NAME = "BTC-USD.SIM"
SCHEMA = KINDS["trades"].schema.with_metadata({"tapeline": "1"})
TAPE = Frame.concat(list(Market(11, trades_per_second=1.0).frames(trades=3000)))
CLOCK = ManualClock(2_000_000_000 * SECOND)


@pytest.fixture
def settings() -> Settings:
    return load_settings(timeframes=("1m", "5m"), feature_sets=("bars",), flush_rows=400)


def write(file: Path, *frames: Frame) -> Path:
    pq.write_table(pa.concat_tables([rows.from_frame(frame) for frame in frames]).cast(SCHEMA), file)
    return file


def load(store: Store, settings: Settings, *files: Path) -> ImportReport:
    return import_files(list(files), store, settings, clock=CLOCK)


def stored(store: Store) -> dict[str, pa.Table]:
    return {kind: store.read(kind) for kind in ("trades", "candles", "features", "gaps", "late_trades", "states")}


def reference(tmp_path: Path, settings: Settings, *frames: Frame) -> dict[str, pa.Table]:
    store = MemoryStore()
    load(store, settings, write(tmp_path / "reference.parquet", *frames))
    return stored(store)


def part(begin: int, end: int) -> Frame:
    return TAPE.take(slice(begin, end))


def test_a_file_in_order_is_stored_and_verified(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    report = load(store, settings, write(tmp_path / "a.parquet", TAPE))
    (file,) = report.to_json()["files"]
    assert {key: file[key] for key in ("instrument", "read", "new", "duplicates", "malformed", "conflicts")} == {
        "instrument": NAME,
        "read": 3000,
        "new": 3000,
        "duplicates": 0,
        "malformed": 0,
        "conflicts": 0,
    }
    assert report.gaps == []
    assert store.read("candles").num_rows > 50
    assert verify(store, settings).to_json()["clean"]


def test_shuffled_and_repeated_rows_give_what_ordered_ones_give(tmp_path: Path, settings: Settings) -> None:
    rng = np.random.default_rng(4)
    order = np.concatenate([rng.permutation(3000), rng.integers(0, 3000, 700)])
    store = MemoryStore()
    report = load(store, settings, write(tmp_path / "a.parquet", TAPE.take(order)))
    assert (report.files[0].new, report.files[0].duplicates) == (3000, 700)
    assert stored(store) == reference(tmp_path, settings, TAPE)


def test_rows_without_any_order_are_kept_and_folded_at_the_end(tmp_path: Path, settings: Settings) -> None:
    tight = settings.model_copy(update={"max_pending": 1, "flush_rows": 1500})
    order = np.concatenate([np.arange(0, 3000, 2), np.arange(1, 3000, 2), np.arange(500)])
    tape = TAPE.take(order)
    tape.price[-1] += 1
    store = MemoryStore()
    report = load(store, tight, write(tmp_path / "a.parquet", tape))
    file = report.files[0]
    assert (file.new, file.duplicates, file.conflicts, report.gaps) == (3000, 499, 1, [])
    assert stored(store)["candles"] == reference(tmp_path, settings, TAPE)["candles"]
    assert verify(store, tight).to_json()["clean"]


def test_files_in_any_order_and_overlapping_give_the_same(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    files = [
        write(tmp_path / f"{k}.parquet", part(a, b)) for k, (a, b) in enumerate([(2000, 3000), (0, 1200), (900, 2100)])
    ]
    report = load(store, settings, *files)
    assert report.refolded == [NAME]
    assert report.gaps == []
    assert stored(store)["candles"] == reference(tmp_path, settings, TAPE)["candles"]
    assert verify(store, settings).to_json()["clean"]


def test_importing_again_adds_nothing(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    file = write(tmp_path / "a.parquet", TAPE)
    load(store, settings, file)
    before = stored(store)
    again = load(store, settings, file)
    assert (again.files[0].new, again.files[0].duplicates) == (0, 3000)
    assert stored(store) == before


def test_a_gap_is_named_given_up_and_healed_by_a_later_file(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    report = load(store, settings, write(tmp_path / "a.parquet", part(0, 1000), part(1010, 3000)))
    assert report.gaps == [(NAME, 1001, 1010)]
    candles = rows.to_candles(store.read("candles", timeframe="1m"))
    assert 2 <= (~candles["complete"]).sum() < 6
    assert store.read("gaps").to_pylist()[0]["status"] == "open"
    assert verify(store, settings).to_json()["clean"]
    healed = load(store, settings, write(tmp_path / "b.parquet", part(1000, 1010)))
    assert healed.gaps == []
    assert store.read("gaps").to_pylist()[0]["status"] == "healed"
    assert stored(store)["candles"] == reference(tmp_path, settings, TAPE)["candles"]
    assert verify(store, settings).to_json()["clean"]


def test_a_gap_partly_healed_stays_open_where_it_is(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    load(store, settings, write(tmp_path / "a.parquet", part(0, 1000), part(1010, 3000)))
    report = load(store, settings, write(tmp_path / "b.parquet", part(1003, 1005)))
    assert report.gaps == [(NAME, 1001, 1003), (NAME, 1006, 1010)]
    assert verify(store, settings).to_json()["clean"]


def test_another_trade_under_a_known_id_is_a_conflict_and_kept_raw(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    load(store, settings, write(tmp_path / "a.parquet", TAPE))
    other = Frame.of(NAME, trade_id=[7], ts_event=TAPE.ts_event[6:7], price=[1.0], qty=TAPE.qty[6:7])
    report = load(store, settings, write(tmp_path / "b.parquet", other))
    assert (report.files[0].conflicts, report.files[0].new) == (1, 0)
    letter = store.read("dead_letters").to_pylist()[0]
    assert letter["kind"] == "conflict"
    assert b"'price': 1.0" in letter["raw"]
    assert verify(store, settings).to_json()["clean"]


def test_a_trade_told_with_more_digits_of_its_time_is_a_repeat(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    load(store, settings, write(tmp_path / "a.parquet", TAPE))
    told = TAPE.take(slice(5, 7))
    finer = replace(told, ts_event=told.ts_event + np.array([999, 1000]))
    file = load(store, settings, write(tmp_path / "b.parquet", finer)).files[0]
    assert (file.duplicates, file.conflicts) == (1, 1)


def test_a_conflict_inside_one_file_is_told_too(tmp_path: Path, settings: Settings) -> None:
    twice = Frame.of(NAME, trade_id=[1, 1, 2], ts_event=TAPE.ts_event[[0, 0, 1]], price=[5, 6, 5], qty=[1, 1, 1])
    report = load(MemoryStore(), settings, write(tmp_path / "a.parquet", twice))
    assert (report.files[0].new, report.files[0].conflicts, report.files[0].duplicates) == (2, 1, 0)


def test_ids_of_another_kind_are_refused(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    name = "BTC-USDT.BINANCE"
    single = Frame.of(name, trade_id=[1], ts_event=[1_700_000_000 * SECOND], price=[1], qty=[1])
    load(store, settings, write(tmp_path / "a.parquet", single))
    aggregate = tmp_path / "BTCUSDT-aggTrades-2024-01-01.csv"
    aggregate.write_text("5,1.5,1.0,9,10,1704067200000,True,True\n", encoding="utf-8")
    report = load(store, settings, aggregate)
    assert "are of another kind than those stored: expected trade, was 'aggregate'" in report.problems[0]
    assert store.read("trades").num_rows == 1


def test_one_unreadable_file_does_not_stop_the_others(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"\x00\x01\x02rubbish")
    report = load(store, settings, bad, write(tmp_path / "a.parquet", TAPE), tmp_path / "missing.csv")
    assert len(report.problems) == 2
    assert report.files[1].new == 3000


def test_an_interrupted_import_goes_on_where_the_last_commit_stands(tmp_path: Path, settings: Settings) -> None:
    file = write(tmp_path / "a.parquet", TAPE)

    class Stop(Exception):
        pass

    def stop(at: object) -> None:
        if getattr(at, "rows", 0) >= 1200:
            raise Stop

    store = MemoryStore()
    with pytest.raises(Stop):
        import_files([file], store, settings, clock=CLOCK, progress=stop)
    held = store.read("trades").num_rows
    assert 1200 <= held < 3000
    report = load(store, settings, file)
    assert (report.files[0].read, report.files[0].new, report.files[0].duplicates) == (3000, 3000, 0)
    assert stored(store) == reference(tmp_path, settings, TAPE)


def test_other_settings_fold_the_tape_anew(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    load(store, settings, write(tmp_path / "a.parquet", part(0, 2000)))
    wider = load_settings(timeframes=("1m", "15m"), feature_sets=("bars",))
    load(store, wider, write(tmp_path / "b.parquet", part(2000, 3000)))
    assert set(store.read("candles").column("timeframe").to_pylist()) == {"1m", "15m"}
    assert verify(store, wider).to_json()["clean"]


def test_candles_of_others_are_marked_and_get_features(tmp_path: Path, settings: Settings) -> None:
    file = tmp_path / "NEARUSDT-1m-2025-11.csv"
    lines = [
        f"{1761955200000 + 60000 * i},2,3,1,{2 + i % 2},10,{1761955259999 + 60000 * i},20,5,4,8,0" for i in range(30)
    ]
    file.write_text("\n".join(lines[:20] + lines[22:]) + "\n", encoding="utf-8")
    store = MemoryStore()
    report = load(store, settings, file)
    assert (report.files[0].instrument, report.files[0].new) == ("NEAR-USDT.BINANCE", 28)
    assert set(store.read("candles").column("source").to_pylist()) == {"imported"}
    features = store.read("features").to_pylist()
    assert len(features) == 28
    assert [row["complete"] for row in features].count(False) == 10 + 8, "warming up, and after the missing candles"
    assert load(store, settings, file).files[0].duplicates == 28


def test_rows_that_come_late_are_all_counted_and_told_apart(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    load(store, settings, write(tmp_path / "a.parquet", part(2000, 3000)))
    other = part(1000, 1100)
    other = Frame(NAME, *(column.copy() for column in other.columns()))
    other.price[:] += 1
    file = load(store, settings, write(tmp_path / "b.parquet", part(1000, 1100), part(1000, 1100), other)).files[0]
    assert (file.new, file.duplicates, file.conflicts) == (100, 100, 100)
    assert store.read("trades").num_rows == 1100
    assert verify(store, settings).to_json()["clean"]


@pytest.mark.parametrize("flush_rows", [100, 4000])
def test_an_id_used_again_where_ids_have_holes_is_a_conflict(
    tmp_path: Path, settings: Settings, flush_rows: int
) -> None:
    name = "SPY.US"
    tape = Frame(name, TAPE.trade_id * 17, *TAPE.columns()[1:])
    later = tape.ts_event[-1:] + 9 * SECOND
    again = Frame.of(name, trade_id=tape.trade_id[:1], ts_event=later, price=[1.0], qty=[1.0])
    store, small = MemoryStore(), settings.model_copy(update={"flush_rows": flush_rows})
    file = load(store, small, write(tmp_path / "a.parquet", tape, again, tape.take(slice(0, 50)))).files[0]
    assert (file.new, file.duplicates, file.conflicts) == (3000, 50, 1)
    assert store.read("trades").num_rows == 3000
    assert verify(store, small).to_json()["clean"]
    file = load(store, small, write(tmp_path / "b.parquet", again)).files[0]
    assert (file.new, file.duplicates, file.conflicts) == (0, 0, 1)
    assert verify(store, small).to_json()["clean"]


def test_a_file_without_one_usable_row_is_a_problem_and_kept_raw(tmp_path: Path, settings: Settings) -> None:
    store = MemoryStore()
    file = tmp_path / "BTCUSDT-trades-2024-08.csv"
    file.write_text("1,-5,2,2.0,1723161255342,true,true\n2,nan,2,2.0,1723161255343,true,true\n", encoding="utf-8")
    report = load(store, settings, file)
    assert "holds no row that can be used: expected trades or candles, was '2 malformed'" in report.problems[0]
    assert store.read("dead_letters").num_rows == 2


def test_a_trade_after_the_import_is_refused(tmp_path: Path, settings: Settings) -> None:
    now = CLOCK.now()
    tape = Frame.of(
        NAME, trade_id=[1, 2], ts_event=[now + 59 * SECOND, now + 61 * SECOND], price=[5.0, 5.0], qty=[1.0, 1.0]
    )
    store = MemoryStore()
    file = load(store, settings, write(tmp_path / "a.parquet", tape)).files[0]
    assert (file.new, file.malformed) == (1, 1)
    assert "in the future" in store.read("dead_letters").to_pylist()[0]["reason"]
