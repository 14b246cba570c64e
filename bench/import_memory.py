"""Memory of ``tapeline import`` while it reads a file of many rows: flat, or growing with the file.

The file is made by the simulated market, a piece at a time. Resident memory is sampled while the command runs;
it is flat when the peak of the last half of the run is at most a tenth above that of the second quarter.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

import results
from tapeline.simulator.market import Market
from tapeline.types import Frame

INSTRUMENT = "BTC-USD.SIM"
ROWS = 1 << 20
BYTES_A_ROW = {"csv": 64, "parquet": 16}
COLUMNS = "price=price,qty=qty,ts=time:ns,id=id,side=side"
FLAT = 1.1
SHORT_SECONDS = 60.0
SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen of one import: resident memory at even times, MB, and how long it took, s."""

    resident: list[float]
    seconds: float

    @property
    def peak(self) -> float:
        """Return the most it held, MB."""
        return max(self.resident)

    @property
    def tenths(self) -> list[int]:
        """Return the peak of each tenth of the run, MB."""
        ends = [len(self.resident) * tenth // 10 for tenth in range(11)]
        return [round(max(self.resident[begin:end], default=0.0)) for begin, end in pairwise(ends)]

    @property
    def verdict(self) -> str:
        """Return whether it is flat; a short run is still filling caches of a fixed size."""
        if self.seconds < SHORT_SECONDS:
            return "too short a run to tell"
        return "flat" if self.growth <= FLAT else "GROWING"

    @property
    def growth(self) -> float:
        """Return the peak of the last half over that of the second quarter."""
        half, quarter = len(self.resident) // 2, len(self.resident) // 4
        return max(self.resident[half:]) / max(self.resident[quarter:half], default=self.peak)


def main() -> None:
    """Run the bench."""
    options = _options()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    _require_disk(folder, options.rows, options.format)
    file = folder / f"import_{options.rows}.{options.format}"
    if not file.exists():
        _make(file, options.rows)
    run = _import(file, folder / "import.duckdb")
    if not options.keep:
        file.unlink()
    command = f"python bench/import_memory.py --rows {options.rows} --format {options.format}"
    results.record("import_memory_peak", run.peak, "MB", None, None, command)
    results.record("import_memory_growth", run.growth, "last half / second quarter", None, None, command)
    results.record("import_rate", options.rows / run.seconds / 1e6, "million rows/s", None, None, command)
    print(f"peak of each tenth of the run, MB: {run.tenths}")
    print(f"memory of {options.rows:,} rows: {run.verdict}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--format", choices=sorted(BYTES_A_ROW), default="csv")
    parser.add_argument("--folder", default="build/bench")
    parser.add_argument("--keep", action="store_true", help="keep the file for the next run")
    parser.add_argument("--smoke", action="store_true", help="small")
    options = parser.parse_args()
    if options.smoke:
        options.rows = 200_000
        os.environ.setdefault("TAPELINE_BENCH_RESULTS", "build/bench-smoke.json")
    return options


def _require_disk(folder: Path, rows: int, suffix: str) -> None:
    wanted = rows * (BYTES_A_ROW[suffix] + 40)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        sys.exit(f"{folder}: not enough disk: expected {wanted / 1e9:.1f} GB, was {free / 1e9:.1f} GB; choose --folder")


def _make(file: Path, rows: int) -> None:
    scratch = file.with_suffix(".tmp")
    frames = (_table(frame) for frame in Market(1, instrument=INSTRUMENT).frames(trades=rows, rows=ROWS))
    first = next(frames)
    writer = csv.CSVWriter if file.suffix == ".csv" else pq.ParquetWriter
    with writer(str(scratch), first.schema) as out:
        for table in (first, *frames):
            out.write_table(table)
    scratch.replace(file)


def _table(frame: Frame) -> pa.Table:
    side = pa.array(frame.side > 0).cast(pa.int8())
    sides = pa.DictionaryArray.from_arrays(side, ["sell", "buy"]).cast(pa.string())
    columns = {"id": frame.trade_id, "time": frame.ts_event, "price": frame.price, "qty": frame.qty, "side": sides}
    return pa.table(columns)


def _import(file: Path, database: Path) -> Run:
    """Import the file into a new database and sample the command's memory until it ends."""
    for left in database.parent.glob(f"{database.name}*"):
        left.unlink()
    tapeline = [str(Path(sys.executable).with_name("tapeline")), "--db", str(database), "--json"]
    command = [*tapeline, "import", str(file), "--instrument", INSTRUMENT, "--columns", COLUMNS]
    begin = time.monotonic()
    resident: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not _ends_within(process, SAMPLE_SECONDS):
            resident.append(_resident(process.pid))
    seconds = time.monotonic() - begin
    if process.returncode:
        sys.exit(process.returncode)
    print(f"database: {database.stat().st_size / 1e6:,.0f} MB")
    for left in database.parent.glob(f"{database.name}*"):
        left.unlink()
    return Run(resident, seconds)


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _resident(pid: int) -> float:
    """Return the resident memory of a process, MB."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096 / 1e6


if __name__ == "__main__":
    main()
