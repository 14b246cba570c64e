"""One WebSocket: its messages with the time they came, several at once, and its ends as errors of ours."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from tapeline.clock import Clock
from tapeline.errors import VenueBusy, VenueRefused
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.frames import QuickConnection

_QUEUE = 256
_TOO_BIG = 1009
_NEVER = frozenset({400, 401, 404, 410, 451})


class Received(NamedTuple):
    """A message, and when it was here, ns UTC."""

    raw: bytes
    ts_init: int


class Socket:
    """Messages of one connection.

    At most ``bounds.messages`` wait here; then the connection is not read, and TCP slows the venue down.

    Attributes:
        oversized: whether it ended because of a message that was too large.
        heard: the last `batch` ended with all that the venue had said by then, ns UTC; None: that is not known.
    """

    def __init__(self, where: str, connection: QuickConnection, bounds: Bounds, clock: Clock) -> None:
        self.oversized = False
        self.heard: int | None = None
        self._where = where
        self._connection = connection
        self._bounds = bounds
        self._clock = clock
        self._waiting: deque[Received] = deque()
        self._changed = asyncio.Event()
        self._emptied = asyncio.Event()
        self._end: ConnectionClosed | None = None
        self._full = False
        self._answered: int | None = None
        self._gathering = 0.0

    async def read(self) -> None:
        """Take messages off the connection until it ends."""
        try:
            while True:
                messages = await self._connection.messages()
                now = self._clock.now()
                self._waiting += [Received(raw, now) for raw in messages]
                self._changed.set()
                if len(self._waiting) >= self._bounds.messages:
                    self._emptied.clear()
                    self._full = True
                    await self._emptied.wait()
                    self._full = False
        except ConnectionClosed as end:
            self._end = end
            self._changed.set()

    async def send(self, message: bytes) -> None:
        """Send a message as text; on a connection that has ended, nothing: `batch` tells."""
        with suppress(ConnectionClosed):
            await self._connection.send(message, text=True)

    async def ask(self) -> None:
        """Ping, and wait for the pong: it comes after all that the venue had said before the ping."""
        asked = self._clock.now()
        with suppress(ConnectionClosed):
            await (await self._connection.ping())
            if not self._full:
                self._answered = asked
                self._changed.set()

    async def batch(self, seconds: float) -> list[Received]:
        """Return all messages that are here, waiting for the first, or for none if a pong comes.

        Raises:
            TimeoutError: none came in ``seconds``.
            VenueBusy: the connection has ended, and all its messages were returned.
        """
        await asyncio.sleep(max(self._gathering - _now(), 0.0))
        if not self._waiting and self._answered is None:
            self._changed.clear()
            if self._end is None:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        if not self._waiting and self._answered is None and self._end is not None:
            raise self._ended(self._end)
        received = list(self._waiting)
        self._waiting.clear()
        self._gathering = _now() + self._bounds.gather
        self.heard, self._answered = self._answered, None
        self._emptied.set()
        return received

    def _ended(self, end: ConnectionClosed) -> VenueBusy:
        self.oversized = end.sent is not None and end.sent.code == _TOO_BIG and not end.rcvd_then_sent
        if self.oversized:
            rule = f"at most {self._bounds.message_bytes} bytes"
            return VenueBusy(self._where, "a message is too large", expected=rule, was="more", next_step="reconnecting")
        told = f"{end.rcvd.code} {end.rcvd.reason}".strip() if end.rcvd else "1006, without a word"
        return VenueBusy(self._where, f"the connection ended ({told})", next_step="reconnecting")


@asynccontextmanager
async def open_socket(where: str, url: str, bounds: Bounds, clock: Clock) -> AsyncIterator[Socket]:
    """Connect, and read until the block ends.

    Raises:
        VenueBusy: the venue is out of reach, or wants us to come later.
        VenueRefused: there is no such address, or the venue will not have us.
    """
    connection = await _connect(where, url, bounds)
    socket = Socket(where, connection, bounds, clock)
    reader = asyncio.create_task(socket.read())
    try:
        yield socket
    finally:
        reader.cancel()
        connection.transport.abort()
        await asyncio.gather(reader, connection.wait_closed(), return_exceptions=True)


async def _connect(where: str, url: str, bounds: Bounds) -> QuickConnection:
    try:
        connection = await connect(
            url,
            open_timeout=bounds.open,
            max_size=bounds.message_bytes,
            max_queue=_QUEUE,
            compression=None,
            create_connection=QuickConnection,
        )
        assert isinstance(connection, QuickConnection)
        return connection
    except InvalidURI as error:
        raise VenueRefused(where, f"the address {url} cannot be used", expected="ws:// or wss://", was=url) from error
    except InvalidStatus as error:
        raise _unwelcome(where, error) from error
    except (OSError, InvalidHandshake, EOFError) as error:
        shown = str(error)[:120] or type(error).__name__
        raise VenueBusy(where, f"{url} is out of reach ({shown})", next_step="trying again") from error


def _unwelcome(where: str, error: InvalidStatus) -> VenueBusy | VenueRefused:
    status = error.response.status_code
    problem = f"the venue answered {status} instead of opening a WebSocket"
    if status in _NEVER:
        return VenueRefused(where, problem, next_step="it will not take us from here or under this address")
    after = error.response.headers.get("Retry-After", "")
    return VenueBusy(where, problem, retry_after=float(after) if after.isdecimal() else 0.0, next_step="trying again")


def _now() -> float:
    return asyncio.get_running_loop().time()
