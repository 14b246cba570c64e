"""Checkpoints beside the work: a thread of its own merges the write-ahead log into the file.

DuckDB would have the commit do it that finds the log full, and all that comes meanwhile would wait. Beside it commits
go on, but those of trades wait while the trades are merged: 20 ms for a row group of them. A row group is what DuckDB
keeps together (122,880 rows). Merged in parts of less than two thirds of one, every third time it would put three
of them together, and write all of them again: that took 100 ms, and three times the work of a trade in all.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import duckdb

from tapeline.stores._duckdb_schema import Connection

ROWS = 98_304
"""Four fifths of a row group: more than two thirds of one, and a large commit more still fits in."""


class Checkpoints:
    """Merge a log whenever it holds a row group of trades, or has grown to a size.

    Args:
        connection: to the database, for these alone.
        log: the file of the write-ahead log.
        size: in bytes.
        rows: trades that are merged together.
    """

    def __init__(self, connection: Connection, log: Path, size: int, rows: int = ROWS) -> None:
        self._connection = connection
        self._log = log
        self._size = size
        self._rows = rows
        self._added = 0
        self._merged = 0
        self._busy = False
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tapeline-checkpoints", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Have the log merged if it has grown, without waiting for it; asked after each commit."""
        if not self._busy and (self._added - self._merged >= self._rows or self._grown()):
            self._busy = True
            self._asked.put(True)

    def added(self, rows: int) -> None:
        """Note that so many trades were added."""
        self._added += rows

    def _grown(self) -> bool:
        return self._log.exists() and self._log.stat().st_size >= self._size

    def _run(self) -> None:
        while self._asked.get():
            added = self._added
            with suppress(duckdb.Error):  # the next commit meets the same trouble, and tells it
                self._connection.execute("CHECKPOINT")
                self._merged = added
            self._busy = False

    def close(self) -> None:
        """End, once a checkpoint under way is done. Idempotent."""
        self._asked.put(False)
        self._thread.join()
        self._connection.close()
