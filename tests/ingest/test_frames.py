"""However the bytes are cut, the quick connection gives what that of websockets gives."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tapeline.ingest.frames import QuickConnection

_MOST = 70_000


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take any."""

    def pause_reading(self) -> None:
        """Go on."""

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        """Stay."""

    def abort(self) -> None:
        """Stay."""


async def heard(kind: type[ClientConnection], frames: bytes, cuts: list[int]) -> tuple[list[bytes], str, bytes]:
    """Return the messages, how it ended, and what was answered to a server that says ``frames`` in pieces."""
    wire = Wire()
    connection = kind(ClientProtocol(parse_uri("ws://venue/"), max_size=_MOST), ping_interval=None, max_queue=1000)
    connection.connection_made(wire)
    opening = asyncio.create_task(connection.handshake())
    await asyncio.sleep(0)
    server = ServerProtocol()
    server.receive_data(wire.written)
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]
    said = b"".join(server.data_to_send()) + frames
    wire.written = b""
    places = sorted({0, len(said), *(cut % len(said) for cut in cuts)})
    for begin, end in pairwise(places):
        connection.data_received(said[begin:end])
        await asyncio.sleep(0)
    await opening
    connection.connection_lost(None)
    messages: list[bytes] = []
    try:
        while True:
            if isinstance(connection, QuickConnection):
                messages += await connection.messages()
            else:
                messages.append(await connection.recv(decode=False))
    except ConnectionClosed as ended:
        return messages, str(ended), unmasked(wire.written)


def unmasked(written: bytes) -> bytes:
    """Return the kinds and contents of the frames that were written: their masks are random."""
    told, at = b"", 0
    while at < len(written):
        size = written[at + 1] & 0x7F
        mask = written[at + 2 : at + 6]
        payload = written[at + 6 : at + 6 + size]
        told += bytes([written[at]]) + bytes(one ^ mask[place % 4] for place, one in enumerate(payload))
        at += 6 + size
    return told


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True, mask: bool = False) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=mask)


_PAYLOADS = st.one_of(st.binary(max_size=40), st.sampled_from([b"x" * 125, b"x" * 126, b"y" * 300, b"z" * 66_000]))
_ALONE = st.one_of(
    st.builds(lambda payload: frame(Opcode.TEXT, payload), _PAYLOADS),
    st.builds(lambda payload: frame(Opcode.TEXT, payload), st.binary(max_size=20)),
    st.builds(lambda payload: frame(Opcode.BINARY, payload), _PAYLOADS),
    st.builds(lambda payload: frame(Opcode.PING, payload), st.binary(max_size=10)),
    st.builds(lambda payload: frame(Opcode.PONG, payload), st.binary(max_size=10)),
    st.builds(
        lambda a, b, c: (
            frame(Opcode.TEXT, a, fin=False) + frame(Opcode.PING, b"p") + frame(Opcode.CONT, b, fin=False)
            + frame(Opcode.CONT, c)
        ),
        _PAYLOADS, st.binary(max_size=5), st.binary(max_size=5),
    ),
)  # fmt: skip
_ENDS = st.sampled_from(
    [
        b"",
        frame(Opcode.CLOSE, b"\x03\xe8bye"),
        frame(Opcode.CLOSE, b"\x03\xe8bye") + frame(Opcode.TEXT, b"too late"),
        frame(Opcode.TEXT, b"masked", mask=True) + frame(Opcode.TEXT, b"too late"),
        frame(Opcode.TEXT, b"x" * (_MOST + 1)),
        frame(Opcode.TEXT, b"a part", fin=False) + frame(Opcode.TEXT, b"between parts"),
        frame(Opcode.CONT, b"of nothing") + frame(Opcode.TEXT, b"too late"),
        b"\xc1\x01a",
        b"\x83\x01a",
        frame(Opcode.TEXT, b"cut off")[:-3],
    ]
)


@settings(deadline=None, max_examples=80)
@given(st.lists(_ALONE, max_size=8), _ENDS, st.lists(st.integers(0, 1 << 18), max_size=12))
def test_it_gives_what_websockets_gives(frames: list[bytes], end: bytes, cuts: list[int]) -> None:
    said = b"".join(frames) + end
    whole = asyncio.run(heard(ClientConnection, said, []))
    assert asyncio.run(heard(QuickConnection, said, cuts)) == whole


async def test_every_cut_of_a_few_frames() -> None:
    said = frame(Opcode.TEXT, b"a" * 130) + frame(Opcode.PING, b"p") + frame(Opcode.TEXT, b"b")
    whole = await heard(ClientConnection, said, [])
    assert whole[0] == [b"a" * 130, b"b"]
    for cut in range(1, len(said) + 10):
        assert await heard(QuickConnection, said, [-cut]) == whole
