"""The Parquet store: files by kind, instrument and date, in the order of the tape; for archives and fast replay.

Every reader of Parquet understands the files. They are written once: changing rows replaces files, and many small
appends want `ParquetStore.compact`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.errors import BrokenInvariant, StoreUnavailable, UnreadableFile
from tapeline.stores import _parquet_manifest as manifests
from tapeline.stores._conform import (
    SCANNED,
    Question,
    answer,
    conform,
    in_order,
    kind_named,
    one_per_key,
    places_of,
    without,
)
from tapeline.stores._parquet_files import (
    LOCK,
    Place,
    discard,
    disk_errors,
    load,
    lock,
    partitions,
    read_file,
    remove_leftovers,
    write_file,
)
from tapeline.stores._parquet_manifest import File, Manifest
from tapeline.stores._parquet_tape import stream
from tapeline.stores.base import KINDS, Kind, Size

__all__ = ["ParquetStore", "read_file"]


class ParquetStore:
    """Keep rows in Parquet files below a folder, made where it is missing.

    Args:
        folder: where.
        read_only: change nothing; any number of processes may read while one writes.

    Raises:
        StoreLocked: another store writes there.
        StoreUnavailable: the folder cannot be written or read.
        SchemaMismatch: it is of another version.
        UnreadableFile: it is missing (read-only), holds something else, or its manifest is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self.folder = Path(folder)
        self.read_only = read_only
        self._where = f"folder {self.folder}"
        self._in_transaction = False
        self._lock: IO[str] | None = None
        with disk_errors(self._where):
            if not read_only:
                self._lock = lock(self.folder, self._where)
            try:
                self._open()
            except BaseException:  # Ctrl-C too: nobody else has the store yet and could give the lock back
                self.close()
                raise

    def _open(self) -> None:
        found = manifests.load(self.folder)
        if found is None and self.read_only:
            step = "correct the path, or export into it first"
            raise UnreadableFile(self._where, "is no Tapeline folder", expected=manifests.NAME, next_step=step)
        strange = [path.name for path in self.folder.iterdir() if path.name != LOCK] if found is None else []
        if strange:
            step = "give a new or empty folder"
            raise UnreadableFile(
                self._where, "holds something else", expected="an empty folder", was=strange[0], next_step=step
            )
        self._next = 1 if found is None else found.next
        self._files = {} if found is None else {file.path: file for file in found.files}
        if self._lock is not None:
            remove_leftovers(self.folder, self._files)
            if found is None:
                self._commit()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes inside it happen together or not at all. Does not nest."""
        if self._in_transaction:
            raise BrokenInvariant(self._where, "a transaction was begun inside another")
        before, self._in_transaction, done = dict(self._files), True, False
        try:
            yield
            if self._files.keys() != before.keys():
                self._commit()
            done = True
        finally:
            self._in_transaction = False
            after, kept = (before, self._files) if done else (self._files, before)
            self._files = kept
            discard(self.folder, after.keys() - kept.keys())

    def _commit(self) -> None:
        with disk_errors(self._where):
            for folder in {(self.folder / path).parent for path in self._files}:
                manifests.sync_folder(folder)
            manifests.save(self.folder, Manifest(next=self._next, files=tuple(self._files.values())))

    def _writing(self) -> AbstractContextManager[None]:
        if self._lock is None:
            raise StoreUnavailable(
                self._where, "cannot be written", expected="an open writer", was="read-only or closed"
            )
        return nullcontext() if self._in_transaction else self.transaction()

    def append(self, kind: str, rows: pa.Table) -> int:
        """Add the rows whose key is not stored yet, and return how many that were."""
        known = kind_named(kind)
        fresh = one_per_key(known, conform(known, rows), last=False)
        with self._writing(), disk_errors(self._where):
            for file in self._meeting(known, fresh):
                fresh = without(fresh, places_of(fresh.select(known.key), self._load(file, known.key)))
            self._write(known, fresh)
        return len(fresh)

    def upsert(self, kind: str, rows: pa.Table) -> None:
        """Add rows, replacing those whose key is stored. Within ``rows`` the last row of a key wins."""
        known = kind_named(kind)
        fresh = one_per_key(known, conform(known, rows), last=True)
        with self._writing(), disk_errors(self._where):
            for file in self._meeting(known, fresh):
                stored = self._load(file)
                self._replace(file, stored, places_of(stored.select(known.key), fresh.select(known.key)))
            self._write(known, fresh)

    def delete(
        self, kind: str, instrument: str, *, start: int | None = None, end: int | None = None, **equal: str
    ) -> int:
        """Remove an instrument's rows in [start, end) of the kind's time, where columns equal; return how many."""
        question = Question(kind_named(kind), instrument, start, end, equal=equal)
        gone = 0
        with self._writing(), disk_errors(self._where):
            for file in self._asked(question):
                stored = self._load(file)
                keys = stored.select(question.kind.key)
                places = places_of(keys, answer(question, stored).select(question.kind.key))
                self._replace(file, stored, places)
                gone += len(places)
        return gone

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
        with disk_errors(self._where):
            tables = [answer(question, self._load(file)) for file in self._asked(question)]
        table = in_order(question.kind, pa.concat_tables([question.kind.schema.empty_table(), *tables]))
        return table if limit is None else table.slice(max(0, len(table) - limit))

    def tape(self, instrument: str, *, after: tuple[int, int] | None = None, rows: int = 1 << 20) -> Iterator[pa.Table]:
        """Yield an instrument's trades in the order of the tape, in tables of at most ``rows`` rows.

        The next row group is read by a thread while the caller works on this one.
        """
        files = [file for file in self._files.values() if (file.kind, file.instrument) == ("trades", instrument)]
        return stream(self.folder, files, after, rows, by_id=self._contiguous(instrument))

    def seen(self, instrument: str, rows: pa.Table) -> pa.Table:
        """Return the stored trades whose trade_id is among those of ``rows``, ordered by trade_id."""
        trades = KINDS["trades"]
        found = [trades.schema.empty_table()]
        ids = rows.select(["trade_id"]).cast(pa.schema([trades.schema.field("trade_id")]))
        keys = ids.add_column(0, "instrument", pa.repeat(instrument, len(ids)))
        with disk_errors(self._where):
            for kind in (trades, KINDS["late_trades"]):
                for file in self._meeting(kind, keys):
                    stored = self._load(file, trades.schema.names)
                    found.append(stored.take(pa.array(places_of(stored.select(["trade_id"]), ids))))
        return in_order(trades, one_per_key(trades, pa.concat_tables(found), last=False))

    def compact(self) -> int:
        """Make one sorted file of each instrument and date that has several, and return how many files are gone."""
        groups: dict[tuple[str, str, str], list[File]] = {}
        for file in self._files.values():
            groups.setdefault((file.kind, file.instrument, file.date), []).append(file)
        before = len(self._files)
        for (kind, instrument, _), files in groups.items():
            unsorted = kind == "trades" and any(file.by_id != self._contiguous(instrument) for file in files)
            if len(files) > 1 or unsorted:
                with self._writing(), disk_errors(self._where):
                    self._write(KINDS[kind], pa.concat_tables([self._load(file) for file in files]))
                    for file in files:
                        del self._files[file.path]
        return before - len(self._files)

    def sizes(self) -> Mapping[str, Size]:
        """Return what each kind takes, by name: the rows and bytes of its files."""
        found = {name: Size(0, 0) for name in KINDS}
        for file in self._files.values():
            size = found[file.kind]
            found[file.kind] = Size(size.rows + file.rows, size.bytes + file.bytes)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder. Idempotent."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _ids(self, instrument: str) -> tuple[bool, str]:
        """Return whether an instrument's ids are contiguous, and of what kind they are, as far as is known."""
        known = self.read("instruments", instrument=instrument).to_pylist()
        return (bool(known[0]["contiguous"]), known[0]["id_kind"] or "") if known else (False, "")

    def _contiguous(self, instrument: str) -> bool:
        return self._ids(instrument)[0]

    def _asked(self, question: Question) -> list[File]:
        """Return the files that may hold rows that answer a question."""
        first, last = _date(question.start), _date(None if question.end is None else question.end - 1)
        return [
            file
            for file in self._files.values()
            if file.kind == question.kind.name
            and (question.instrument in (None, file.instrument))
            and (first is None or file.date >= first)
            and (last is None or file.date <= last)
        ]

    def _meeting(self, kind: Kind, rows: pa.Table) -> list[File]:
        """Return the files that may hold keys of ``rows``."""
        if not len(rows):
            return []
        names = set(pc.unique(rows["instrument"]).to_pylist()) if "instrument" in kind.key else None
        files = [f for f in self._files.values() if f.kind == kind.name and (names is None or f.instrument in names)]
        if kind.name not in SCANNED:
            return files
        ends = pc.min_max(rows[kind.key[-1]]).as_py()
        return [file for file in files if _overlap(file, ends["min"], ends["max"])]

    def _load(self, file: File, names: Iterable[str] | None = None) -> pa.Table:
        return load(self.folder, file, None if names is None else list(names))

    def _replace(self, file: File, stored: pa.Table, places: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        if len(places):
            del self._files[file.path]
            self._write(KINDS[file.kind], without(stored, places))

    def _write(self, kind: Kind, rows: pa.Table) -> None:
        """Write rows as new files, one for each instrument and date, that count from the commit on."""
        for instrument, date, part in partitions(kind, rows):
            by_id, id_kind = self._ids(instrument)
            by_id = by_id and kind.name == "trades"
            place = Place(self.folder, instrument, date, self._next)
            file = write_file(place, kind, part, by_id=by_id, id_kind=id_kind)
            self._next += 1
            self._files[file.path] = file


def _overlap(file: File, low: int, high: int) -> bool:
    return file.low is None or file.high is None or (file.low <= high and low <= file.high)


def _date(ns: int | None) -> str | None:
    return None if ns is None else str(np.datetime64(ns, "ns").astype("datetime64[D]"))
