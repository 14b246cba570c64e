"""DuckDB's errors in our words."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from tapeline.errors import (
    SchemaMismatch,
    StoreError,
    StoreLocked,
    StoreUnavailable,
    TapelineError,
    UnreadableFile,
)

_LOCK = re.compile(r"Conflicting lock is held in (?P<program>.*?) ?\(PID (?P<pid>\d+)\)")
_FOREIGN = "not a valid DuckDB database file"
_CLOSED = "Connection already closed"
_VERSION = re.compile(r"database file with version number|newer version of DuckDB|storage version", re.IGNORECASE)
_CORRUPT = re.compile(r"corrupt|checksum|failed to deserialize|unexpected end of (file|buffer)", re.IGNORECASE)
_FULL = re.compile(r"no space left|disk quota|file too large|could not write all bytes", re.IGNORECASE)
_READ_ONLY = re.compile(r"read-only|permission denied|operation not permitted", re.IGNORECASE)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise what DuckDB raises inside as one of our errors.

    Raises:
        StoreLocked: another process has the file open.
        StoreUnavailable: the disk is full or read-only, or fails.
        SchemaMismatch: the file is of a DuckDB this one does not read.
        UnreadableFile: the file is no DuckDB database.
        StoreError: anything else.
    """
    try:
        with interruptible():
            yield
    except duckdb.Error as error:
        raise translate(where, error) from error


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise the `RuntimeError` that DuckDB makes of Ctrl-C inside as the `KeyboardInterrupt` it is."""
    try:
        yield
    except RuntimeError as error:
        if "interrupt" not in str(error).lower():
            raise
        raise KeyboardInterrupt from error


def translate(where: str, error: duckdb.Error) -> TapelineError:
    """Return the error of ours that says what a DuckDB error says."""
    text = " ".join(str(error).split())
    if lock := _LOCK.search(text):
        was = f"{lock['program'] or 'a process'} (PID {lock['pid']})"
        step = "stop that process, or wait until it is done"
        return StoreLocked(where, "is open elsewhere", expected="no other process", was=was, next_step=step)
    if "Could not set lock" in text or "different configuration" in text:
        return StoreLocked(where, "is open elsewhere", expected="no other owner", was=text, next_step="close it there")
    if _FOREIGN in text:
        step = "give the path of a Tapeline database, or of a new file"
        return UnreadableFile(where, "is not a database", expected="a DuckDB file", was="other content", next_step=step)
    if _CLOSED in text:
        return StoreUnavailable(where, "is not open now", next_step="its owner opens it again: ask again in a moment")
    if _VERSION.search(text):
        expected = f"one that DuckDB {duckdb.__version__} reads"
        return SchemaMismatch(where, "is of another DuckDB", expected=expected, was=text, next_step="update duckdb")
    return _from_disk(where, text, error)


def _from_disk(where: str, text: str, error: duckdb.Error) -> StoreError:
    if _FULL.search(text) or os.strerror(errno.ENOSPC) in text:
        step = "free space and try again; all that was committed is kept"
        return StoreUnavailable(where, "the disk is full", expected="room to write", was=text, next_step=step)
    if _READ_ONLY.search(text):
        step = "make it writable, or open it read-only"
        return StoreUnavailable(where, "cannot be written", expected="a writable file", was=text, next_step=step)
    if _CORRUPT.search(text):
        step = "keep the file aside and import the recordings into a new one"
        return StoreError(where, "is damaged", expected="a whole database", was=text, next_step=step)
    if isinstance(error, duckdb.IOException):
        return StoreUnavailable(where, f"input/output failed: {text}", next_step="try again")
    return StoreError(where, f"DuckDB refused: {text}")
