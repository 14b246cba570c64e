"""How much memory ``tapeline up`` takes: its imports, one instrument, and each of a hundred.

The command itself is run as a user runs it, on a simulated Kraken in a process of its own, with a model that answers
for each instrument. Resident memory is read from outside every half second, from the start on: what counts is the most
there ever was, also while the past is fetched at the venue's pace of one request a second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import psutil

from live import TIMEFRAMES, child, line_of, names_of, put_models
from results import record
from tapeline.config import load_settings
from tapeline.stores.duckdb import DuckDBStore

COMMAND = "python bench/memory.py"
BUDGET_MB = 500.0
SAMPLE_SECONDS = 0.5
IMPORTS = """
from tapeline.runners.memory import keep_small
keep_small()
import psutil, tapeline.cli.live, tapeline.api.app, tapeline.api.server
print(psutil.Process().memory_info().rss / 1e6)
"""


def prepare(db: Path, instruments: int) -> None:
    """Put models into a new database; in another process, for training takes memory that is not asked about."""
    put_models(db, load_settings(db=db, timeframes=TIMEFRAMES), names_of(instruments))


def resident(db: Path, url: str, instruments: int, seconds: float) -> list[float]:
    """Run ``tapeline up`` for so long, and return its resident memory at even times, MB."""
    asked = {"DB": str(db), "KRAKEN_URL": url, "BACKFILL": "1ms", "TIMEFRAMES": ",".join(TIMEFRAMES)}
    environment = os.environ | {f"TAPELINE_{name}": value for name, value in asked.items()}
    command = [sys.executable, "-m", "tapeline", "up", *names_of(instruments), "--headless", "--port", "0"]
    quiet, memory, until = subprocess.DEVNULL, [], time.monotonic() + seconds
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as process:
        while time.monotonic() < until:
            memory.append(psutil.Process(process.pid).memory_info().rss / 1e6)
            with suppress(subprocess.TimeoutExpired):
                sys.exit(f"tapeline up has ended by itself, with code {process.wait(SAMPLE_SECONDS)}")
        process.terminate()
    return memory


def run(instruments: int, rate: float, seconds: float) -> list[float]:
    """Follow so many instruments, say what was seen, and return the resident memory, MB."""
    asked = ["--instruments", str(instruments), "--rate", str(rate)]
    with tempfile.TemporaryDirectory() as folder, child("--child", "serve", *asked) as venue:
        db = Path(folder) / "a.duckdb"
        making = get_context("spawn").Process(target=prepare, args=(db, instruments))
        making.start()
        making.join()
        memory = resident(db, line_of(venue), instruments, seconds)
        with DuckDBStore(db, read_only=True) as store:
            found = store.sql("SELECT count(*) AS n, count(DISTINCT instrument) AS named FROM predictions").to_pylist()
            trades = len(store.sql("SELECT instrument FROM trades GROUP BY instrument"))
    print(f"  {instruments} instruments: most {max(memory):.0f} MB, at the end {memory[-1]:.0f} MB", end="; ")
    print(f"trades of {trades}, {found[0]['n']:,} predictions of {found[0]['named']}", flush=True)
    return memory


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=10_000, help="trades a second of all instruments together")
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=300, help="the past of each takes a second to fetch")
    parser.add_argument("--smoke", action="store_true", help="few trades for a short time: only that it works")
    options = parser.parse_args()
    count, rate, seconds = options.instruments, options.rate, options.seconds
    if options.smoke:
        count, rate, seconds = 3, 1_000.0, 12.0
    imports = float(subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, check=True, text=True).stdout)
    one = run(1, rate / count, min(seconds, 60.0))
    many = run(count, rate, seconds)
    record("live_memory_imports", imports, "MB", None, None, COMMAND)
    record("live_memory_1_instrument", max(one), "MB", None, None, COMMAND)
    record(f"live_memory_{count}_instruments", max(many), "MB", None, None, COMMAND)
    print(f"  {(max(many) - max(one)) / (count - 1):.2f} MB for each further instrument")
    print(f"  {'within' if max(many) < BUDGET_MB else 'OVER'} the budget of {BUDGET_MB:.0f} MB for 100")


if __name__ == "__main__":
    main()
