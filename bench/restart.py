"""How long a restart takes after kill -9 with many trades stored: open, restore, fold on, know where to go on.

A child process writes the tape as the live process does and is killed in the middle of its work; then the time from the
start of a new Python until every instrument's standing is known is taken, with all that a start imports.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from results import record
from tapeline.clock import SystemClock
from tapeline.config import Settings, load_settings
from tapeline.ingest.base import Delivery
from tapeline.runners.embedded import open_database
from tapeline.runners.writer import Writer
from tapeline.simulator.market import Market
from tapeline.types import Frame

BUDGET_MS = 3000.0
PIECE = 20_000


def settings_of(db: Path) -> Settings:
    return load_settings(db=db)


async def write(db: Path, trades: int, instruments: int) -> None:
    """Write the tape, say when all but the last pieces are there, and go on until killed."""
    market = Frame.concat(list(Market(7, trades_per_second=200.0).frames(trades=trades // instruments)))
    async with Writer(lambda: open_database(db), settings_of(db), clock=SystemClock()) as writer:
        for at in range(0, len(market), PIECE):
            part = market.take(slice(at, at + PIECE))
            for number in range(instruments):
                frame = Frame(f"C{number}-USD.SIM", *part.columns())
                await writer.take(Delivery((frame,), received=writer_now()))
        await writer.standing("C0-USD.SIM")
        print("stored", flush=True)
        step = round(float(np.diff(market.ts_event).mean()))
        trade_id, ts_event = int(market.trade_id[-1]), int(market.ts_event[-1])
        while True:
            trade_id, ts_event = trade_id + 1, ts_event + step
            for number in range(instruments):
                frame = Frame.of(f"C{number}-USD.SIM", trade_id=[trade_id], ts_event=[ts_event], price=[1.0], qty=[1.0])
                await writer.take(Delivery((frame,), received=writer_now()))
            await writer.standing("C0-USD.SIM")


def writer_now() -> int:
    return SystemClock().now()


async def start(db: Path, instruments: int) -> None:
    """Start as the live process does, as far as the first question to a venue."""
    async with Writer(lambda: open_database(db), settings_of(db), clock=SystemClock()) as writer:
        for number in range(instruments):
            standing = await writer.standing(f"C{number}-USD.SIM")
            assert standing.trade_id is not None
        print("ready", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def child(*arguments: str) -> subprocess.Popen[str]:
    # An installation has its modules compiled; a shell that forbids it would have them compiled at every start.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, env=kept)


def until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line == word, f"the child said {line!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=10_000_000)
    parser.add_argument("--instruments", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="few trades: only that it works")
    parser.add_argument("--child", choices=["write", "start"], help=argparse.SUPPRESS)
    parser.add_argument("--db", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "write":
        asyncio.run(write(options.db, options.trades, options.instruments))
    elif options.child == "start":
        asyncio.run(start(options.db, options.instruments))
    else:
        trades, rounds = (200_000, 1) if options.smoke else (options.trades, options.rounds)
        measure(trades, options.instruments, rounds)


def measure(trades: int, instruments: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asked = ["--db", str(Path(folder) / "a.duckdb"), "--instruments", str(instruments), "--trades", str(trades)]
        writer = child("--child", "write", *asked)
        until(writer, "stored")
        writer.kill()
        writer.wait()
        times, used = [], []
        for _ in range(rounds + 1):
            begin = time.perf_counter()
            starting = child("--child", "start", *asked)
            until(starting, "ready")
            times.append((time.perf_counter() - begin) * 1e3)
            _, _, usage = os.wait4(starting.pid, 0)
            used.append((usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3))
    median = statistics.median(times[1:])
    record("restart", median, "ms", None, None, "python bench/restart.py")
    verdict = "within" if median < BUDGET_MS else "OVER"
    cpu, memory = (statistics.median(values) for values in zip(*used[1:], strict=True))
    print(f"  {cpu:.2f} s of processor time, {memory:.0f} MB at most")
    print(f"  {verdict} the budget of {BUDGET_MS:.0f} ms: {trades:,} trades of {instruments} instruments stored")


if __name__ == "__main__":
    main()
