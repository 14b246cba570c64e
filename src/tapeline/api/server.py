"""Serving the application: the socket, uvicorn without its signal handlers, and the address that people open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from starlette.types import Scope
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tapeline.api.direct import Direct
from tapeline.api.patience import Patient
from tapeline.api.security import ADMITTED
from tapeline.errors import UsageError

_BACKLOG = 2048
_MESSAGE = 1 << 16


class Server(uvicorn.Server):
    """Uvicorn, which leaves signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class OneWrite:
    """A transport that sends in one piece what is written in one turn of the loop, such as head and body of an answer.

    Args:
        inner: sends it.
    """

    def __init__(self, inner: asyncio.Transport) -> None:
        self.inner = inner
        self._parts: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def is_closing(self) -> bool:
        """Say whether it hangs up."""
        return self.inner.is_closing()

    def write(self, data: bytes) -> None:
        """Send at the end of this turn, or now where it is much."""
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MESSAGE:
            self._flush()

    def write_now(self, data: bytes) -> None:
        """Send at once, after what waits."""
        self._parts.append(data)
        self._flush()

    def close(self) -> None:
        """Send what waits, and hang up."""
        self._flush()
        self.inner.close()

    def _flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self.inner.is_closing():
            self.inner.write(b"".join(parts))


class Requests(Patient):
    """Uvicorn's HTTP, which sends an answer in one piece, and some without a task of their own.

    What `Direct` takes waits for its body, is answered, and leaves nothing behind. Where it is not answered there, the
    application gets it as if it had just come.

    Args:
        direct: answers what it takes at once.
    """

    def __init__(self, *args: Any, direct: Direct, **named: Any) -> None:
        super().__init__(*args, **named)
        self._direct = direct
        self._body: bytes | None = None
        """Of a request that ``direct`` takes, as far as it has come."""
        self._again = False
        """Whether its head is that of the last one that was let through: most clients send the same again and again."""
        self._let_through: tuple[bytes, list[tuple[bytes, bytes]]] = (b"", [])
        self._at_once = False
        """Whether one was answered at once of the bytes that came last."""
        self._answered = 0.0
        """When the line was last idle after that, by the loop's clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection."""
        self._out = OneWrite(cast(asyncio.Transport, transport))
        super().connection_made(cast(asyncio.Transport, self._out))

    def on_headers_complete(self) -> None:
        """Begin with a request."""
        self.past_head()
        method = self.parser.get_method()
        self._again = method == b"POST" and self._let_through == (self.url, self.headers)
        if self._is_free() and (self._again or self._direct.takes(method, self.url, self.headers)):
            self._body = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._body is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """Answer a request that is wholly there."""
        if self._body is None:
            super().on_message_complete()
            return
        self.whole()
        body, self._body = self._body, None
        scope, usual = cast(Scope, self.scope), self.server_state.default_headers
        answer = self._direct.answer(self.url, scope, body, usual, again=self._again)
        if ADMITTED in scope:
            self._let_through = (self.url, self.headers)
        if answer is not None:
            self._out.write_now(answer)
            self.server_state.total_requests += 1
            self._at_once = True
            return
        super().on_headers_complete()
        super().on_body(body)
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the timer of an idle line goes on where they were answered at once."""
        timer, self.timeout_keep_alive_task = self.timeout_keep_alive_task, None
        self._at_once = False
        super().data_received(data)
        idle = self._at_once and self._body is None and (not self.cycle or self.cycle.response_complete)
        if idle and not self.transport.is_closing():
            self._answered = self.loop.time()
            self.timeout_keep_alive_task = timer or self._look_later(self.timeout_keep_alive)
        elif timer is not None:
            timer.cancel()

    def _look_later(self, seconds: float) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Hang up where nothing was answered for long, or look again."""
        left = self._answered + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self._look_later(left)
        else:
            super().timeout_keep_alive_handler()

    def _is_free(self) -> bool:
        """Say whether nothing is still to be answered before, and an answer leaves the line open."""
        idle = not self.cycle or self.cycle.response_complete
        plain = self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive()
        return idle and plain and not self.flow.write_paused


class Sockets(WebSocketsSansIOProtocol):
    """Uvicorn's WebSockets, whose messages may come with the ``frame`` they are sent in, made once for all clients."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection over from HTTP."""
        super().connection_made(transport.inner if isinstance(transport, OneWrite) else transport)

    async def send(self, message: Any) -> None:
        """Send a message; its frame as it is, where there is one."""
        frame = message.get("frame")
        if frame is None or not self.handshake_complete or self.close_sent:
            await super().send(message)
            return
        await self.writable.wait()
        if self.disconnected:
            raise ClientDisconnected
        self.transport.write(frame)


@asynccontextmanager
async def serving(app: FastAPI, listening: socket.socket) -> AsyncIterator[str]:
    """Serve inside, on a socket that `listen` gave, and give its address; the socket is closed in the end."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=cast(type[Requests], partial(Requests, direct=app.state.direct)),
        ws=Sockets,
        ws_max_size=_MESSAGE,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield address_of(listening)
    finally:
        app.state.context.hub.close()
        server.should_exit = True
        await task
        listening.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any that is free.

    Raises:
        UsageError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        where, step = f"address {host}:{port}", "choose another with --port, or stop what listens there"
        raise UsageError(where, f"cannot be had: {error.strerror}", next_step=step) from error
    made.setblocking(False)
    return made


def address_of(listening: socket.socket) -> str:
    """Return the address that people open, such as ``http://127.0.0.1:8787``."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
