"""A file as a stream of plain bytes, whatever it is packed in, and what can be said about it from its beginning.

Packing is recognised by content, never by the file's name. A stream that ends early or is corrupt gives all it still
holds, then says so in `Source.damage`: nothing that was readable is lost.
"""

from __future__ import annotations

import bz2
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from tapeline.errors import UnreadableFile
from tapeline.recordings.unpack import TruncatedZip, inflate, zip_member

HEAD = 1 << 16
PIECE = 1 << 20
_BOM = b"\xef\xbb\xbf"
_WIDE = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException, NotImplementedError)


class Source:
    """A file to read, with its packing undone.

    Attributes:
        path: where it is.
        size: bytes on disk.
        bytes_read: bytes of it read so far, for progress.
        kind: ``text``, ``parquet``, ``arrow`` (IPC file, Feather) or ``feather1``.
        members: names of the files inside (one, unless it is a zip).
        head: the first 64 KiB of plain bytes of the first member (empty unless text).
        damage: why the stream ended before its end, or empty.

    Raises:
        UnreadableFile: missing, a folder, empty, binary, in a wide encoding, or damaged from its first byte.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_read = 0
        self.damage = ""
        self.members: tuple[str, ...] = (path.name,)
        self.size, magic = _look(path)
        self.kind = _kind_of(magic)
        self.packing = _packing_of(magic)
        self.head = b""
        if self.kind == "text":
            self._read_head()

    @property
    def where(self) -> str:
        """Return how errors name the file."""
        return f"file {self.path}"

    def first_lines(self, count: int = 50) -> list[bytes]:
        """Return the first whole lines that are not blank."""
        body, cut, _ = self.head.rpartition(b"\n")
        lines = (body if cut and len(self.head) >= HEAD else self.head).replace(b"\r\n", b"\n").split(b"\n")
        return [line for line in lines if line.strip()][:count]

    def stream(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number of the member, piece of plain bytes); at the end `damage` is known."""
        self.bytes_read, self.damage, last = 0, "", -1
        with self.path.open("rb") as file:
            for member, piece in self._pieces(file):
                self.bytes_read = min(file.tell(), self.size)
                yield member, piece.removeprefix(_BOM) if member != last else piece
                last = member
        self.bytes_read = self.size

    def _read_head(self) -> None:
        parts: list[bytes] = []
        for member, piece in self.stream():
            if member > 0:
                break
            parts.append(piece)
            if sum(map(len, parts)) >= HEAD:
                break
        self.head = b"".join(parts)[:HEAD]
        if not self.head:
            problem = f"holds nothing readable ({self.damage})" if self.damage else "is empty"
            raise UnreadableFile(self.where, problem, next_step="get the file again")
        _check_text(self.where, self.head)

    def _pieces(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        if self.packing == "zip":
            yield from self._members(file)
        elif self.packing == "gzip":
            yield from ((0, piece) for piece in self._guarded(inflate(file)))
        else:
            yield from ((0, piece) for piece in self._guarded(_pieces_of(file, self.packing)))

    def _members(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        try:
            items = [item for item in zipfile.ZipFile(file).infolist() if _is_data(item)]
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
            torn = TruncatedZip(file)
            self.members = (torn.name or self.path.name,)
            yield from ((0, piece) for piece in self._guarded(torn.pieces()))
            return
        self.members = tuple(item.filename for item in items) or self.members
        for number, item in enumerate(items):
            yield from ((number, piece) for piece in self._guarded(zip_member(file, item)))
            if self.damage:
                return

    def _guarded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except _DAMAGED as error:
            self.damage = f"{self.packing or 'file'} damaged or cut short: {str(error)[:120]}"


def _pieces_of(file: BinaryIO, packing: str) -> Iterator[bytes]:
    """Read in single steps, so that what precedes damage is handed over before the damage is met."""
    if packing == "zstd":
        reader = pa.CompressedInputStream(file, "zstd")
        yield from iter(lambda: bytes(reader.read(PIECE)), b"")
    elif packing in {"bzip2", "xz"}:
        with bz2.BZ2File(file) if packing == "bzip2" else lzma.LZMAFile(file) as opened:
            yield from iter(lambda: opened.read1(PIECE), b"")
    else:
        yield from iter(lambda: file.read(PIECE), b"")


def _is_data(item: zipfile.ZipInfo) -> bool:
    return not item.is_dir() and item.file_size > 0 and not item.filename.startswith("__MACOSX")


def _look(path: Path) -> tuple[int, bytes]:
    try:
        if path.is_dir():
            raise UnreadableFile(f"file {path}", "is a folder", next_step="name the files in it")
        with path.open("rb") as file:
            magic = file.read(512)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise UnreadableFile(f"file {path}", "does not exist", next_step="check the path") from error
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"file {path}", f"cannot be read ({error})", next_step="check its permissions") from error
    if not magic:
        raise UnreadableFile(f"file {path}", "is empty", next_step="get the file again")
    return size, magic


def _kind_of(magic: bytes) -> str:
    for mark, kind in ((b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"FEA1", "feather1")):
        if magic.startswith(mark):
            return kind
    return "text"


def _packing_of(magic: bytes) -> str:
    marks = {
        b"\x1f\x8b": "gzip",
        b"PK\x03\x04": "zip",
        b"PK\x05\x06": "zip",
        b"\x28\xb5\x2f\xfd": "zstd",
        b"BZh": "bzip2",
        b"\xfd7zXZ\x00": "xz",
    }
    return next((name for mark, name in marks.items() if magic.startswith(mark)), "")


def _check_text(where: str, head: bytes) -> None:
    wide = next((name for mark, name in _WIDE.items() if head.startswith(mark)), "")
    zeros = head.count(0)
    if (
        not wide
        and zeros
        and max(head[::2].count(0), head[1::2].count(0)) > 0.4 * len(head)
        and zeros < 0.6 * len(head)
    ):
        wide = "UTF-16"
    if wide:
        step = f"convert it: iconv -f {wide} -t UTF-8"
        raise UnreadableFile(where, "is in another encoding", expected="UTF-8", was=wide, next_step=step)
    control = sum(head.count(code) for code in (*range(9), *range(14, 32)))
    if head[257:262] == b"ustar":
        raise UnreadableFile(where, "is a tar archive", next_step="unpack it first")
    if control > 0.02 * len(head):
        raise UnreadableFile(where, "is binary", expected="text, Parquet or Feather", was=head[:16])
