"""A WebSocket connection that reads plain messages itself, and leaves all else to ``websockets``.

Nearly all that a venue sends are whole, unmasked text frames. Taking them apart by the general parser, and handing them
on one by one, costs more than reading the trades in them; so they are cut out here, and every other frame (control,
fragments, what is not allowed) is handed on whole, as is everything before the connection is open and after it is not.

Source: RFC 6455, section 5.2.
"""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event, State

_TEXT = 0x81
"""The first byte of a text frame that is a whole message, without extensions."""
_UNMASKED = 0x7F


class QuickConnection(ClientConnection):
    """A connection to a server; use it as ``connect(..., create_connection=QuickConnection)``.

    `messages` takes the place of ``recv``; all else is as it is there. Where more than ``max_queue`` messages wait, the
    socket is not read.
    """

    def __init__(self, *arguments: Any, max_queue: int, **options: Any) -> None:
        super().__init__(*arguments, max_queue=None, **options)
        self._most = max_queue
        self._here: list[bytes] = []
        self._changed = asyncio.Event()
        self._unread = False
        self._fragments = bytearray()
        self._begun = bytearray()
        self._parted = False
        """Whether it is known here where frames begin."""

    async def messages(self) -> list[bytes]:
        """Return all messages that are here, waiting for the first.

        Raises:
            ConnectionClosed: it has ended, and all its messages were returned.
        """
        while not self._here:
            if self.connection_lost_waiter.done():
                assert self.protocol.close_exc is not None
                raise self.protocol.close_exc
            self._changed.clear()
            await self._changed.wait()
        here, self._here = self._here, []
        if self._unread:
            self._unread = False
            self.transport.resume_reading()
        return here

    def data_received(self, data: bytes) -> None:
        """Take what came over the wire."""
        if self.protocol.state is State.CONNECTING:
            head, end, data = data.partition(b"\r\n\r\n")
            super().data_received(head + end)
            self._parted = bool(end) and self._is_open() and not self.protocol.extensions
        if not data:
            return
        if self._parted and self._is_open():
            self._begun += data
            del self._begun[: self._take(self._begun if len(self._begun) > len(data) else data)]
        else:
            self._parted, begun, self._begun = False, self._begun, bytearray()
            super().data_received(bytes(begun) + data)
        self._tell()

    def process_event(self, event: Event) -> None:
        """Take what the general parser has read."""
        if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            self._fragments += event.data
            if event.fin:
                self._here.append(bytes(self._fragments))
                self._fragments.clear()
        else:
            super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the connection has ended."""
        super().connection_lost(exc)
        self._changed.set()

    def _tell(self) -> None:
        if self._here:
            self._changed.set()
        if len(self._here) > self._most and not self._unread:
            self._unread = True
            self.transport.pause_reading()

    def _is_open(self) -> bool:
        return self.protocol.state is State.OPEN

    def _take(self, data: bytes | bytearray) -> int:
        """Take whole frames, and return how many bytes of ``data`` that were."""
        most, at, size, here = self.protocol.max_message_size, 0, len(data), self._here
        while (bounds := _bounds(data, at, size)) is not None:
            begin, end = bounds
            allowed = data[at + 1] <= _UNMASKED and (most is None or end - begin <= most)
            if allowed and end > size:
                break
            if allowed and data[at] == _TEXT and self.protocol.current_size is None:
                here.append(bytes(data[begin:end]))
            else:
                super().data_received(bytes(data[at:end]))
                if not allowed or not self._is_open():  # what follows is nothing any more
                    self._parted = False
                    return size
            at = end
        return at


def _bounds(data: bytes | bytearray, at: int, size: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at a position begins and ends; None while that is not known."""
    if size - at < 2:
        return None
    length = data[at + 1] & _UNMASKED
    if length < 126:
        return at + 2, at + 2 + length
    begin = at + (4 if length == 126 else 10)
    return (begin, begin + int.from_bytes(data[at + 2 : begin])) if size >= begin else None
