"""A socket is read no further than its messages are taken."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest
from tests.ingest.fakes import BOUNDS, NOW

from tapeline.clock import ManualClock
from tapeline.ingest.frames import QuickConnection
from tapeline.ingest.socket import Received, Socket


class Endless:
    """A connection that always has another message."""

    def __init__(self) -> None:
        self.read = 0

    async def messages(self) -> list[bytes]:
        self.read += 1
        await asyncio.sleep(0)
        return [b"%d" % self.read]


async def test_messages_that_nobody_takes_are_not_read() -> None:
    endless = Endless()
    bounds = replace(BOUNDS, messages=10)
    socket = Socket("test", cast(QuickConnection, endless), bounds, ManualClock(NOW))
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
    socket = Socket("test", cast(QuickConnection, Endless()), BOUNDS, ManualClock(NOW))
    with pytest.raises(TimeoutError):
        await socket.batch(0.01)


class Fed:
    """A connection that has the messages it is given."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def messages(self) -> list[bytes]:
        return [await self.queue.get()]


async def test_messages_that_come_soon_after_a_batch_are_read_together_and_others_at_once() -> None:
    fed, loop = Fed(), asyncio.get_running_loop()
    socket = Socket("test", cast(QuickConnection, fed), replace(BOUNDS, gather=0.2), ManualClock(NOW))
    reader = asyncio.create_task(socket.read())
    begun = loop.time()
    fed.queue.put_nowait(b"first")
    assert [one.raw for one in await socket.batch(1.0)] == [b"first"]
    assert loop.time() - begun < 0.1
    fed.queue.put_nowait(b"second")
    loop.call_later(0.05, fed.queue.put_nowait, b"third")
    assert [one.raw for one in await socket.batch(1.0)] == [b"second", b"third"]
    reader.cancel()


class Answering(Endless):
    """A connection on which a message waits, and a pong comes when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.pong: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def messages(self) -> list[bytes]:
        if self.read:
            await asyncio.Event().wait()
        return await super().messages()

    async def ping(self) -> asyncio.Future[float]:
        return self.pong


async def test_only_a_pong_proves_that_all_was_heard_and_only_up_to_its_ping() -> None:
    answering, clock = Answering(), ManualClock(NOW)
    socket = Socket("test", cast(QuickConnection, answering), BOUNDS, clock)
    tasks = [asyncio.create_task(socket.ask()), asyncio.create_task(socket.read())]
    assert await socket.batch(1.0) == [Received(b"1", NOW)]
    assert socket.heard is None, "a message may have lain unread for long"
    clock.advance(60)
    answering.pong.set_result(0.0)
    assert await socket.batch(1.0) == []
    assert socket.heard == NOW
    with pytest.raises(TimeoutError):
        await socket.batch(0.01)
    tasks[1].cancel()


async def test_a_pong_proves_nothing_while_messages_are_left_unread() -> None:
    answering = Answering()
    socket = Socket("test", cast(QuickConnection, answering), replace(BOUNDS, messages=1), ManualClock(NOW))
    reader = asyncio.create_task(socket.read())
    for _ in range(10):
        await asyncio.sleep(0)
    answering.pong.set_result(0.0)
    await socket.ask()
    assert await socket.batch(1.0) == [Received(b"1", NOW)]
    assert socket.heard is None
    reader.cancel()
