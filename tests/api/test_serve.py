"""``tapeline serve`` as a user starts it, and commands beside a database that a running process owns."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.api.conftest import NAME, TOKEN
from tests.stored import TRADED

from tapeline.api.server import OneWrite, listen, serving
from tapeline.cli import health
from tapeline.cli.invocation import Invocation
from tapeline.clock import SystemClock
from tapeline.coverage import coverage
from tapeline.errors import StoreLocked, UsageError
from tapeline.remote import RemoteStore
from tapeline.runners.owner import note_of, owning
from tapeline.stores.duckdb import DuckDBStore


def serve(*options: str) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name("tapeline")
    return subprocess.Popen([program, "serve", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_serves_a_stored_database_until_it_is_stopped(template: Path, tmp_path: Path) -> None:
    shutil.copy(template, tmp_path / "tape.duckdb")
    with serve("--db", str(tmp_path / "tape.duckdb"), "--port", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.communicate()[1]
        with httpx.Client(trust_env=False) as client:
            found = client.get(f"{line.split()[0]}/v1/candles", params={"instrument": TRADED, "limit": 1}).json()
            status = client.get(f"{line.split()[0]}/v1/status").json()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert found["items"][0]["close"] > 0
    assert status["reasons"] == ["a stored database: nothing is live"]


def test_it_refuses_other_machines_without_a_token(template: Path) -> None:
    process = serve("--db", str(template), "--host", "0.0.0.0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "settings host: is open to others: expected a token, was '0.0.0.0'; set TAPELINE_TOKEN" in errors


def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"address 127.0.0.1:{port}: cannot be had"):
            listen("127.0.0.1", port)


async def test_no_answer_waits_for_what_went_before_to_be_acknowledged() -> None:
    """With Nagle's algorithm the second part of an answer waits for the client, which waits 40 ms."""
    found: list[int] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = writer.get_extra_info("socket")
        found.append(held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listening = listen("127.0.0.1", 0)
    async with await asyncio.start_server(take, sock=listening):
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert len(found) == 1
    assert found[0]


async def test_a_command_finds_the_owner_and_reads_through_it(app: FastAPI, store: DuckDBStore) -> None:
    app.state.context.owner_key = "the key"

    def read() -> None:
        with Invocation(db=store.path).store() as found:
            assert isinstance(found, RemoteStore)
            assert [one.instrument for one in coverage(found)] == [TRADED, "ETH-USD.SIM"]
        for refused in ({"read_only": False}, {"through": False}):
            with (
                pytest.raises(StoreLocked, match=r"ask it at http://127\.0\.0\.1"),
                Invocation(db=store.path).store(**refused),
            ):
                pass

    async with serving(app, listen("127.0.0.1", 0)) as address:
        with owning(store.path, address, clock=SystemClock(), key="the key"):
            note = note_of(store.path)
            assert stat.S_IMODE(note.stat().st_mode) == 0o600
            assert json.loads(note.read_bytes())["pid"] == os.getpid()
            await asyncio.to_thread(read)
    with pytest.raises(StoreLocked, match="is open"), Invocation(db=store.path).store():
        pass


async def test_doctor_looks_into_a_database_through_its_owner(app: FastAPI, store: DuckDBStore) -> None:
    app.state.context.owner_key = "the key"
    async with serving(app, listen("127.0.0.1", 0)) as address:
        with owning(store.path, address, clock=SystemClock(), key="the key"):
            found = await asyncio.to_thread(health.database, Invocation(db=store.path))
    assert (found["state"], found["problem"]) == ("ok", None)
    assert (found["owner"]["pid"], found["owner"]["url"]) == (os.getpid(), address)
    assert found["kinds"]["trades"]["rows"] == store.sizes()["trades"].rows
    assert [one["instrument"] for one in found["instruments"]] == [TRADED, "ETH-USD.SIM"]
    with owning(store.path, address, clock=SystemClock(), key="the key"):
        gone = await asyncio.to_thread(health.database, Invocation(db=store.path))
    assert gone["state"] == "in use"
    assert "does not answer" in gone["problem"]


async def refuse(*_: object) -> None:
    raise AssertionError("a request waited for a thread")


async def test_requests_wait_for_no_thread_but_to_read_the_database(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("dependencies.utils", "routing"):
        monkeypatch.setattr(f"fastapi.{module}.run_in_threadpool", refuse)
    told = (await client.get("/openapi.json")).json()["paths"]
    paths = [path for path, verbs in told.items() if "get" in verbs and "{" not in path and "/stream/" not in path]
    assert len(paths) > 25
    for path in paths:
        asked = "?" + "&".join(f"{one['name']}={ASKED[one['name']]}" for one in needed(told[path]["get"]))
        answer = await client.get(path + asked.removesuffix("?"))
        assert answer.status_code in {200, 503}, (path, answer.text)
    written = await client.post(f"/v1/gaps/{TRADED}/heal", headers={"Authorization": f"Bearer {TOKEN}"})
    assert written.status_code == 200


ASKED = {"instrument": TRADED, "symbol": TRADED, "symbols": TRADED, "name": NAME, "q": "SELECT 1"}


def needed(verb: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in verb.get("parameters", []) if one.get("required")]


class Sink(asyncio.Transport):
    """A transport that keeps what it is told to send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.gone = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.sent.append(data)

    def close(self) -> None:
        self.gone = True

    def is_closing(self) -> bool:
        return self.gone


async def test_an_answer_leaves_in_one_piece() -> None:
    sink = Sink()
    one = OneWrite(sink)
    one.write(b"head")
    one.write(b"body")
    assert sink.sent == []
    await asyncio.sleep(0)
    assert sink.sent == [b"headbody"]
    one.write(b"x" * (1 << 17))
    assert len(sink.sent) == 2
    one.write(b"last")
    one.close()
    await asyncio.sleep(0)
    assert (sink.sent[2:], sink.gone) == ([b"last"], True)
    one.write(b"after the end")
    await asyncio.sleep(0)
    assert sink.sent[-1] == b"last"
