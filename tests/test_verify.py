"""Verify must find every planted difference, and name the table, the key, the field and both values."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tapeline.clock import SystemClock
from tapeline.config import Settings, load_settings
from tapeline.importing import import_files
from tapeline.simulator.market import Market
from tapeline.stores import rows
from tapeline.stores.base import KINDS
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import Frame
from tapeline.verify import VerifyReport, verify

COLUMNS = "instrument, trade_id, ts_event_ns, delay_ns, price, qty, side, count"
TAPE = Frame.concat(list(Market(21, trades_per_second=2.0).frames(trades=2500)))


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(timeframes=("1m",), feature_sets=("bars",))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> bytes:
    """Import a tape with a gap, and return the database's bytes."""
    folder = tmp_path_factory.mktemp("verify")
    table = rows.from_frame(TAPE.take(np.r_[0:1000, 1003:2500]))
    pq.write_table(table.cast(KINDS["trades"].schema.with_metadata({"tapeline": "1"})), folder / "a.parquet")
    store = DuckDBStore(folder / "a.duckdb")
    assert not import_files([folder / "a.parquet"], store, settings, clock=SystemClock()).problems
    store.close()
    return (folder / "a.duckdb").read_bytes()


@pytest.fixture
def db(tmp_path: Path, clean: bytes) -> Path:
    file = tmp_path / "a.duckdb"
    file.write_bytes(clean)
    return file


def tampered(db: Path, settings: Settings, sql: str) -> VerifyReport:
    with duckdb.connect(str(db)) as connection:
        connection.execute(sql)
    store = DuckDBStore(db, read_only=True)
    report = verify(store, settings)
    store.close()
    return report


def test_an_untouched_database_is_clean(db: Path, settings: Settings) -> None:
    report = tampered(db, settings, "SELECT 1")
    assert report.findings == []
    assert {what.split(" ", 1)[0] for what in report.checked} == {"candles", "feature", "trades"}


@pytest.mark.parametrize(
    ("sql", "table", "field"),
    [
        (
            "UPDATE candles SET close = close * (1 + 1e-15) WHERE trades = (SELECT max(trades) FROM candles)",
            "candles",
            "close",
        ),
        ("UPDATE candles SET complete = true", "candles", "complete"),
        (
            "UPDATE candles SET trades = trades + 1 WHERE trades = (SELECT max(trades) FROM candles)",
            "candles",
            "trades",
        ),
        ("DELETE FROM candles WHERE open_time_ns = (SELECT max(open_time_ns) FROM candles)", "candles", "row"),
        ("DELETE FROM candles WHERE open_time_ns = (SELECT min(open_time_ns) FROM candles)", "candles", "row"),
        ("UPDATE candles SET low = high + 1", "candles", "low"),
        ("UPDATE features SET complete = NOT complete", "features", "complete"),
        ("UPDATE features SET values = list_transform(values, lambda x: x + 1e-9)", "features", "return_1"),
        ("DELETE FROM features", "features", "row"),
        ("UPDATE trades SET price = price + 1 WHERE trade_id = 400", "candles", "vwap"),
        ("DELETE FROM trades WHERE trade_id = 400", "gaps", "status"),
        (f"INSERT INTO trades ({COLUMNS}) SELECT {COLUMNS} FROM trades WHERE trade_id = 400", "trades", "trade_id"),
        ("DELETE FROM gaps", "gaps", "status"),
        ("UPDATE states SET snapshot = snapshot || 'x'::BLOB", "states", "snapshot"),
        ("DELETE FROM decisions WHERE kind = 'give_up'", "candles", "row"),
        ("DELETE FROM states", "states", "layout"),
        ("DELETE FROM instruments", "instruments", "row"),
    ],
)
def test_a_planted_difference_is_found(db: Path, settings: Settings, sql: str, table: str, field: str) -> None:
    findings = tampered(db, settings, sql).findings
    assert any((finding.table, finding.field) == (table, field) for finding in findings), findings[:5]
    for finding in findings:
        assert finding.stored != finding.recomputed
        assert "BTC-USD.SIM" in finding.key


def test_a_finding_reads_well(db: Path, settings: Settings) -> None:
    sql = "UPDATE candles SET close = 1, low = 1 WHERE open_time_ns = (SELECT max(open_time_ns) FROM candles)"
    texts = [str(finding) for finding in tampered(db, settings, sql).findings if finding.field == "close"]
    assert texts[0].startswith("candles BTC-USD.SIM 1m 2024-01-01T0")
    assert " close: stored 1.0, recomputed 59" in texts[0] or " close: stored 1.0, recomputed 60" in texts[0]


def test_it_is_checked_as_it_was_written_whatever_the_settings_say_now(db: Path) -> None:
    with DuckDBStore(db, read_only=True) as store:
        report = verify(store, load_settings(timeframes=("1s", "4h"), feature_sets=("market",), max_quiet="1h"))
    assert report.findings == []
    assert report.checked["candles in one piece"] > 0


def test_a_state_of_another_layout_is_said(db: Path, settings: Settings) -> None:
    report = tampered(db, settings, "UPDATE states SET layout = '/0000000000000000'")
    assert [finding.field for finding in report.findings] == ["layout"]
    assert "tapeline rebuild BTC-USD.SIM" in str(report.findings[0].recomputed)


def test_an_instrument_without_contiguous_ids_is_said_to_be_unproven(tmp_path: Path, settings: Settings) -> None:
    frame = Frame.of("A-B.OTHER", trade_id=TAPE.trade_id, ts_event=TAPE.ts_event, price=TAPE.price, qty=TAPE.qty)
    table: pa.Table = rows.from_frame(frame)
    file = tmp_path / "a.parquet"
    pq.write_table(table.cast(KINDS["trades"].schema.with_metadata({"tapeline": "1"})), file)
    store = DuckDBStore(tmp_path / "b.duckdb")
    import_files([file], store, settings, clock=SystemClock())
    report = verify(store, settings)
    store.close()
    assert report.findings == []
    assert "unproven" in report.unproven[0]
