"""Undo gzip, and a zip whose directory at its end is lost, giving all that is readable before damage."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

_PIECE = 1 << 20
_GZIP, _RAW_DEFLATE = 31, -15
_LOCAL = struct.Struct("<4sHHHHHIIIHH")


def inflate(file: BinaryIO) -> Iterator[bytes]:
    """Yield the plain bytes of a gzip file of one or more members.

    Raises:
        EOFError: it ends inside a member.
        zlib.error: it is corrupt, or something else follows the last member.
    """
    unpacker = zlib.decompressobj(_GZIP)
    rest = b""
    while packed := rest or file.read(_PIECE):
        yield unpacker.decompress(packed, _PIECE)
        rest = unpacker.unconsumed_tail
        if unpacker.eof:
            rest = unpacker.unused_data.lstrip(b"\0") or file.read(_PIECE).lstrip(b"\0")
            if not rest:
                return
            unpacker = zlib.decompressobj(_GZIP)
    yield unpacker.flush()
    if not unpacker.eof:
        raise EOFError("it ends before its end mark")


class TruncatedZip:
    """The first file of a zip that was cut: its local header still stands at the beginning."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        header = file.read(_LOCAL.size)
        self._method = -1
        self.name = ""
        if len(header) == _LOCAL.size and header[:4] == b"PK\x03\x04":
            fields = _LOCAL.unpack(header)
            self._method = fields[3]
            self.name = file.read(fields[9]).decode("utf-8", "replace")
            file.read(fields[10])

    def pieces(self) -> Iterator[bytes]:
        """Yield the plain bytes that are left.

        Raises:
            EOFError: always, at the end: the zip is cut.
            zlib.error: it is corrupt.
        """
        if self._method != 8:
            raise EOFError("its directory is missing, and its first file is not readable")
        unpacker = zlib.decompressobj(_RAW_DEFLATE)
        while not unpacker.eof and (packed := unpacker.unconsumed_tail or self._file.read(_PIECE)):
            yield unpacker.decompress(packed, _PIECE)
        raise EOFError("its directory is missing; only its first file was read")
