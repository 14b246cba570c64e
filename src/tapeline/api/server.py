"""Serving the application: the socket, uvicorn without its signal handlers, and the address that people open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

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

    def write(self, data: bytes) -> None:
        """Send at the end of this turn, or now where it is much."""
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MESSAGE:
            self._flush()

    def close(self) -> None:
        """Send what waits, and hang up."""
        self._flush()
        self.inner.close()

    def _flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self.inner.is_closing():
            self.inner.write(b"".join(parts))


class Requests(HttpToolsProtocol):
    """Uvicorn's HTTP, which sends an answer in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection."""
        super().connection_made(cast(asyncio.Transport, OneWrite(cast(asyncio.Transport, transport))))


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
        http=Requests,
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
