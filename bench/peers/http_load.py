"""What loads a server over loopback: HTTP requests by the clock or as fast as they are answered, WebSocket listeners.

No library of HTTP is between it and the socket: what asks must cost far less than what answers. Requests that are due
start whether or not earlier ones were answered, where all connections are busy as soon as one is free, and are timed
from when they were due, so that no wait is left out.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from tapeline.types import Float

CONNECTIONS = 8
_WAIT = 60.0


@dataclass(slots=True)
class Load:
    """What came of it: the time of each request (ms), how late it was begun (ms), the share of a core that asking took.

    ``late`` tells of the loader alone; it is part of ``taken`` too.
    """

    taken: Float
    late: Float
    share: float


@dataclass(slots=True)
class Used:
    """The share of a core that this process used."""

    share: float = 0.0


@contextmanager
def using() -> Iterator[Used]:
    """Measure the share of a core that this process uses inside."""
    used, begun, wall = Used(), time.process_time(), time.perf_counter()
    yield used
    used.share = (time.process_time() - begun) / (time.perf_counter() - wall)


def exact_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that wakes up to the microsecond: the one of epoll rounds up to milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class Http(asyncio.Protocol):
    """One connection with one request at a time.

    Args:
        answered: is called with it after each answer.
    """

    def __init__(self, answered: Callable[[Http], None]) -> None:
        self.answered = answered
        self.due = 0.0
        self.body = b""
        self._buffer = b""
        self._whole = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the server."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes, due: float) -> None:
        """Send a request that was to start at an instant of the loop."""
        assert self._transport is not None
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._buffer += data
        if not self._whole:
            head, end, _ = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 200"), self._buffer[:500]
            length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
            self._whole = len(head) + len(end) + int(length)
        if len(self._buffer) >= self._whole:
            self.body = self._buffer.partition(b"\r\n\r\n")[2]
            self._buffer, self._whole = b"", 0
            self.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so where we did not hang up."""
        if self._transport is not None:
            raise ConnectionError("the server hung up") from exc

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None


async def _connected(port: int, answered: Callable[[Http], None], count: int) -> list[Http]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: Http(answered), "127.0.0.1", port))[1] for _ in range(count)]


@dataclass
class _Clock:
    """Requests that start by the clock."""

    request: bytes
    dues: list[float]
    free: deque[Http] = field(default_factory=deque)
    taken: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    waiting: deque[float] = field(default_factory=deque)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def tick(self) -> None:
        """Start what is due, and come back when the next is."""
        loop, begun = asyncio.get_running_loop(), len(self.late)
        now = loop.time()
        while begun < len(self.dues) and self.dues[begun] <= now:
            self.waiting.append(self.dues[begun])
            self.late.append(now - self.dues[begun])
            begun += 1
        self._start()
        if begun < len(self.dues):
            loop.call_at(self.dues[begun], self.tick)

    def _start(self) -> None:
        while self.free and self.waiting:
            self.free.popleft().ask(self.request, self.waiting.popleft())

    def answered(self, connection: Http) -> None:
        """Note how long an answer took, and start what waited for the connection."""
        self.taken.append(asyncio.get_running_loop().time() - connection.due)
        self.free.append(connection)
        self._start()
        if len(self.taken) == len(self.dues):
            self.done.set()


async def paced(port: int, request: bytes, per_second: float, seconds: float) -> Load:
    """Send requests by the clock."""
    begun = asyncio.get_running_loop().time() + 0.2
    clock = _Clock(request, [begun + at / per_second for at in range(int(per_second * seconds))])
    connections = await _connected(port, clock.answered, CONNECTIONS)
    clock.free.extend(connections)
    with using() as used:
        clock.tick()
        try:
            await asyncio.wait_for(clock.done.wait(), seconds + _WAIT)
        except TimeoutError:
            was = f"{len(clock.taken)} of {len(clock.dues)} answered {_WAIT:g} s after the last was due"
            raise SystemExit(f"the server cannot keep up: {was}") from None
    for one in connections:
        one.close()
    return Load(np.array(clock.taken) * 1e3, np.array(clock.late) * 1e3, used.share)


async def fastest(port: int, request: bytes, seconds: float) -> tuple[float, float]:
    """Send on each connection the next request once the last is answered; return requests a second, and our share."""
    loop, count = asyncio.get_running_loop(), 0
    end = loop.time() + seconds

    def again(connection: Http) -> None:
        nonlocal count
        count += 1
        if loop.time() < end:
            connection.ask(request, 0.0)

    connections = await _connected(port, again, CONNECTIONS)
    with using() as used:
        for one in connections:
            one.ask(request, 0.0)
        await asyncio.sleep(seconds)
    counted = count
    for one in connections:
        one.close()
    return counted / seconds, used.share


async def once(port: int, request: bytes) -> bytes:
    """Send one request, and return the body of the answer."""
    answered = asyncio.Event()
    (connection,) = await _connected(port, lambda _: answered.set(), 1)
    connection.ask(request, 0.0)
    await asyncio.wait_for(answered.wait(), _WAIT)
    connection.close()
    return connection.body


_UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_SUBSCRIBE = b'{"op":"subscribe","channels":["status"]}'


class Listener(asyncio.Protocol):
    """A client of the stream that wants the channel ``status``.

    Args:
        heard: is called with each message.
    """

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard
        self._buffer = b""
        self._open = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        """Subscribe once the stream is open, then hand on each message."""
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            assert self.transport is not None
            self._open, self._buffer = True, rest
            self.transport.write(bytes([0x81, 0x80 | len(_SUBSCRIBE)]) + bytes(4) + _SUBSCRIBE)
        while (end_of := self._frame()) is not None:
            begin, stop = end_of
            self._heard(self._buffer[begin:stop])
            self._buffer = self._buffer[stop:]

    def _frame(self) -> tuple[int, int] | None:
        """Return where the data of the first frame is, None until it is whole."""
        if len(self._buffer) < 4:
            return None
        length, begin = self._buffer[1] & 127, 2
        if length == 126:
            length, begin = int.from_bytes(self._buffer[2:4], "big"), 4
        assert length != 127, "a status is small"
        return (begin, begin + length) if len(self._buffer) >= begin + length else None


@dataclass(slots=True)
class Heard:
    """How long after it was told each client heard of a status (ms); what the server had stored, and when (s)."""

    taken: Float
    stored: list[tuple[float, int, float]]
    share: float


async def listen(port: int, clients: int, seconds: float) -> Heard:
    """Listen with many clients, from when all are told."""
    loop, counting = asyncio.get_running_loop(), False
    taken: list[float] = []
    stored: list[tuple[float, int, float]] = []

    def heard(text: bytes) -> None:
        if counting and b'"update"' in text:
            told = json.loads(text)["data"]
            taken.append((time.perf_counter_ns() - told["sent"]) / 1e6)
            stored.append((told["sent"] / 1e9, told["stored"], told["busy"]))

    made = [(await loop.create_connection(lambda: Listener(heard), "127.0.0.1", port))[1] for _ in range(clients)]
    await asyncio.sleep(1.0)
    counting = True
    with using() as used:
        await asyncio.sleep(seconds)
    for one in made:
        if one.transport is not None:
            one.transport.abort()
    return Heard(np.array(taken), sorted(set(stored)), used.share)
