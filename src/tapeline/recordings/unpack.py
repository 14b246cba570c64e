"""Undo gzip and zip, also a zip that was cut, giving all that is readable before damage."""

from __future__ import annotations

import struct
import zipfile
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
        yield from _step(unpacker, packed)
        rest = unpacker.unconsumed_tail
        if unpacker.eof:
            rest = unpacker.unused_data.lstrip(b"\0") or file.read(_PIECE).lstrip(b"\0")
            if not rest:
                return
            unpacker = zlib.decompressobj(_GZIP)
    yield unpacker.flush()
    if not unpacker.eof:
        raise EOFError("it ends before its end mark")


def _step(unpacker: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    """Unpack once; where that meets damage, hand over what precedes it, then raise."""
    before = unpacker.copy()
    try:
        yield unpacker.decompress(packed, _PIECE)
    except zlib.error:
        for at in range(len(packed)):
            yield before.decompress(packed[at : at + 1])
        raise


def zip_member(file: BinaryIO, item: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the plain bytes of one file of a zip, up to its end or to damage.

    Raises:
        zipfile.BadZipFile: it is encrypted, cut, or not what its checksum says.
        NotImplementedError: it is packed in another way than deflate.
        zlib.error: it is corrupt.
    """
    if item.flag_bits & 1 or item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError(f"{item.filename} is encrypted or packed in an unknown way")
    file.seek(item.header_offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size:
        raise zipfile.BadZipFile(f"{item.filename} is cut")
    fields = _LOCAL.unpack(header)
    file.seek(fields[9] + fields[10], 1)
    checksum = 0
    for piece in _deflated(file) if item.compress_type else _stored(file, item.file_size):
        checksum = zlib.crc32(piece, checksum)
        yield piece
    if checksum != item.CRC:
        raise zipfile.BadZipFile(f"checksum of {item.filename} differs")


def _deflated(file: BinaryIO) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_RAW_DEFLATE)
    while not unpacker.eof and (packed := unpacker.unconsumed_tail or file.read(_PIECE)):
        yield from _step(unpacker, packed)


def _stored(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (piece := file.read(min(size, _PIECE))):
        size -= len(piece)
        yield piece


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
        yield from _deflated(self._file)
        raise EOFError("its directory is missing; only its first file was read")
