"""One WebSocket connection of a simulated venue: what its session says goes out, unless a fault stands in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from tapeline.clock import MINUTE, SECOND, Clock
from tapeline.simulator.damage import BatchDamage, MessageDamage
from tapeline.simulator.faults import Faults
from tapeline.simulator.venue import Close, Out, Ping, Session, Venue
from tapeline.types import Frame

ABNORMAL = 1006
_BEHIND = 64 << 20
_SLOW_BEHIND = 16 << 10
_ROWS = 500
_STALLED_FOR = 5 * MINUTE
_HUGE = 20_000_000


class Connection:
    """A client.

    Args:
        socket: where it is.
        session: what the venue says to it.
        venue: whose client it is.
        number: counts connections from 1.
        clock: tells the time.
        faults: what goes wrong.

    Attributes:
        stalled: whether nothing passes any more.
    """

    def __init__(
        self, socket: ServerConnection, session: Session, venue: Venue, number: int, clock: Clock, faults: Faults
    ) -> None:
        now = clock.now()
        self.number = number
        self.session = session
        self._socket = socket
        self._clock = clock
        self._faults = faults
        self._batches = BatchDamage(faults, number, venue.tapes)
        self._messages = MessageDamage(faults, number, venue.fields)
        self.stalled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._pumped = now
        self._end: tuple[int, Close] | None = None
        self._behind = _SLOW_BEHIND if self._strikes("slow-reader", now) else _BEHIND
        if self._strikes("daily-close", now):
            self._end = (now + faults.random("daily-close", number).randint(5, 30) * SECOND, Close())
        elif venue.lifetime is not None:
            self._end = (now + venue.lifetime, Close())

    async def run(self) -> None:
        """Answer the client until the connection ends."""
        self._send(self.session.connected(self._clock.now()))
        with suppress(ConnectionClosed):
            async for message in self._socket:
                raw = message.encode() if isinstance(message, str) else message
                self._send(self.session.received(raw, self._clock.now()))
        for task in self._tasks:
            task.cancel()

    def pump(self, frames: Iterable[Frame], now: int) -> None:
        """Tell what happened since the last time, and what is due."""
        passed, self._pumped = max(now - self._pumped, 0), now
        self._go_wrong(passed / SECOND, now)
        if self._end is not None and now >= self._end[0]:
            self._close(self._end[1])
        if self.stalled:
            return
        outs: list[Out] = []
        told = [batch for frame in frames if self._wants(frame) for batch in self._batches.batches(frame, now)]
        for batch in [*told, *filter(self._wants, self._batches.due(now))]:
            for at in range(0, len(batch), _ROWS):
                outs += self.session.trades(batch.take(slice(at, at + _ROWS)), now)
        self._send([*outs, *self.session.tick(now)])
        if self._socket.transport.get_write_buffer_size() > self._behind:
            self.abort()

    def abort(self) -> None:
        """Break the connection without a word."""
        self._socket.transport.abort()

    def _wants(self, frame: Frame) -> bool:
        return frame.instrument in self.session.instruments

    def _send(self, outs: Iterable[Out]) -> None:
        if self.stalled:
            return
        messages: list[bytes] = []
        for out in outs:
            if isinstance(out, bytes):
                messages.append(self._messages.message(out, self._clock.now()))
            elif isinstance(out, Ping):
                self._start(self._ping(out.payload))
            else:
                self._end_by(self._clock.now() + out.after, out)
                break
        self._write(messages)
        if self._end is not None and self._clock.now() >= self._end[0]:
            self._close(self._end[1])

    def _write(self, messages: Iterable[bytes]) -> None:
        """Write messages at once: a write for each would cost more than making them."""
        protocol, transport = self._socket.protocol, self._socket.transport
        if protocol.state is not State.OPEN or transport.is_closing():
            return
        for message in messages:
            protocol.send_text(message)
        transport.write(b"".join(protocol.data_to_send()))

    def _end_by(self, at: int, close: Close) -> None:
        if self._end is None or at < self._end[0]:
            self._end = (at, close)

    def _close(self, close: Close) -> None:
        self._end = None
        if close.code == ABNORMAL:
            self.abort()
        else:
            self._start(self._socket.close(close.code, close.reason))

    async def _ping(self, payload: bytes) -> None:
        with suppress(ConnectionClosed):
            await (await self._socket.ping(payload))
            self.session.ponged(payload, self._clock.now())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _strikes(self, fault: str, now: int, times: float = 1.0) -> bool:
        return self._faults.strikes(fault, now, connection=self.number, times=times)

    def _go_wrong(self, seconds: float, now: int) -> None:
        if self.stalled:
            return
        if self._strikes("garbage", now, seconds):
            self._write([self._faults.random("garbage", self.number).randbytes(64)])
        if self._strikes("huge", now, seconds):
            self._write([b'{"padding":"%b"}' % (b"x" * _HUGE)])
        if self._strikes("shutdown", now, seconds):
            self._send(self.session.goodbye(now))
        if self._strikes("stall", now, seconds):
            self.stalled = True
            self._socket.transport.pause_reading()
            self._end_by(now + _STALLED_FOR, Close(ABNORMAL))
        if self._strikes("disconnect", now, seconds):
            self.abort()
