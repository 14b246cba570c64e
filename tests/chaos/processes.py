"""A venue and ``tapeline up`` as processes of their own, to be stopped and killed from outside."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tapeline.clock import SystemClock

INSTRUMENT = "BTC-USD.KRAKEN"
SETTINGS = {
    "TAPELINE_TIMEFRAMES": "1s,10s",
    "TAPELINE_FEATURE_SETS": "bars",
    "TAPELINE_BACKFILL": "5s",
    "TAPELINE_STATE_INTERVAL": "500ms",
    "TAPELINE_BACKOFF_CAP": "1s",
    "TAPELINE_GAP_TIMEOUT": "10m",
}
LONG = 300.0
"""Only what hangs takes so long (s): a start needs 3 s of a core, of which a busy machine gave it a twentieth."""


def tapeline(*arguments: str) -> list[str]:
    """Return the words that run the command."""
    return [sys.executable, "-m", "tapeline", *arguments]


def wait_for(condition: Callable[[], object], what: str, seconds: float = LONG) -> None:
    """Wait until a condition holds; fail after a while."""
    clock = SystemClock()
    for _ in range(round(seconds / 0.02)):
        if condition():
            return
        clock.wait(0.02)
    raise AssertionError(f"{what} did not happen in {seconds:g} s")


@contextmanager
def venue(folder: Path, *options: str, port: int = 0) -> Iterator[str]:
    """Serve a simulated Kraken; its true tape is in ``truth.parquet`` when the block has ended."""
    words = ["simulate", "--venue", "kraken", "--instruments", "BTC-USD", "--steady", "--no-limits", "--json"]
    more = ["--history", "1m", "--port", str(port), "--truth", str(folder / "truth.parquet"), *options]
    with subprocess.Popen(tapeline(*words, *more), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["rest_url"]
        finally:
            process.terminate()
            process.wait(LONG)


@contextmanager
def self_signed(folder: Path) -> Iterator[tuple[str, list[float]]]:
    """Listen with a certificate that nobody vouches for; yield the address, and when somebody came (s)."""
    key, certificate, greeted = folder / "key.pem", folder / "certificate.pem", list[float]()
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=venue"]
    files = ["-keyout", str(key), "-out", str(certificate), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*words, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Greeting(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            greeted.append(time.monotonic())
            with suppress(OSError), context.wrap_socket(self.request, server_side=True) as secured:
                secured.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}", greeted
        finally:
            server.shutdown()


_NUMBERS = itertools.count()


class Up:
    """``tapeline up`` on a database.

    Args:
        db: the database.
        url: of the venue.
        more: settings and other variables of its environment.
    """

    def __init__(self, db: Path, url: str, **more: str) -> None:
        self.output = db.with_suffix(f".{next(_NUMBERS)}.out")  # what a killed one leaves behind may write to its own
        words = tapeline("--db", str(db), "up", INSTRUMENT, "--headless", "--port", "0")
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                words,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | SETTINGS | {"TAPELINE_KRAKEN_URL": url} | more,
            )

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def lines(self, event: str, **values: Any) -> list[dict[str, Any]]:
        """Return the lines it wrote so far that tell this."""
        whole = self.output.read_text().rpartition("\n")[0]
        told = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        wanted = {"event": event, **values}
        return [line for line in told if wanted.items() <= line.items()]

    def wait_for(self, event: str, **values: Any) -> dict[str, Any]:
        """Wait until it tells something."""

        def told() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return bool(self.lines(event, **values))

        wait_for(told, f"{event} {values}")
        return self.lines(event, **values)[0]

    def wait_until_healed(self) -> None:
        """Wait until it follows the venue and has no open gap."""
        address = self.wait_for("serving")["address"]

        def healed() -> bool:
            status = client.get("/v1/status").json()
            lives = [one["state"] == "live" for one in status["venues"]]
            return all(lives) and [one["gaps"]["open"] for one in status["instruments"]] == [0]

        self.wait_for("candle")
        with httpx.Client(base_url=address, timeout=LONG, verify=False) as client:
            wait_for(healed, "healing")

    def end(self) -> float:
        """Ask it to end, and return how many seconds it took."""
        clock = SystemClock()
        begun = clock.now()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LONG) == 0, self.output.read_text()
        return (clock.now() - begun) / 1e9
