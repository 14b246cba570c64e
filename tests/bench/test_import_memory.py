from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import csv

import import_memory


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_file_holds_the_market(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"import.{suffix}"
    import_memory._make(file, 5000)
    table = csv.read_csv(file) if suffix == "csv" else pq.read_table(file)
    assert table.column_names == ["id", "time", "price", "qty", "side"]
    assert table["id"].to_pylist() == list(range(1, 5001))
    assert set(table["side"].to_pylist()) == {"buy", "sell"}


def test_growth_compares_the_last_half_with_the_second_quarter() -> None:
    assert import_memory.Run([50.0, 90.0, 100.0, 100.0, 100.0, 105.0, 100.0, 100.0], 1.0).growth == 1.05
    assert import_memory.Run([50.0, 90.0, 100.0, 100.0, 150.0, 200.0, 250.0, 300.0], 1.0).growth == 3.0
    assert import_memory.Run([50.0], 1.0).growth == 1.0


def test_a_verdict_needs_a_long_run() -> None:
    grown, flat = [100.0] * 4 + [150.0] * 4, [100.0] * 8
    assert import_memory.Run(grown, 59.0).verdict == "too short a run to tell"
    assert import_memory.Run(grown, 60.0).verdict == "GROWING"
    assert import_memory.Run(flat, 60.0).verdict == "flat"


def test_a_process_ends_or_not() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not import_memory._ends_within(process, 0.01)
        assert import_memory._resident(process.pid) > 1
        process.communicate(b"\n")
        assert import_memory._ends_within(process, 1)


def test_too_little_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"not enough disk: expected .* GB, was .* GB; choose --folder"):
        import_memory._require_disk(tmp_path, 10**15, "csv")
