"""What each command gives, as JSON, in a file and on a screen."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.cli.conftest import Tapeline
from tests.stored import IMPORTED, START, TRADED, fill, trades

from tapeline.clock import MINUTE, ManualClock, format_time
from tapeline.config import Settings, load_settings
from tapeline.recorder import Recorder
from tapeline.runners.owner import owning
from tapeline.stores.base import Store
from tapeline.stores.duckdb import DuckDBStore

CANDLE_FIELDS = [
    *("instrument", "timeframe", "open_time", "close_time", "open", "high", "low", "close", "volume"),
    *("quote_volume", "vwap", "trades", "buy_volume", "realized_vol", "complete", "source"),
]


def test_candles(tapeline: Tapeline) -> None:
    found = tapeline("candles", TRADED, "--json", "--start", format_time(START + MINUTE), "--end", "2024-01-01T00:03Z")
    assert (found.code, found.err) == (0, "")
    rows = found.json
    assert [row["open_time"] for row in rows] == ["2024-01-01T00:01:00Z", "2024-01-01T00:02:00Z"]
    assert list(rows[0]) == CANDLE_FIELDS
    frame = trades()
    inside = (frame.ts_event >= START + MINUTE) & (frame.ts_event < START + 2 * MINUTE)
    assert rows[0]["open"] == frame.price[inside][0]
    assert rows[0]["trades"] == inside.sum()
    assert rows[0]["volume"] == pytest.approx(frame.qty[inside].sum(), rel=1e-12)


def test_candles_on_a_screen_are_the_last_and_say_so(tapeline: Tapeline) -> None:
    found = tapeline("candles", TRADED)
    assert len(found.out.splitlines()) == 22
    assert found.out.startswith(f"{TRADED} 1m (trades)\nopen_time ")
    assert found.err == "note: the last rows; more with --limit N, all with --out FILE or --json\n"
    assert tapeline("candles", TRADED, "--quiet").err == ""
    assert len(tapeline("candles", TRADED, "--limit", 30).out.splitlines()) == 32


def test_candles_of_others_are_marked(tapeline: Tapeline) -> None:
    found = tapeline("candles", IMPORTED, "--json")
    assert [row["source"] for row in found.json] == ["imported"] * 4
    assert [row["trades"] for row in found.json] == [None] * 4
    assert (
        found.err == f"note: {IMPORTED}: these candles were made by others and imported; no trades of it are stored\n"
    )


def test_no_rows_are_an_empty_list(tapeline: Tapeline) -> None:
    assert tapeline("candles", TRADED, "--end", "2020-01-01", "--json").json == []
    assert tapeline("candles", TRADED, "--end", "2020-01-01").err.startswith("note: no rows")


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_candles_to_a_file(tapeline: Tapeline, folder: Path, name: str) -> None:
    found = tapeline("candles", TRADED, "--out", name, "--json")
    everything = tapeline("candles", TRADED, "--json").json
    assert found.json == {"path": name, "rows": len(everything), "bytes": (folder / name).stat().st_size}
    if name.endswith("csv"):
        lines = (folder / name).read_text().splitlines()
        assert [line.split(",")[2].strip('"') for line in lines[1:]] == [row["open_time"] for row in everything]
    else:
        assert pq.read_table(folder / name)["close"].to_pylist() == [row["close"] for row in everything]
    assert tapeline("candles", TRADED, "--out", name, "--limit", 3).out.startswith(f"{name}: 3 rows, ")


def test_features(tapeline: Tapeline, folder: Path) -> None:
    row = tapeline("features", TRADED, "--set", "bars", "--json").json[-1]
    assert list(row)[:7] == ["instrument", "timeframe", "as_of", "feature_set", "version", "complete", "source"]
    closes = [candle["close"] for candle in tapeline("candles", TRADED, "--json").json]
    assert row["ma_5"] == pytest.approx(sum(closes[-5:]) / 5, rel=1e-12)
    (folder / "mine.toml").write_text('features = ["sma(2)"]')
    own = tapeline("features", TRADED, "--timeframe", "2m", "--set", "mine.toml", "--json").json
    assert own[0]["sma_2"] is None
    assert [one["feature_set"] for one in own] == ["mine"] * len(own)
    assert "ma_10" in tapeline("features", TRADED, "--set", "bars").out


def test_sql(tapeline: Tapeline) -> None:
    query_text = "SELECT min(ts_event) AS first, count(*) AS n, NULL AS nothing FROM trades"
    assert tapeline("sql", query_text, "--json").json == [
        {"first": format_time(int(trades().ts_event[0]) // 1000 * 1000), "n": 6000, "nothing": None}
    ]
    limited = tapeline("sql", "SELECT trade_id FROM trades")
    assert len(limited.out.splitlines()) == 101
    assert "the first 100 rows" in limited.err


def test_exported_trades_come_back_the_same(tapeline: Tapeline, folder: Path) -> None:
    for name in ("x.parquet", "x.csv"):
        written = tapeline("export", TRADED, "--out", name, "--json").json
        assert (written["instrument"], written["kind"], written["rows"]) == (TRADED, "trades", 6000)
        again = tapeline("import", name, "--db", f"{name}.duckdb", "--instrument", TRADED, "--json")
        assert (again.code, again.json["gaps"]) == (0, [])
        assert [again.json["files"][0][what] for what in ("read", "new", "malformed")] == [6000, 6000, 0]
        theirs = tapeline("sql", "SELECT * FROM trades ORDER BY trade_id", "--db", f"{name}.duckdb", "--json").json
        assert theirs == tapeline("sql", "SELECT * FROM trades ORDER BY trade_id", "--json").json


def test_export_to_a_folder_adds_only_what_is_new(tapeline: Tapeline, folder: Path) -> None:
    for rows in (6000, 0):
        assert tapeline("export", TRADED, "--out", "parts", "--json").json["rows"] == rows
    assert list((folder / "parts").rglob("*.parquet"))


@pytest.mark.parametrize("kind", ["candles", "features", "predictions", "gaps", "decisions", "late_trades"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ""])
def test_every_kind_is_exported(tapeline: Tapeline, folder: Path, kind: str, suffix: str) -> None:
    store = DuckDBStore(folder / "tapeline.duckdb", read_only=True)
    rows = store.read(kind, instrument=TRADED).num_rows
    store.close()
    assert tapeline("export", TRADED, "--kind", kind, "--out", f"{kind}{suffix}", "--json").json["rows"] == rows


def test_instruments(tapeline: Tapeline) -> None:
    ours, theirs = tapeline("instruments", "--json").json
    stamps = trades().ts_event
    assert ours == {
        "instrument": TRADED,
        "holds": "trades",
        "rows": 6000,
        "first": format_time(int(stamps[0])),
        "last": format_time(int(stamps[-1])),
        "ids": "trade",
        "open_gaps": 0,
        "missing": 0,
        "completeness": "proven by ids",
    }
    assert (theirs["instrument"], theirs["holds"], theirs["rows"]) == (IMPORTED, "candles 1m", 4)
    assert (theirs["open_gaps"], theirs["completeness"]) == (None, "unproven")
    assert TRADED in tapeline("instruments").out


def test_gaps(tapeline: Tapeline, folder: Path) -> None:
    assert tapeline("gaps").err == f"note: {TRADED}: no id is missing\n"
    frame = trades()
    lost = (frame.trade_id >= 100) & (frame.trade_id <= 104)
    import_frame(tapeline, folder, frame.trade_id[~lost].tolist())
    found = tapeline("gaps", "--db", "other.duckdb", "--json")
    gap = {"instrument": TRADED, "first_missing": 100, "last_missing": 104, "status": "open", "missing": 5}
    assert found.json == [gap]
    assert tapeline("gaps", TRADED, "--db", "other.duckdb").out.splitlines()[1].split() == [
        *(TRADED, "100", "104", "open", "5"),
    ]
    assert "gaps" in tapeline("instruments", "--db", "other.duckdb").out


def import_frame(tapeline: Tapeline, folder: Path, ids: list[int]) -> None:
    listed = ",".join(map(str, ids))
    tapeline("sql", f"SELECT * EXCLUDE (delay_ns) FROM trades WHERE trade_id IN ({listed})", "--out", "part.parquet")
    columns = "id=trade_id,ts=ts_event_ns:ns,price=price,qty=qty,side=side"
    found = tapeline("import", "part.parquet", "--db", "other.duckdb", "--instrument", TRADED, "--columns", columns)
    assert found.code == 0, found.err
    assert f"gap: {TRADED} ids 100 to 104 are missing (5)\n" in found.out


def test_import_tells_files_guesses_and_what_could_not_be_read(tapeline: Tapeline, folder: Path) -> None:
    (folder / "good").mkdir()
    lines = ["time,price,qty,id", *(f"{START // 10**6 + i},10{i},1,{i}" for i in range(3)), f"{START // 10**6},x,1,9"]
    (folder / "good" / "KRAKEN_BTC-USD.csv").write_text("\n".join(lines) + "\n")
    (folder / "bad.bin").write_bytes(bytes(range(256)) * 20)
    found = tapeline("import", "good", "bad.bin", "--db", "new.duckdb", "--json", "--instrument", "BTC-USD.KRAKEN")
    assert found.code == 2
    assert "error: file bad.bin: is binary: expected text, Parquet or Feather" in found.err
    good, bad = found.json["files"]
    assert (good["path"], good["instrument"]) == ("good/KRAKEN_BTC-USD.csv", "BTC-USD.KRAKEN")
    assert [good[name] for name in ("read", "new", "malformed", "duplicates", "conflicts")] == [4, 3, 1, 0, 0]
    assert (good["first"], bad["format"], bad["read"]) == (format_time(START), "", 0)
    again = tapeline("import", "good", "--db", "new.duckdb", "--instrument", "BTC-USD.KRAKEN")
    assert again.code == 0
    assert "KRAKEN_BTC-USD.csv" in again.out
    assert "note: next: tapeline candles BTC-USD.KRAKEN" in again.err
    assert "KRAKEN_BTC-USD.csv: " in again.err


def test_rebuild_makes_what_is_not_current_current(tapeline: Tapeline, folder: Path) -> None:
    store = DuckDBStore(folder / "tapeline.duckdb")
    store.delete("candles", TRADED, end=START + MINUTE)
    state = store.read("states")
    marked = state.set_column(1, "layout", [["stale: earlier trades were added" + state["layout"][0].as_py()]])
    store.upsert("states", marked)
    store.close()
    assert "stale: earlier trades were added" in tapeline("candles", TRADED, "--json").err
    assert tapeline("verify", TRADED).code == 1
    rebuilt = tapeline("rebuild", "--json").json["rebuilt"]
    assert [(one["instrument"], one["of"], one["rows"]) for one in rebuilt] == [
        (TRADED, "trades", 6000),
        (IMPORTED, "candles 1m", 4),
    ]
    assert tapeline("candles", TRADED, "--json").err == ""
    assert tapeline("verify", TRADED).code == 0
    assert tapeline("rebuild", TRADED).out == f"{TRADED}: 6,000 trades folded anew\n"


def test_rebuild_keeps_the_timeframes_that_are_stored_unless_told_others(
    tapeline: Tapeline, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timeframes() -> set[str]:
        with DuckDBStore(folder / "tapeline.duckdb", read_only=True) as store:
            return set(store.read("candles", instrument=TRADED, source="trades").column("timeframe").to_pylist())

    monkeypatch.setenv("TAPELINE_TIMEFRAMES", "10s")
    assert tapeline("rebuild", TRADED).code == 0
    assert timeframes() == {"10s"}
    monkeypatch.delenv("TAPELINE_TIMEFRAMES")
    assert tapeline("rebuild", TRADED).code == 0
    assert timeframes() == {"10s"}
    assert tapeline("verify", TRADED).code == 0


def test_rebuild_makes_one_recorder_for_all_instruments_of_the_same_settings(
    tapeline: Tapeline, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timeframes() -> dict[str, set[str]]:
        with DuckDBStore(folder / "tapeline.duckdb", read_only=True) as store:
            held = store.read("candles", source="trades").select(["instrument", "timeframe"]).to_pylist()
        return {name: {row["timeframe"] for row in held if row["instrument"] == name} for name in (TRADED, *others)}

    made: list[tuple[str, ...]] = []
    others = ("ADA-USD.SIM", "SOL-USD.SIM")
    settings = load_settings(timeframes=("10s",), feature_sets=("bars",))
    with DuckDBStore(folder / "tapeline.duckdb") as store:
        for name in others:
            fill(store, replace(trades(600), instrument=name), settings)
    monkeypatch.delenv("TAPELINE_TIMEFRAMES")
    before = timeframes()
    assert before == {TRADED: {"1m", "5m"}, **{name: {"10s"} for name in others}}
    make = Recorder.__init__

    def counted(self: Recorder, store: Store, settings: Settings, **more: Any) -> None:
        made.append(settings.timeframes)
        make(self, store, settings, **more)

    monkeypatch.setattr(Recorder, "__init__", counted)
    assert len(tapeline("rebuild", "--json").json["rebuilt"]) == 4
    assert sorted(made) == sorted({("10s",), ("1m", "5m"), load_settings().timeframes})  # the last: of the candles
    assert timeframes() == before


def test_rebuild_does_without_a_stored_set_that_is_not_known_any_more(tapeline: Tapeline, folder: Path) -> None:
    store = DuckDBStore(folder / "tapeline.duckdb")
    state = store.read("states")
    named = state["snapshot"][0].as_py().replace(b'"bars"', b'"mine"')
    store.upsert("states", state.set_column(2, "snapshot", [[named]]))
    store.close()
    assert "mine" in tapeline("candles", TRADED).err
    assert tapeline("rebuild", TRADED).code == 0
    assert tapeline("verify", TRADED).code == 0


def test_rebuild_sets_a_damaged_state_aside(tapeline: Tapeline, folder: Path) -> None:
    store = DuckDBStore(folder / "tapeline.duckdb")
    state = store.read("states")
    store.upsert("states", state.set_column(2, "snapshot", [[b"rubbish"]]))
    store.close()
    assert tapeline("rebuild", TRADED).code == 0
    assert tapeline("verify", TRADED).code == 0


def test_verify_names_what_differs(tapeline: Tapeline, folder: Path) -> None:
    clean = tapeline("verify", "--json")
    assert (clean.code, clean.json["clean"], clean.json["findings"]) == (0, True, [])
    store = DuckDBStore(folder / "tapeline.duckdb")
    candle = store.read("candles", instrument=TRADED, timeframe="1m", start=START + MINUTE, end=START + 2 * MINUTE)
    store.upsert("candles", candle.set_column(candle.schema.get_field_index("close"), "close", [[1.5]]))
    store.close()
    found = tapeline("verify", "--json")
    assert (found.code, found.json["clean"]) == (1, False)
    assert {("candles", "close", 1.5)} <= {
        (one["table"], one["field"], one["stored"]) for one in found.json["findings"]
    }
    told = tapeline("verify", TRADED)
    assert told.code == 1
    assert "DIFFERS candles" in told.out


def test_simulate_is_told_by_its_seed_and_can_be_imported(tapeline: Tapeline, folder: Path) -> None:
    first = tapeline("simulate", "--seed", 7, "--trades", 500, "--out", "a.parquet", "--json").json
    assert (first["instrument"], first["seed"], first["rows"]) == ("BTC-USD.SIM", 7, 500)
    tapeline("simulate", "--seed", 7, "--trades", 500, "--out", "b.parquet")
    tapeline("simulate", "--seed", 8, "--trades", 500, "--out", "c.parquet")
    a, b, c = (pq.read_table(folder / f"{name}.parquet") for name in "abc")
    assert a.equals(b)
    assert not a.equals(c)
    hour = tapeline("simulate", "--duration", "2m", "--out", "d.csv").out
    assert hour.startswith("d.csv: ")
    assert tapeline("import", "a.parquet", "--db", "a.duckdb", "--json").json["files"][0]["new"] == 500


def test_doctor(tapeline: Tapeline, folder: Path) -> None:
    found = tapeline("doctor", "--json")
    assert (found.code, found.err) == (0, "")
    told = found.json
    assert told["versions"]["tapeline"]
    extras = {extra["name"]: extra for extra in told["extras"]}
    assert extras["pandas"]["installed"]
    assert extras["kafka"]["install"] == "pip install 'tapeline[kafka]'"
    base = told["database"]
    assert (base["state"], base["schema"], base["kinds"]["trades"]["rows"]) == ("ok", 3, 6000)
    assert base["bytes_per_trade_duckdb"] == pytest.approx(base["kinds"]["trades"]["bytes"] / 6000, abs=0.01)
    assert 0 < base["bytes_per_trade_parquet"] < 40
    assert [entry["instrument"] for entry in base["instruments"]] == [TRADED, IMPORTED]
    text = tapeline("doctor").out
    assert "bytes a trade in parquet" in text
    assert "kafka" in text


def test_doctor_of_no_database_and_of_a_broken_one(tapeline: Tapeline, folder: Path) -> None:
    (folder / "tapeline.duckdb").unlink()
    absent = tapeline("doctor", "--json")
    assert (absent.code, absent.json["database"]["state"]) == (0, "missing")
    assert absent.json["next_steps"] == ["no database yet: tapeline import PATH, or name another with --db"]
    (folder / "tapeline.duckdb").write_bytes(b"no database " * 1000)
    broken = tapeline("doctor", "--json")
    assert (broken.code, broken.json["database"]["state"]) == (1, "unusable")
    assert "is not a database" in broken.json["next_steps"][0]
    assert "unusable" in tapeline("doctor").out


def test_doctor_of_a_database_that_a_process_owns_names_it(tapeline: Tapeline, folder: Path) -> None:
    db = folder / "tapeline.duckdb"
    with DuckDBStore(db), owning(db, "", clock=ManualClock(0)):
        found = tapeline("doctor", "--json")
        text = tapeline("doctor").out
    base = found.json["database"]
    assert (found.code, base["state"]) == (0, "in use")
    assert base["owner"] == {"pid": os.getpid(), "started": "1970-01-01T00:00:00Z", "url": ""}
    (step,) = (one for one in found.json["next_steps"] if "database" in one)
    assert f"tapeline (PID {os.getpid()}) since 1970-01-01T00:00:00Z'; stop it first" in step
    assert f"owned by process {os.getpid()} since 1970-01-01" in text


def test_real_recordings_are_imported_and_read(tapeline: Tapeline, shared: Path) -> None:
    file = shared / "data" / "nautilus-kraken" / "http_trades.json"
    found = tapeline("import", file, "--db", "kraken.duckdb", "--json").json["files"][0]
    assert (found["read"], found["new"], found["malformed"]) == (1000, 1000, 0)
    rows = json.loads(tapeline("candles", found["instrument"], "--db", "kraken.duckdb", "--json").out)
    assert sum(row["trades"] for row in rows) <= 1000
    assert tapeline("verify", "--db", "kraken.duckdb").code == 0


@pytest.mark.parametrize(
    "words", [["rebuild"], ["train", "A-B.SIM"], ["predict", "A-B.SIM"], ["models", "rollback", "m"]]
)
def test_only_import_makes_a_database(tapeline: Tapeline, folder: Path, words: list[str]) -> None:
    result = tapeline("--db", "none.duckdb", *words)
    assert result.code == 2
    assert "database none.duckdb: is missing: expected a file" in result.err
    assert not (folder / "none.duckdb").exists()


def test_a_column_is_mapped_once(tapeline: Tapeline) -> None:
    result = tapeline("import", "x.csv", "--columns", "price=p,price=q")
    assert (result.code, result.err[:30]) == (2, "error: --columns: cannot be re")
