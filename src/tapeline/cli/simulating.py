"""What ``tapeline simulate --venue`` needs: recorded tapes to tell anew, the true tape as a file, faults as lines."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from tapeline import tape
from tapeline.cli.files import check_path, write_trades
from tapeline.clock import format_time
from tapeline.errors import UnreadableFile, UsageError
from tapeline.recordings.base import is_contiguous, open_recording
from tapeline.simulator.faults import Log, Strike
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.rows import from_frame
from tapeline.types import Frame

_ROWS = 1 << 16


def read_tape(path: Path, instrument: str | None = None) -> list[Frame]:
    """Return the trades of a recorded file or of a database, a frame an instrument, in the order of their ids or times.

    Raises:
        UnreadableFile: it cannot be read, or holds no trades.
    """
    parts: dict[str, list[Frame]] = {}
    for contiguous, frame in _stored(path) if path.suffix == ".duckdb" else _recorded(path, instrument):
        parts.setdefault(frame.instrument, []).append(_sorted(frame, contiguous=contiguous))
    if not parts:
        raise UnreadableFile(f"file {path}", "holds no trades", expected="a recording or a database of trades")
    return [Frame.concat(frames) for frames in parts.values()]


def _stored(path: Path) -> Iterator[tuple[bool, Frame]]:
    store = DuckDBStore(path, read_only=True)
    try:
        for entry in tape.instruments(store):
            for record in tape.records(store, entry):
                if isinstance(record, Frame):
                    yield entry.contiguous, record
    finally:
        store.close()


def _recorded(path: Path, instrument: str | None) -> Iterator[tuple[bool, Frame]]:
    recording = open_recording(path, instrument=instrument)
    parts: dict[str, list[Frame]] = {}
    for chunk in recording.chunks():
        for frame in chunk.frames:
            parts.setdefault(frame.instrument, []).append(frame)
    for name, frames in parts.items():
        yield is_contiguous(name, recording.id_kind), Frame.concat(frames)


def _sorted(frame: Frame, *, contiguous: bool) -> Frame:
    """Return a frame in canonical order, each id once where ids tell the order."""
    if contiguous:
        return frame.take(np.unique(frame.trade_id, return_index=True)[1])
    return frame.take(np.lexsort((frame.trade_id, frame.ts_event)))


class Truth:
    """The true tape, written as it happens: a Parquet file that `tapeline import` reads. Close it to have it."""

    def __init__(self, path: Path) -> None:
        check_path(path)
        self._path = path
        self._tables: queue.SimpleQueue[pa.Table | None] = queue.SimpleQueue()
        self._parts: list[pa.Table] = []
        self._rows = 0
        self._pool = ThreadPoolExecutor(1)
        self._written: Future[dict[str, Any]] | None = None

    def add(self, frame: Frame) -> None:
        """Add what happened; without anything no file is made."""
        if self._written is None:
            self._written = self._pool.submit(write_trades, self._path, iter(self._tables.get, None), "trade")
        self._parts.append(from_frame(frame))
        self._rows += len(frame)
        if self._rows >= _ROWS:
            self._hand_on()

    def close(self) -> None:
        """Write what is left, and give the file its name.

        Raises:
            UsageError: it cannot be written.
        """
        self._hand_on()
        self._tables.put(None)
        self._pool.shutdown()
        if self._written is not None:
            self._written.result()

    def _hand_on(self) -> None:
        if self._parts:
            self._tables.put(pa.concat_tables(self._parts))
        self._parts, self._rows = [], 0


@contextmanager
def strike_lines(path: Path) -> Iterator[Log]:
    """Give a log that writes each strike as a line of JSON.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        file = path.open("w")
    except OSError as error:
        rule = "a folder that exists, ours to write"
        raise UsageError(f"--fault-log {path}", "cannot be written", expected=rule, was=error.strerror) from error
    with file:
        yield lambda strike: _write_strike(file, strike)


def _write_strike(file: TextIO, strike: Strike) -> None:
    file.write(json.dumps(strike._asdict() | {"at": format_time(strike.at)}) + "\n")
    file.flush()
