"""The store of a live process: a commit is a record in a log at once, and rows in DuckDB a moment later.

A commit of DuckDB costs milliseconds however few rows it has; a record costs a tenth of that, and lies on the disk
likewise. A thread merges what has gathered, many commits in one. Whoever reads has it merged first, so that nobody
sees the difference: what was committed is read, and after a crash the next one to open the database finds it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from tapeline.errors import BrokenInvariant, StoreError
from tapeline.stores._commit_log import Change, CommitLog, Verb, remove
from tapeline.stores._conform import conform, kind_named, one_per_key
from tapeline.stores._disk import on_disk
from tapeline.stores._duckdb_errors import translated
from tapeline.stores.base import KINDS, Size
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.parts import CandlePart, Part
from tapeline.stores.rows import from_parts, joined

if TYPE_CHECKING:
    from tapeline.stores._duckdb_reader import Reader

PAUSE = 0.1
"""How long (s) commits gather before they are merged, where nobody asks."""
MOST = 1 << 16
"""So many rows wait at most; the commit that brings more merges them itself."""
_REPLACED = frozenset(["states", "gaps"])
"""Kinds whose rows may be replaced by way of the log: nobody asks what became of it."""


class LoggedStore:
    """Keep rows in a DuckDB file, by way of a log.

    What only adds rows that are new (or replaces states and gaps) goes to the log; a transaction that does anything
    else, or reads, is one of DuckDB as a whole. One thread writes; `reader` and `settle` may be called by any.

    Args:
        store: where the rows end up; it is closed with this one.
        pause: how long (s) commits gather; None for a store that merges only when somebody reads.

    Raises:
        StoreUnavailable: the log cannot be made beside it.
    """

    def __init__(self, store: DuckDBStore, *, pause: float | None = PAUSE) -> None:
        self.path = store.path
        self.read_only = False
        self.changes = store.changes
        self._store = store
        self._where = f"log of {store.path}"
        self._pause = pause
        self._backlog: list[Change] = []
        self._waiting = 0  # rows in the log, of the backlog and of what is being merged
        self._pending: list[Change] | None = None
        self._real: ExitStack | None = None
        self._merging = threading.RLock()
        self._adding = threading.Lock()
        self._failure: StoreError | None = None
        self._closed = False
        self._added, self._closing = threading.Event(), threading.Event()
        try:
            with self._on_disk():
                self._log = CommitLog(store.path, store.identity())
            with translated(self._where):
                store.newest.look_ahead()
        except BaseException:
            store.close()
            raise
        self._thread = threading.Thread(target=self._run, name="tapeline-log", daemon=True)
        self._thread.start()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes inside it happen together or not at all. Does not nest."""
        if self._real is not None:
            raise BrokenInvariant(self._where, "a transaction was begun inside another")
        self._check()
        self._pending = []
        try:
            with ExitStack() as self._real:
                yield
                if self._pending:
                    self._write_ahead(self._pending)
        finally:
            self._pending = self._real = None

    def append(self, kind: str, rows: pa.Table) -> int:
        """Add the rows whose key is not stored yet, and return how many that were."""
        with self._writing():
            if self._pending is not None and (new := self._store.newest.rows(kind, rows)) is not None:
                if len(new):
                    self._pending.append(Change("append", kind, new))
                return len(new)
            return self._directly().append(kind, rows)

    def append_parts(self, kind: str, parts: Sequence[Part]) -> None:
        """Add parts (at least one), none empty, as `append` would their rows, which are made later."""
        with self._writing():
            if self._pending is not None and self._store.newest.parts(kind, parts):
                self._pending += [Change("append", kind, part) for part in parts]
            else:
                self._directly().append(kind, from_parts(kind, parts))

    def upsert(self, kind: str, rows: pa.Table) -> None:
        """Add rows, replacing those whose key is stored. Within ``rows`` the last row of a key wins."""
        with self._writing():
            if self._pending is not None and kind in _REPLACED:
                if len(given := conform(kind_named(kind), rows)):
                    self._pending.append(Change("upsert", kind, given))
            else:
                self._directly().upsert(kind, rows)

    def delete(
        self, kind: str, instrument: str, *, start: int | None = None, end: int | None = None, **equal: str
    ) -> int:
        """Remove an instrument's rows in [start, end) of the kind's time, where columns equal; return how many."""
        with self._writing():
            return self._directly().delete(kind, instrument, start=start, end=end, **equal)

    def read(
        self,
        kind: str,
        *,
        instrument: str | None = None,
        start: int | None = None,
        end: int | None = None,
        as_of: int | None = None,
        limit: int | None = None,
        **equal: str,
    ) -> pa.Table:
        """Return rows in [start, end) of the kind's time, known at or before ``as_of``, in the kind's order."""
        with self._merged() as store:
            return store.read(kind, instrument=instrument, start=start, end=end, as_of=as_of, limit=limit, **equal)

    def tape(self, instrument: str, *, after: tuple[int, int] | None = None, rows: int = 1 << 20) -> Iterator[pa.Table]:
        """Yield an instrument's trades in the order of the tape, in tables of at most ``rows`` rows."""
        pieces = self._store.tape(instrument, after=after, rows=rows)
        while True:
            with self._merged():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def seen(self, instrument: str, rows: pa.Table) -> pa.Table:
        """Return the stored trades whose trade_id is among those of ``rows``, ordered by trade_id."""
        if not self._store.may_have(instrument, rows):
            return KINDS["trades"].schema.empty_table()
        with self._merged() as store:
            return store.seen(instrument, rows)

    def sql(self, text: str, *, limit: int | None = None) -> pa.Table:
        """Answer one reading SQL statement with at most ``limit`` rows, of what is committed.

        Raises:
            UsageError: it is not one statement, it writes, or DuckDB refuses it.
        """
        with self._merged() as store:
            return store.sql(text, limit=limit)

    def sizes(self) -> Mapping[str, Size]:
        """Return what each kind takes, by name: its blocks in the file, after a checkpoint where it can be made."""
        with self._merged() as store:
            return store.sizes()

    def reader(self) -> Reader:
        """Return the database as it is committed now, to read in another thread while this store goes on writing.

        Raises:
            StoreError: what was committed cannot be merged.
        """
        mark = self.changes.mark
        self.settle()
        return self._store.reader(mark=mark)

    def settle(self) -> None:
        """Merge what is committed into the database.

        Raises:
            StoreError: it cannot be; it stays in the log, and this store takes nothing more.
        """
        with self._adding:
            if not self._waiting:
                return
        with self._merging:
            self._check()
            with self._adding:
                taken, self._backlog = self._backlog, []
                if not taken:
                    return
                self._log.turn()
            try:
                self._store.merge(_joined(taken))
                with self._on_disk():
                    self._log.clear()
            except StoreError as error:
                self._failure = error
                raise
            with self._adding:
                self._waiting -= sum(len(change.rows) for change in taken)

    def close(self) -> None:
        """Merge what is committed, and release the files. Idempotent.

        Raises:
            StoreError: it cannot be merged; it stays in the log for whoever opens the database next.
        """
        if self._closed:
            return
        self._closed = True
        self._closing.set()
        self._added.set()
        self._thread.join()
        try:
            if self._failure is None:
                self.settle()
                remove(self.path)
        finally:
            self._log.close()
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _writing(self) -> AbstractContextManager[None]:
        return self.transaction() if self._real is None else nullcontext()

    def _on_disk(self) -> AbstractContextManager[None]:
        return on_disk(self._where, "room to write")

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _directly(self) -> DuckDBStore:
        """Make the transaction one of DuckDB, with what was written in it so far."""
        assert self._real is not None
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._real.enter_context(self._merging)
            self.settle()
            self._real.enter_context(self._store.transaction())
            self._store.write(_joined(pending))
        return self._store

    @contextmanager
    def _merged(self) -> Iterator[DuckDBStore]:
        """Give the database inside, with all that was written so far."""
        if self._real is not None:
            yield self._directly()
            return
        with self._merging:
            self.settle()
            yield self._store

    def _write_ahead(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change.rows, pa.Table):
                self.changes.note(change.kind, change.rows)
            elif isinstance(change.rows, CandlePart):
                self.changes.note_candles(change.rows)
        try:
            with self._adding, self._on_disk():
                self._log.add(changes)
                self._backlog += changes
                self._waiting += sum(len(change.rows) for change in changes)
        except BaseException:  # whatever ends this, Ctrl-C too: what is not in the log was never changed
            self.changes.roll_back()
            raise
        self.changes.commit()
        self._added.set()
        if self._waiting > MOST:
            self.settle()

    def _run(self) -> None:
        while self._pause is not None:
            self._added.wait()
            self._added.clear()
            if self._closing.wait(self._pause):
                return
            with suppress(StoreError):  # the next transaction tells it
                self.settle()


def _joined(changes: Sequence[Change]) -> list[tuple[Verb, str, pa.Table]]:
    """Return what changes write, neighbours of one kind and verb as one; kinds do not depend on each other."""
    ordered = sorted(changes, key=lambda change: change.kind)
    groups = itertools.groupby(ordered, key=lambda change: (change.verb, change.kind, type(change.rows)))
    return [(verb, kind, _table(kind, [one.rows for one in found])) for (verb, kind, _), found in groups]


def _table(kind: str, parts: Sequence[pa.Table | Part]) -> pa.Table:
    """Return tables, or parts, as one table with one row a key."""
    if isinstance(parts[0], pa.Table):
        return joined(parts)
    known = kind_named(kind)
    made = conform(known, from_parts(kind, parts))
    return one_per_key(known, made, last=False) if known.hashed else made
