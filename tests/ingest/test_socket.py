"""A socket is read no further than its messages are taken."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest
from tests.ingest.fakes import BOUNDS, NOW
from websockets.asyncio.client import ClientConnection

from tapeline.clock import ManualClock
from tapeline.ingest.socket import Received, Socket


class Endless:
    """A connection that always has another message."""

    def __init__(self) -> None:
        self.read = 0

    async def recv(self, *, decode: bool) -> bytes:
        assert decode is False
        self.read += 1
        await asyncio.sleep(0)
        return b"%d" % self.read


async def test_messages_that_nobody_takes_are_not_read() -> None:
    endless = Endless()
    bounds = replace(BOUNDS, messages=10)
    socket = Socket("test", cast(ClientConnection, endless), bounds, ManualClock(NOW))
    reader = asyncio.create_task(socket.read())
    for _ in range(100):
        await asyncio.sleep(0)
    assert endless.read == 10
    assert await socket.batch(1.0) == [Received(b"%d" % number, NOW) for number in range(1, 11)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert endless.read == 20
    reader.cancel()


async def test_silence_is_told() -> None:
    socket = Socket("test", cast(ClientConnection, Endless()), BOUNDS, ManualClock(NOW))
    with pytest.raises(TimeoutError):
        await socket.batch(0.01)
