"""Patience with clients that begin a request and do not end it: half-open lines, drips of bytes, heads without end."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PATIENCE = 20.0
"""Seconds from the first byte of a request, or from the connection where none comes, to its last."""
_MOST_HEAD = 1 << 16


class Patient(HttpToolsProtocol):
    """Uvicorn's HTTP, which hangs up on a request that does not become whole; who overrides its calls, calls them.

    One timer a connection looks once in a while, so that a request costs no timer of its own.
    """

    _begun: float | None = None
    """When the request that is coming began, by the loop's clock; None between two of them."""
    _head: int | None = 0
    """Bytes of its head so far; None once that is whole."""
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection, and wait for its first request."""
        super().connection_made(transport)
        self._begun = self.loop.time()
        self._look = self.loop.call_later(PATIENCE, self._lose_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to look."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; too many of them before the head is whole are too many."""
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > _MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a request."""
        self._begun = self.loop.time()
        super().on_message_begin()

    def past_head(self) -> None:
        """Note that the head is whole."""
        self._head = None

    def whole(self) -> None:
        """End the wait: the request is all there."""
        self._begun, self._head = None, 0

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        self.whole()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on, which is no request any more."""
        self._stop()
        super().handle_websocket_upgrade()

    def _stop(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _lose_patience(self) -> None:
        now = self.loop.time()
        since = now if self._begun is None or self._is_answering() else self._begun
        if now - since >= PATIENCE:
            self.transport.close()
        else:
            self._look = self.loop.call_at(since + PATIENCE, self._lose_patience)

    def _is_answering(self) -> bool:
        """Say whether a request that is all there is not answered yet: another may have begun behind it."""
        return bool(self.cycle and not self.cycle.response_complete and not self.cycle.more_body)
