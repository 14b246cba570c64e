"""The DuckDB store: one file, one owner, one transaction per flush. The default.

It is not a server: while a process has the file open for writing no other opens it.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.errors import BrokenInvariant, StoreLocked, StoreUnavailable, UnreadableFile
from tapeline.stores import _duckdb_schema as schema
from tapeline.stores._commit_log import IDENTITY, Verb, left_behind, remove, stored_commits
from tapeline.stores._conform import SCANNED, Question, conform, kind_named, one_per_key
from tapeline.stores._duckdb_changes import Changes
from tapeline.stores._duckdb_checkpoints import Checkpoints
from tapeline.stores._duckdb_errors import translated
from tapeline.stores._duckdb_keys import Hashed, Keys, Spans, distinct, instants
from tapeline.stores._duckdb_last import Where, stretches
from tapeline.stores._duckdb_newest import Newest
from tapeline.stores._duckdb_schema import quoted
from tapeline.stores._duckdb_sql import query
from tapeline.stores._duckdb_tape import stream
from tapeline.stores._duckdb_tools import Source, first_number, make_consolidated, make_views, sizes
from tapeline.stores.base import KINDS, Kind, Size

if TYPE_CHECKING:
    from tapeline.stores._duckdb_reader import Reader

_OPEN: WeakValueDictionary[str, DuckDBStore] = WeakValueDictionary()
_BLOCK = 1 << 16
_PATIENCE = 4
"""A commit merges the log itself after all where it has become so many times too large."""


class DuckDBStore:
    """Keep rows in a DuckDB file, made where it is missing.

    Args:
        path: the file.
        read_only: change nothing; any number may read while none writes.
        memory_limit: what DuckDB keeps in memory; beyond it large sorts spill to ``<path>.tmp``.
        threads: how many DuckDB may use; all cores by default.
        checkpoint_bytes: size of the write-ahead log at which it is merged into the file.
        checkpoint_beside: merge it in a thread of its own, so that commits go on meanwhile.

    Raises:
        StoreLocked: another process, or this one, has it open.
        StoreUnavailable: the folder cannot be written or read.
        SchemaMismatch: it is of a newer Tapeline, of another DuckDB, or of something else.
        UnreadableFile: it is missing (read-only), or no DuckDB database.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        memory_limit: str = "256MB",
        threads: int | None = None,
        checkpoint_bytes: int = 16 << 20,
        checkpoint_beside: bool = False,
    ) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self._where = f"database {self.path}"
        self._closed = True
        self.changes = Changes()
        self._checkpoints: Checkpoints | None = None
        self._making_reader = threading.Lock()
        self._in_transaction = False
        self._prepared: set[str] = set()
        self._by_id: dict[str, bool] = {}
        self._sources = {name: Source(kind.schema.empty_table()) for name, kind in KINDS.items()}
        self._claim()
        if read_only and left_behind(self.path):
            DuckDBStore(self.path).close()
        log_bytes = checkpoint_bytes * (_PATIENCE if checkpoint_beside else 1)
        wanted = {"memory_limit": memory_limit, "threads": threads, "checkpoint_threshold": f"{log_bytes}B"}
        options = {name: str(value) for name, value in wanted.items() if value is not None}
        with translated(self._where):
            self._connection = _connect(self.path, options, read_only=read_only)
            self._readers = self._connection.cursor()
        self._closed = False
        self._keys, self._hashed = Keys(self._connection), Hashed(self._connection)
        self.newest = Newest(self._keys, self._hashed)
        try:
            with translated(self._where):
                schema.upgrade(self._connection, self._where, read_only=read_only)
                for name, source in self._sources.items():
                    self._connection.register(f"rows of {name}", source)
                if not read_only:
                    make_consolidated(self._connection)
                    self._recover()
                if checkpoint_beside:
                    log = self.path.with_name(f"{self.path.name}.wal")
                    self._checkpoints = Checkpoints(self._connection.cursor(), log, checkpoint_bytes)
        except BaseException:
            self.close()
            raise
        _OPEN[self._real] = self

    def _claim(self) -> None:
        """Refuse a second store on a file that one writes: DuckDB would share it, and our cache would lie."""
        self._real = os.path.realpath(self.path)
        other = _OPEN.get(self._real)
        if other is not None and not other._closed and not (self.read_only and other.read_only):
            was = f"this process (PID {os.getpid()})"
            raise StoreLocked(self._where, "is open already", expected="one owner", was=was, next_step="close it first")
        if self.path.is_dir():
            raise UnreadableFile(self._where, "is a folder", expected="a file", was=str(self.path))
        if not self.path.parent.is_dir():
            step = "make that folder, or correct the path"
            was = self.path.parent.name
            raise StoreUnavailable(self._where, "folder is missing", expected="a folder", was=was, next_step=step)
        if self.read_only and not self.path.exists():
            step = "run tapeline import first, or correct the path"
            raise UnreadableFile(self._where, "is missing", expected="a file", was=str(self.path), next_step=step)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes inside it happen together or not at all. Does not nest."""
        if self._in_transaction:
            raise BrokenInvariant(self._where, "a transaction was begun inside another")
        try:
            with self._begun():
                yield
        except BaseException:
            self.changes.roll_back()
            raise
        self.changes.commit()

    @contextmanager
    def _begun(self) -> Iterator[None]:
        with translated(self._where):
            self._connection.execute("BEGIN")
        self._in_transaction, done = True, False
        try:
            yield
            with translated(self._where):
                self._connection.execute("COMMIT")
            done = True
        finally:
            self._in_transaction = False
            if not done:
                self._roll_back()
            elif self._checkpoints is not None:
                self._checkpoints.look()

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            return  # a failed COMMIT has rolled back already

    def _writing(self) -> AbstractContextManager[None]:
        return nullcontext() if self._in_transaction else self.transaction()

    def append(self, kind: str, rows: pa.Table) -> int:
        """Add the rows whose key is not stored yet, and return how many that were."""
        known = kind_named(kind)
        given = conform(known, rows)
        if not len(given):
            return 0
        with self._writing(), translated(self._where):
            self.changes.note(kind, given)
            if kind not in SCANNED:
                later = known.hashed and self._hashed.advance(known, instants(known, given))
                verb = "INSERT" if later else "INSERT OR IGNORE"
                return self._insert(known, one_per_key(known, given, last=False), verb)
            fresh, spans = distinct(known, given, last=False)
            return self._insert_scanned(known, self._keys.unstored(known, fresh, spans), spans)

    def upsert(self, kind: str, rows: pa.Table) -> None:
        """Add rows, replacing those whose key is stored. Within ``rows`` the last row of a key wins."""
        known = kind_named(kind)
        given = conform(known, rows)
        if not len(given):
            return
        with self._writing(), translated(self._where):
            self.changes.note(kind, given)
            if kind not in SCANNED:
                if known.hashed:
                    self._hashed.advance(known, instants(known, given))
                self._replace(known, given)
                return
            fresh, spans = distinct(known, given, last=True)
            self._keys.delete(known, fresh, spans)
            self._insert_scanned(known, fresh, spans)

    def delete(
        self, kind: str, instrument: str, *, start: int | None = None, end: int | None = None, **equal: str
    ) -> int:
        """Remove an instrument's rows in [start, end) of the kind's time, where columns equal; return how many."""
        where, values = where_sql(Question(kind_named(kind), instrument, start, end, equal=equal))
        with self._writing(), translated(self._where):
            self.changes.note_deleted(kind, instrument, start=start)
            return first_number(self._connection, f"DELETE FROM {kind}{where}", values)

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
        question = Question(kind_named(kind), instrument, start, end, as_of, equal)
        names = question.left(question.kind.order)
        if limit is not None:
            return self._last(question.kind, where_sql(question), names, limit)
        order = ", ".join(schema.columns_of(kind)[name].stored for name in names)
        where, values = where_sql(question)
        return self._table(f"SELECT {_shown(kind)} FROM {kind}{where} ORDER BY {order}", values, question.kind)

    def _last(self, kind: Kind, where: Where, names: Sequence[str], limit: int) -> pa.Table:
        """Return the last rows in the order of these columns."""
        most, order = max(0, int(limit)), [schema.columns_of(kind.name)[name] for name in names]
        down = ", ".join(f"{column.stored} DESC" for column in order)
        with translated(self._where):
            tries = stretches(self._connection, kind.name, where, order, most)
        found = kind.schema.empty_table()
        for test, values in tries:
            text = f"SELECT {_shown(kind.name)} FROM {kind.name}{test} ORDER BY {down} LIMIT {most}"
            found = self._table(text, values, kind)
            if len(found) == most:
                break
        return found.take(np.arange(len(found))[::-1])

    def tape(self, instrument: str, *, after: tuple[int, int] | None = None, rows: int = 1 << 20) -> Iterator[pa.Table]:
        """Yield an instrument's trades in the order of the tape, in tables of at most ``rows`` rows."""
        if instrument not in self._by_id:
            found = self.read("instruments", instrument=instrument)["contiguous"].to_pylist()
            if not found:
                return stream(self._connection, self._where, instrument, after, rows, by_id=False)
            self._by_id[instrument] = found == [True]
        return stream(self._connection, self._where, instrument, after, rows, by_id=self._by_id[instrument])

    def seen(self, instrument: str, rows: pa.Table) -> pa.Table:
        """Return the stored trades whose trade_id is among those of ``rows``, ordered by trade_id."""
        known, tables = KINDS["trades"], self.may_have(instrument, rows)
        if not tables:
            return known.schema.empty_table()
        ids = rows.select(["trade_id"])
        low = pc.min(ids["trade_id"]).as_py()
        high = pc.max(ids["trade_id"]).as_py()
        shown = _shown("trades")
        join = "SEMI JOIN batch USING (trade_id)" if low < high else ""
        part = "SELECT {shown}, {rank} AS rank FROM {kind} {join} WHERE {where}"
        where = f"instrument = $1 AND trade_id BETWEEN {low} AND {high}"
        parts = [
            part.format(shown=shown, rank=rank, kind=kind, join=join, where=where) for rank, kind in enumerate(tables)
        ]
        source = " UNION ALL ".join(parts)
        first = "QUALIFY row_number() OVER (PARTITION BY trade_id ORDER BY rank) = 1" if len(parts) > 1 else ""
        with self._keys.batch(ids):
            return self._table(f"SELECT * EXCLUDE rank FROM ({source}) {first} ORDER BY trade_id", [instrument], known)

    def may_have(self, instrument: str, rows: pa.Table) -> list[str]:
        """Return the kinds in which trades may be stored whose trade_id is among those of ``rows``."""
        low = pc.min(rows["trade_id"]).as_py()
        with translated(self._where):
            both = ("trades", "late_trades") if low is not None else ()
            return [kind for kind in both if self._keys.reach(kind, (instrument,), low)]

    def sql(self, text: str, *, limit: int | None = None) -> pa.Table:
        """Answer one reading SQL statement with at most ``limit`` rows, of what is committed.

        Raises:
            UsageError: it is not one statement, it writes, or DuckDB refuses it.
        """
        with self._connection.cursor() as cursor:
            return query(cursor, text, limit=limit)

    def sizes(self) -> Mapping[str, Size]:
        """Return what each kind takes, by name: its blocks in the file, after a checkpoint where it can be made."""
        self.checkpoint()
        with translated(self._where):
            return sizes(self._connection)

    def checkpoint(self) -> None:
        """Merge the write-ahead log into the file."""
        if not self.read_only and not self._in_transaction:
            with translated(self._where):
                self._connection.execute("CHECKPOINT")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file. Idempotent."""
        if not self._closed:
            self._closed = True
            self.changes.close()
            if self._checkpoints is not None:
                self._checkpoints.close()
            with translated(self._where), self._making_reader:
                self._readers.close()
                self._connection.close()

    def reader(self, *, mark: int | None = None) -> Reader:
        """Return the database as it is committed now, to read in another thread while this store goes on writing.

        ``mark`` is what the reader says of how new it is: that of ``changes`` now, by default.
        """
        from tapeline.stores._duckdb_reader import Reader

        return Reader(self, mark=mark)

    # For a log of commits before this store: see `tapeline.stores.logged`.

    def identity(self) -> bytes:
        """Return what tells this database from others; it is given when it is first asked for."""
        with translated(self._where):
            text = schema.identity(self._connection)
            if text is None:
                text = secrets.token_hex(IDENTITY)
                self._connection.execute(f"COMMENT ON TABLE tapeline_schema IS '{text}'")
        return bytes.fromhex(text)

    def write(self, changes: Sequence[tuple[Verb, str, pa.Table]]) -> None:
        """Add rows that are known to be new, and replace others, inside the caller's transaction."""
        for verb, kind, rows in changes:
            self.changes.note(kind, rows)
            self._put(verb, KINDS[kind], rows)

    def merge(self, changes: Sequence[tuple[Verb, str, pa.Table]]) -> None:
        """Write what was told as committed, in a transaction; any thread may, while no other uses this store."""
        with self._begun():
            for verb, kind, rows in changes:
                self._put(verb, KINDS[kind], rows)

    def _put(self, verb: Verb, kind: Kind, rows: pa.Table) -> None:
        with translated(self._where):
            if verb == "upsert":
                self._replace(kind, rows)
            else:
                self._insert_new(kind, rows)

    def _recover(self) -> None:
        """Write the commits that a process left in its log when it was killed."""
        text = schema.identity(self._connection)
        commits = stored_commits(self.path, bytes.fromhex(text)) if text else []
        if commits:
            with self.transaction():
                for change in itertools.chain(*commits):
                    add = self.append if change.verb == "append" else self.upsert
                    add(change.kind, change.rows)
        remove(self.path)

    def _table(self, text: str, values: list[Any], kind: Kind) -> pa.Table:
        with translated(self._where):
            return self._connection.sql(text, params=values).to_arrow_table().cast(kind.schema)

    def _insert(self, kind: Kind, rows: pa.Table, verb: str) -> int:
        """Run the insert of a kind, planned once: planning it takes longer than a small flush."""
        prepared = quoted(f"{verb} {kind.name}")
        if prepared not in self._prepared:
            columns = schema.columns_of(kind.name).values()
            into = ", ".join(column.stored for column in columns)
            values = ", ".join(column.into for column in columns)
            source = f"SELECT {values} FROM {quoted(f'rows of {kind.name}')}"
            self._connection.execute(f"PREPARE {prepared} AS {verb} INTO {kind.name} ({into}) {source}")
            self._prepared.add(prepared)
        with self._sources[kind.name].holding(rows):
            added = first_number(self._connection, f"EXECUTE {prepared}")
        if kind.name == "feature_sets":
            make_views(self._connection)
        return added

    def _insert_scanned(self, kind: Kind, rows: pa.Table, spans: Spans) -> int:
        """Insert rows known to be new, and remember how far each instrument has come."""
        if not len(rows):
            return 0
        self._keys.advance(kind, spans)
        return self._insert_new(kind, rows)

    def _insert_new(self, kind: Kind, rows: pa.Table) -> int:
        """Insert rows known to be new."""
        if self._checkpoints is not None and kind.name == "trades":
            self._checkpoints.added(len(rows))
        return self._insert(kind, rows, "INSERT")

    def _replace(self, kind: Kind, rows: pa.Table) -> None:
        """Insert rows of a kind with an index, in the place of those with their keys."""
        self._insert(kind, one_per_key(kind, rows, last=True), "INSERT OR REPLACE")


def _connect(path: Path, options: Mapping[str, str], *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a database that reads no other file and loads no extension."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "default_block_size": str(_BLOCK),
        **options,
    }
    connection = duckdb.connect(path, read_only=read_only, config=config)
    connection.execute("SET GLOBAL TimeZone = 'UTC'; SET enable_progress_bar = false")
    if not read_only:
        connection.execute("SET lock_configuration = true")  # of readers one process may open several
    return connection


def _shown(kind: str) -> str:
    return ", ".join(f"{column.out} AS {quoted(name)}" for name, column in schema.columns_of(kind).items())


def where_sql(question: Question) -> Where:
    """Return the condition that a question asks of the rows of its table, and the values in it."""
    columns = schema.columns_of(question.kind.name)
    asked: list[tuple[str, str, Any]] = [(name, "=", text) for name, text in question.texts().items()]
    asked += question.bounds()
    tests = [f"{_filtered(columns[name])} {sign} ?" for name, sign, _ in asked]
    return (" WHERE " + " AND ".join(tests) if tests else ""), [value for _, _, value in asked]


def _filtered(column: schema.Column) -> str:
    return f"({column.out})" if column.out != column.stored else column.stored
