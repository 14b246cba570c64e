"""Clients that begin a request and do not end it are let go, and others are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import connect

from tapeline.api import patience
from tapeline.api.server import listen, serving

HEAD = b"POST /predict/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BEGINNINGS = {
    "nothing": b"",
    "a line": b"GET /v1/sta",
    "half a head": HEAD % b"direction",
    "half a body by the short way": HEAD % b"anomaly" + b"Content-Length: 9\r\n\r\n{",
    "half a body": HEAD % b"anomaly" + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "a second request": b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /he",
}


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    async with serving(app, listen("127.0.0.1", 0)) as address:
        yield address


async def opened(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Return what came until the server hung up."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("begun", BEGINNINGS.values(), ids=BEGINNINGS)
async def test_a_request_that_does_not_end_is_let_go(
    address: str, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.2)
    reader, writer = await opened(address)
    writer.write(begun)
    assert (b"200 OK" in await ended(reader)) == (begun.count(b"GET") == 2)
    writer.close()


async def test_a_head_without_end_is_refused(address: str) -> None:
    reader, writer = await opened(address)
    writer.write(b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
    for _ in range(20):
        writer.write(b"a" * 20_000)
    answer = await ended(reader)  # which a reset may overtake, as more of the head is under way
    assert answer[:13] in (b"", b"HTTP/1.1 400 ")
    writer.close()


async def test_a_long_body_is_no_long_head(address: str) -> None:
    reader, writer = await opened(address)
    body = b" " * 60_000
    for chunk in (HEAD % b"direction" + b"Content-Length: 60000\r\nConnection: close\r\n\r\n", body):
        writer.write(chunk)
        await writer.drain()
    assert b"body: cannot be read" in await ended(reader)
    writer.close()


async def test_a_stream_outlives_the_patience(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    async with connect(f"{address.replace('http', 'ws')}/v1/stream") as socket:
        reader, writer = await opened(address)
        assert await ended(reader) == b""  # more than the patience has passed
        await socket.send('{"op":"ping","id":1}')
        assert '"pong"' in str(await socket.recv())
        writer.close()
