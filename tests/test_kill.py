"""kill -9 at random moments: ids in = ids out, and what is stored is what the tape gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tapeline.clock import SystemClock
from tapeline.config import load_settings
from tapeline.importing import import_files
from tapeline.simulator.market import Market
from tapeline.stores import rows
from tapeline.stores.base import KINDS
from tapeline.stores.duckdb import DuckDBStore
from tapeline.testing.killing import SETTINGS
from tapeline.verify import verify

TRADES = 40_000
KILLS = int(os.environ.get("TAPELINE_KILLS", "25"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a recording with a gap, trades out of order and repeats."""
    file = tmp_path_factory.mktemp("recording") / "tape.parquet"
    table = pa.concat_tables([rows.from_frame(frame) for frame in Market(5).frames(trades=TRADES)])
    parts = [table[0:15_000], table[15_010:30_000], table[26_000:27_000], table[35_000:], table[30_000:35_000]]
    pq.write_table(pa.concat_tables(parts).cast(KINDS["trades"].schema.with_metadata({"tapeline": "1"})), file)
    return file


def killed(what: str, source: Path, db: Path, seed: int) -> int:
    """Run the killer, and return how many kills hit."""
    command = [sys.executable, "-m", "tapeline.testing.killing", what, str(source), str(db), str(KILLS), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def check(db: Path) -> None:
    store = DuckDBStore(db, read_only=True)
    ids = store.read("trades").column("trade_id").to_pylist()
    assert sorted(ids) == [i for i in range(1, TRADES + 1) if not 15_000 < i <= 15_010]
    report = verify(store, load_settings(**SETTINGS))
    assert report.findings == []
    assert report.checked["trades"] == TRADES - 10
    store.close()


@pytest.mark.parametrize("seed", [1])
def test_a_killed_import_loses_and_doubles_nothing(recording: Path, tmp_path: Path, seed: int) -> None:
    assert killed("import", recording, tmp_path / "a.duckdb", seed) >= KILLS
    check(tmp_path / "a.duckdb")


@pytest.mark.services
@pytest.mark.parametrize("seed", [2])
def test_a_killed_replay_loses_and_doubles_nothing(recording: Path, tmp_path: Path, seed: int) -> None:
    origin = DuckDBStore(tmp_path / "origin.duckdb")
    import_files([recording], origin, load_settings(**SETTINGS), clock=SystemClock())
    origin.close()
    assert killed("replay", tmp_path / "origin.duckdb", tmp_path / "b.duckdb", seed) >= KILLS
    check(tmp_path / "b.duckdb")


@pytest.mark.services
@pytest.mark.parametrize("seed", [3])
def test_a_killed_live_process_loses_and_doubles_nothing(recording: Path, tmp_path: Path, seed: int) -> None:
    assert killed("live", recording, tmp_path / "c.duckdb", seed) >= KILLS
    check(tmp_path / "c.duckdb")


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(100, 120))
@pytest.mark.parametrize("what", ["import", "replay", "live"])
def test_many_more_kills(recording: Path, tmp_path: Path, what: str, seed: int) -> None:
    """Kill again and again; a failing seed is in the name of the test."""
    source = recording
    if what == "replay":
        source = tmp_path / "origin.duckdb"
        origin = DuckDBStore(source)
        import_files([recording], origin, load_settings(**SETTINGS), clock=SystemClock())
        origin.close()
    assert killed(what, source, tmp_path / "c.duckdb", seed) >= KILLS
    check(tmp_path / "c.duckdb")
