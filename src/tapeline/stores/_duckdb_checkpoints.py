"""Checkpoints beside the work: a thread of its own merges the write-ahead log into the file.

DuckDB would have the commit do it that finds the log full, and all that comes meanwhile would wait. Beside it commits
go on, but for the moment in which what was merged takes its place; the smaller the log, the shorter that is.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import duckdb

from tapeline.stores._duckdb_schema import Connection


class Checkpoints:
    """Merge a log whenever it has grown to a size.

    Args:
        connection: to the database, for these alone.
        log: the file of the write-ahead log.
        size: in bytes.
    """

    def __init__(self, connection: Connection, log: Path, size: int) -> None:
        self._connection = connection
        self._log = log
        self._size = size
        self._busy = False
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tapeline-checkpoints", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Have the log merged if it has grown, without waiting for it; asked after each commit."""
        if not self._busy and self._log.exists() and self._log.stat().st_size >= self._size:
            self._busy = True
            self._asked.put(True)

    def _run(self) -> None:
        while self._asked.get():
            with suppress(duckdb.Error):  # the next commit meets the same trouble, and tells it
                self._connection.execute("CHECKPOINT")
            self._busy = False

    def close(self) -> None:
        """End, once a checkpoint under way is done. Idempotent."""
        self._asked.put(False)
        self._thread.join()
        self._connection.close()
