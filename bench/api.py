"""The API under load: predictions at 2,000 requests a second, 1,000 candles, 1,000 clients of a stream.

The server is another process; but for the predictions it stores 10,000 trades a second meanwhile, and a candle of the
series that is asked for every second: one request in twenty finds another answer than the one before. Requests start by
the clock, whether or not earlier ones were answered, and are timed from when they were due, so that no wait is left
out; what asks tells its own share of a core, and how late it was itself. Predictions are answered on one core, asked
from another. Beside them, where it is installed, ``mlflow models serve`` of the same model on the same rows: turn by
turn, on the same core, both asked as fast as they answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import psutil

from peers.api_server import NAME
from peers.http_load import Heard, Load, exact_loop, fastest, listen, once, paced
from peers.mlflow_server import save, start
from results import record
from tapeline.types import Float

COMMAND = "python bench/api.py"
BUDGET_MS = {"predict": 3.0, "candles": 10.0}
BUDGET_RATE, BUDGET_INGEST = 10.0, 0.95
TURNS = 3
CORES = psutil.Process().cpu_affinity() if hasattr(psutil.Process, "cpu_affinity") else []
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run in a loop that is exact to the microsecond."""
    with asyncio.Runner(loop_factory=exact_loop) as runner:
        return runner.run(work)


def post(path: str, body: object) -> bytes:
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}"
    return head.encode() + b"\r\n\r\n" + raw


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    port: int
    pid: int


def stay_on(cores: Sequence[int]) -> None:
    """Run on these cores from now on, and what is started too, where the system can hold a process there."""
    if cores:
        psutil.Process().cpu_affinity(list(cores))


@contextmanager
def server(folder: Path, candles: int, per_second: int, cores: Sequence[int]) -> Iterator[Served]:
    """Serve from some cores, and go on on all others, or on all where that leaves none."""
    script = Path(__file__).parent / "peers" / "api_server.py"
    command = [sys.executable, str(script), str(folder / "tape.duckdb"), str(candles), str(per_second)]
    stay_on(cores)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stay_on([core for core in CORES if core not in cores] or CORES)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Served(urlsplit(process.stdout.readline().strip()).port or 0, process.pid)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        stay_on(CORES)


def tell(name: str, taken: Float, budget: float | None = None) -> None:
    p50, p99 = (float(np.percentile(taken, part)) for part in (50, 99))
    record(f"api_{name}_p50", p50, "ms", None, None, COMMAND)
    record(f"api_{name}_p99", p99, "ms", None, None, COMMAND)
    if budget is not None:
        print(f"  {'within' if p99 < budget else 'OVER'} the budget of {budget:g} ms")


def tell_load(name: str, load: Load, budget: float, used: float) -> None:
    tell(name, load.taken, budget)
    record(f"api_{name}_cpu", used / len(load.taken) * 1e6, "us a request", None, None, COMMAND)
    late = float(np.percentile(load.late, 99))
    print(f"  asking took {load.share:.0%} of a core, and was itself late by {late:.2f} ms (p99)")


def cpu_of(pid: int) -> float:
    """Return the seconds of all cores that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def beside_mlflow(port: int, request: bytes, model: dict[str, Any], seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            theirs = int(free.getsockname()[1])
        save(Path(folder) / "model", model["content"])
        stay_on(CORES[:1])
        process = start(Path(folder) / "model", theirs)
        stay_on(CORES[1:] or CORES)
        try:
            ask = post("/invocations", {"inputs": [model["row"]]})
            run(answers(theirs, ask))
            turns = [(run(fastest(port, request, seconds)), run(fastest(theirs, ask, seconds))) for _ in range(TURNS)]
            ours, peer = (float(np.median([turn[at][0] for turn in turns])) for at in (0, 1))
            record("api_predict_rate", ours, "requests/s", peer, ours / peer, COMMAND)
            shares = (max(turn[at][1] for turn in turns) for at in (0, 1))
            print("  asking took {:.0%} of a core of us, {:.0%} of the peer".format(*shares))
            print(f"  {'within' if ours / peer >= BUDGET_RATE else 'UNDER'} the budget of {BUDGET_RATE:g}x")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


async def answers(port: int, request: bytes) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        try:
            await once(port, request)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            return
    raise TimeoutError(port)


def ask_predictions(served: Served, model: dict[str, Any], *, smoke: bool) -> None:
    request = post("/predict/direction", {"symbol": NAME, "features": model["row"]})
    run(answers(served.port, request))
    seconds, before = 1.0 if smoke else 15.0, cpu_of(served.pid)
    load = run(paced(served.port, request, 200 if smoke else 2000, seconds))
    tell_load("predict_2000", load, BUDGET_MS["predict"], cpu_of(served.pid) - before)
    if find_spec("mlflow") and not smoke:
        beside_mlflow(served.port, request, model, 5.0)


def ask_while_trades_come_in(served: Served, *, smoke: bool) -> None:
    candles = get(f"/v1/candles?instrument={NAME}&limit=1000")
    run(answers(served.port, candles))
    seconds, before = 1.0 if smoke else 30.0, cpu_of(served.pid)
    run(asyncio.sleep(seconds))
    idle, before = cpu_of(served.pid) - before, cpu_of(served.pid)
    load = run(paced(served.port, candles, 20, seconds))
    tell_load("candles_1000", load, BUDGET_MS["candles"], max(0.0, cpu_of(served.pid) - before - idle))
    alone = asyncio.run(listen(served.port, 1, 1.0 if smoke else 10.0))
    many = asyncio.run(listen(served.port, 20 if smoke else 1000, 1.0 if smoke else 10.0))
    tell("fan_out_1000", many.taken)
    (ours, busy), (before_it, idle) = stored_per_second(many), stored_per_second(alone)
    record("api_ingest_beside_fan_out", ours, "trades/s", before_it, ours / before_it, COMMAND)
    print(f"  {'within' if ours / before_it >= BUDGET_INGEST else 'UNDER'} the budget of {BUDGET_INGEST:g}x")
    print(f"  commits took {busy:.1%} of the time, {idle:.1%} without; listening took {many.share:.0%} of a core")


def stored_per_second(heard: Heard) -> tuple[float, float]:
    """Return how many trades were stored a second, and the share of the time that their commits took."""
    (begun, first, busy), (ended, last, busy_then) = heard.stored[0], heard.stored[-1]
    return (last - first) / (ended - begun), (busy_then - busy) / (ended - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="few requests: only that it works")
    smoke = parser.parse_args().smoke
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), 2_000, 0, CORES[:1]) as served:
        ask_predictions(served, json.loads((Path(folder) / "tape.json").read_text()), smoke=smoke)
    candles, pace = (2_000, 1_000) if smoke else (100_000, 10_000)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), candles, pace, CORES) as served:
        ask_while_trades_come_in(served, smoke=smoke)


if __name__ == "__main__":
    main()
