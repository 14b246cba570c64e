"""The commit log: two files beside a database that hold the commits which it does not hold yet.

A record is one commit: the identity of the database, a number that grows, length, checksum, then verb, kind and rows of
each change. While one file is written the commits of the other are merged into the database; then that is emptied. A
record that was cut short by a crash was never told to anybody, and ends its file.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa

from tapeline.stores._part_codec import packed, unpacked
from tapeline.stores.parts import Part

Verb = Literal["append", "upsert"]
IDENTITY = 16
"""Bytes that tell a database from others."""
_HEAD = struct.Struct("<16sQII")
"""Identity, number, length and checksum of the record."""
_FILES = 2
_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True, slots=True)
class Change:
    """Rows that are added to a kind, or replace those of their keys; or parts, to be made rows of later."""

    verb: Verb
    kind: str
    rows: pa.Table | Part


class CommitLog:
    """Take commits, each of them whole: it outlives the process.

    The disk is not waited for. Where the machine itself stops, the newest may be missing, and the log ends before them.

    Args:
        database: the file that they belong to.
        identity: 16 bytes that tell that database from others.

    Raises:
        OSError: the files cannot be made.
    """

    def __init__(self, database: Path, identity: bytes) -> None:
        self._identity = identity
        self._next = 0
        self._active = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._files = [os.open(path, flags, 0o644) for path in paths(database)]
        self._ends = [0] * _FILES

    def add(self, changes: Sequence[Change]) -> None:
        """Take a commit; where it cannot be written, nothing of it is.

        Raises:
            OSError: the disk is full or fails.
        """
        body = msgspec.msgpack.encode([(one.verb, one.kind, *packed(one.rows)) for one in changes])
        head = (self._identity, self._next, len(body))
        record = _HEAD.pack(*head, _checksum(head, body)) + body
        file, end = self._files[self._active], self._ends[self._active]
        try:
            written = os.pwrite(file, record, end)
            while written < len(record):
                written += os.pwrite(file, record[written:], end + written)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, end)
            raise
        self._ends[self._active] += len(record)
        self._next += 1

    def turn(self) -> None:
        """Write into the other file from now on."""
        self._active = 1 - self._active

    def clear(self) -> None:
        """Empty the file that is not written: all its commits are in the database.

        Raises:
            OSError: the disk fails.
        """
        other = 1 - self._active
        os.ftruncate(self._files[other], 0)
        _sync(self._files[other])
        self._ends[other] = 0

    def close(self) -> None:
        """Release the files. Idempotent."""
        while self._files:
            os.close(self._files.pop())


def paths(database: Path) -> list[Path]:
    """Return where the log of a database lies."""
    return [database.with_name(f"{database.name}.commits{number}") for number in range(_FILES)]


def stored_commits(database: Path, identity: bytes) -> list[Sequence[Change]]:
    """Return the commits that a database may not hold yet, in their order, up to where one is missing."""
    found: dict[int, Sequence[Change]] = {}
    for path in paths(database):
        with suppress(FileNotFoundError):
            found.update(_records(path.read_bytes(), identity))
    first = min(found, default=0)
    return [found[number] for number in itertools.takewhile(found.__contains__, itertools.count(first))]


def left_behind(database: Path) -> bool:
    """Say whether the log of a database holds commits: its process runs, or was killed."""
    return any(path.exists() and path.stat().st_size for path in paths(database))


def remove(database: Path) -> None:
    """Remove the log of a database, which holds all of it now."""
    for path in paths(database):
        path.unlink(missing_ok=True)


def _records(data: bytes, identity: bytes) -> Iterator[tuple[int, Sequence[Change]]]:
    """Yield the numbered commits of a database that a file holds, up to where they end or are cut short."""
    place = 0
    while place + _HEAD.size <= len(data):
        whose, number, length, checksum = _HEAD.unpack_from(data, place)
        body = data[place + _HEAD.size : place + _HEAD.size + length]
        if whose != identity or len(body) < length or checksum != _checksum((whose, number, length), body):
            return
        yield (
            number,
            [Change(verb, kind, unpacked(kind, name, parts)) for verb, kind, name, parts in _DECODER.decode(body)],
        )
        place += _HEAD.size + length


_DECODER = msgspec.msgpack.Decoder(list[tuple[Verb, str, str, list[bytes]]])


def _checksum(head: tuple[bytes, int, int], body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(repr(head).encode()))
