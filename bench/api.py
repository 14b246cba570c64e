"""The API under load: predictions at 2,000 requests a second, 1,000 candles, 1,000 clients of a stream.

The server is another process; but for the predictions it stores 10,000 trades a second meanwhile. Requests start by
the clock, whether or not earlier ones were answered, and are timed from when they should have started, so that no wait
is left out. Beside it, where it is installed, `mlflow models serve` of the same model on the same rows: both asked as
fast as they answer.
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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from peers.api_server import NAME
from peers.mlflow_server import save, start
from results import record
from tapeline.types import Float

COMMAND = "python bench/api.py"
CONNECTIONS = 32
BUDGET_MS = {"predict": 3.0, "candles": 10.0}
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def post(path: str, body: object) -> bytes:
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}"
    return head.encode() + b"\r\n\r\n" + raw


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n".encode()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """Send one request and return the body of its answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head[:200]
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.split(b":")[1]))


async def paced(port: int, request: bytes, per_second: float, seconds: float) -> Float:
    """Return how long requests took (ms) that start by the clock."""
    pool: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        pool.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    taken: list[float] = []
    begun = time.perf_counter() + 0.1

    async def one(due: float) -> None:
        connection = await pool.get()
        await exchange(*connection, request)
        taken.append((time.perf_counter() - due) * 1e3)
        pool.put_nowait(connection)

    tasks = []
    for at in range(int(per_second * seconds)):
        due = begun + at / per_second
        if due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    while not pool.empty():
        pool.get_nowait()[1].close()
    return np.array(taken)


async def as_fast_as_it_answers(port: int, request: bytes, seconds: float) -> float:
    """Return requests a second over 8 connections."""
    end, counts = time.perf_counter() + seconds, []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.perf_counter() < end:
            await exchange(reader, writer, request)
            count += 1
        writer.close()
        counts.append(count)

    await asyncio.gather(*(one() for _ in range(8)))
    return sum(counts) / seconds


async def fan_out(address: str, clients: int, messages: int) -> Float:
    """Return how long after it was told each client heard of a status (ms)."""
    url = f"{address.replace('http', 'ws')}/v1/stream"
    sockets = [await connect(url, compression=None, open_timeout=60) for _ in range(clients)]
    taken: list[float] = []

    async def listen(socket: ClientConnection) -> None:
        left = messages
        while left:
            told = json.loads(await socket.recv())
            if told.get("type") == "update":
                taken.append((time.perf_counter_ns() - told["data"]["sent"]) / 1e6)
                left -= 1

    for one in sockets:
        await one.send('{"op":"subscribe","channels":["status"]}')
    await asyncio.gather(*(listen(one) for one in sockets))
    await asyncio.gather(*(one.close() for one in sockets))
    return np.array(taken)


@contextmanager
def server(folder: Path, candles: int, per_second: int) -> Iterator[str]:
    script = Path(__file__).parent / "peers" / "api_server.py"
    command = [sys.executable, str(script), str(folder / "tape.duckdb"), str(candles), str(per_second)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def tell(name: str, taken: Float, budget: float | None = None) -> None:
    p50, p99 = (float(np.percentile(taken, part)) for part in (50, 99))
    record(f"api_{name}_p50", p50, "ms", None, None, COMMAND)
    record(f"api_{name}_p99", p99, "ms", None, None, COMMAND)
    if budget is not None:
        print(f"  {'within' if p99 < budget else 'OVER'} the budget of {budget:g} ms")


async def beside_mlflow(port: int, request: bytes, model: dict[str, Any], seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            theirs = int(free.getsockname()[1])
        save(Path(folder) / "model", model["content"])
        process = start(Path(folder) / "model", theirs)
        try:
            ask = post("/invocations", {"inputs": [[0.0] * model["columns"]]})
            await answers(theirs, ask)
            ours = await as_fast_as_it_answers(port, request, seconds)
            peer = await as_fast_as_it_answers(theirs, ask, seconds)
            record("api_predict_rate", ours, "requests/s", peer, ours / peer, COMMAND)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


async def answers(port: int, request: bytes) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        try:
            await exchange(*await asyncio.open_connection("127.0.0.1", port), request)
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.1)
        else:
            return
    raise TimeoutError(port)


async def ask_predictions(address: str, model: dict[str, Any], *, smoke: bool) -> None:
    port = urlsplit(address).port or 0
    request = post("/predict/direction", {"symbol": NAME, "features": [0.0] * model["columns"]})
    await answers(port, request)
    seconds = 1.0 if smoke else 10.0
    tell("predict_2000", await paced(port, request, 200 if smoke else 2000, seconds), BUDGET_MS["predict"])
    if find_spec("mlflow") and not smoke:
        await beside_mlflow(port, request, model, seconds)


async def ask_while_trades_come_in(address: str, *, smoke: bool) -> None:
    port, candles = urlsplit(address).port or 0, get(f"/v1/candles?instrument={NAME}&limit=1000")
    await answers(port, candles)
    tell("candles_1000", await paced(port, candles, 10 if smoke else 20, 1.0 if smoke else 10.0), BUDGET_MS["candles"])
    tell("fan_out_1000", await fan_out(address, 20 if smoke else 1000, 3 if smoke else 20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="few requests: only that it works")
    smoke = parser.parse_args().smoke
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), 2_000, 0) as address:
        model = json.loads((Path(folder) / "tape.json").read_text())
        asyncio.run(ask_predictions(address, model, smoke=smoke))
    candles, pace = (2_000, 1_000) if smoke else (100_000, 10_000)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), candles, pace) as address:
        asyncio.run(ask_while_trades_come_in(address, smoke=smoke))


if __name__ == "__main__":
    main()
