"""A real file system that is full for a while: the writer says so, goes on by itself, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import asyncio, resource, signal, sys
from pathlib import Path
from tapeline.clock import SystemClock
from tapeline.config import load_settings
from tapeline.errors import StoreUnavailable
from tapeline.ingest.base import Delivery
from tapeline.runners.writer import Writer
from tapeline.simulator.market import Market
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import Frame
from tapeline.verify import verify

db = Path(sys.argv[1])
settings = load_settings(db=db, timeframes=("1m",), feature_sets=("bars",), backoff_cap="200ms")
tape = Frame.concat(list(Market(5).frames(trades=30_000)))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

async def main():
    async with Writer(lambda: DuckDBStore(db), settings, clock=SystemClock()) as writer:
        at = 0
        while writer.problem is None:
            try:
                await writer.take(Delivery((tape.take(slice(at, at + 500)),)))
            except StoreUnavailable:
                break
            at += 500
            if at == 1000:
                await writer.standing(tape.instrument)
                resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
            await asyncio.sleep(0.01)
        print(writer.problem, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        while writer.problem is not None:
            await asyncio.sleep(0.01)
        at = (await writer.standing(tape.instrument)).trade_id
        await writer.take(Delivery((tape.take(slice(at, None)),)))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
with DuckDBStore(db, read_only=True) as store:
    print(store.read("trades").num_rows, verify(store, settings).findings, flush=True)
"""


def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path / "a.duckdb")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    said, after = done.stdout.splitlines()
    assert "the disk is full: expected room to write" in said
    assert after == "30000 []"
