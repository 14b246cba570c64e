"""The files of a Parquet folder: into which rows fall, how one is written, read, and removed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tapeline.clock import DAY
from tapeline.errors import StoreError, StoreLocked, UnreadableFile
from tapeline.stores._conform import SCANNED, in_order
from tapeline.stores._disk import refused_by_disk
from tapeline.stores._parquet_codec import GROUP, read_group, write
from tapeline.stores._parquet_manifest import File, Group
from tapeline.stores.base import KINDS, Kind

LOCK = ".lock"


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Raise what the disk or Parquet raises inside as one of our errors.

    Raises:
        StoreUnavailable: the disk is full or read-only, or fails, or a file is gone.
        StoreError: a file is damaged.
    """
    try:
        yield
    except pa.ArrowInvalid as error:
        step = "keep the folder aside and import the recordings into a new one"
        raise StoreError(
            where, "is damaged", expected="Parquet files of ours", was=str(error), next_step=step
        ) from error
    except OSError as error:
        if error.errno is None:
            raise StoreError(where, "is damaged", expected="whole files", was=str(error)) from error
        raise refused_by_disk(where, "a working folder", error) from error


def partitions(kind: Kind, rows: pa.Table) -> Iterator[tuple[str, str, pa.Table]]:
    """Split rows by instrument and date, and yield (instrument, date, rows)."""
    if not len(rows):
        return
    names = pc.unique(rows["instrument"]).to_pylist() if "instrument" in kind.schema.names else [""]
    for name in names:
        part = rows if len(names) == 1 else rows.filter(pc.field("instrument") == name)
        if kind.time is None:
            yield name, "", part
            continue
        days = np.floor_divide(part[kind.time].to_numpy(), DAY)
        for day in np.unique(days):
            same = days == day
            yield name, str(np.datetime64(int(day), "D")), part if same.all() else part.filter(pa.array(same))


class Place(NamedTuple):
    """Where a file goes: the folder, the instrument and date of its rows, and its number."""

    folder: Path
    instrument: str
    date: str
    number: int

    @property
    def path(self) -> str:
        """Return where below the folder a file of a kind goes, but for the kind."""
        labels = (("instrument", self.instrument), ("date", self.date))
        parts = [f"{name}={quote(value)}" for name, value in labels if value]
        return "/".join([*parts, f"{self.number:08d}.parquet"])


def write_file(place: Place, kind: Kind, rows: pa.Table, *, by_id: bool, id_kind: str) -> File:
    """Write rows of one instrument and date in their order, and return how the manifest tells of it."""
    rows = _sorted(kind, rows, by_id=by_id)
    path = f"{kind.name}/{place.path}"
    target = place.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        write(kind, rows, file, id_kind=id_kind)
        file.flush()
        os.fsync(file.fileno())
    ends = pc.min_max(rows[kind.key[-1]]).as_py() if kind.name in SCANNED else {"min": None, "max": None}
    groups = tuple(_groups(rows)) if kind.name == "trades" else ()
    size = target.stat().st_size
    return File(path, kind.name, len(rows), size, place.instrument, place.date, ends["min"], ends["max"], by_id, groups)


def _sorted(kind: Kind, rows: pa.Table, *, by_id: bool) -> pa.Table:
    if kind.name != "trades":
        return in_order(kind, rows)
    return in_tape_order(rows, by_id=by_id)


def in_tape_order(rows: pa.Table, *, by_id: bool) -> pa.Table:
    """Return an instrument's trades in the order of the tape, without a copy where they are."""
    ids, stamps = rows["trade_id"].to_numpy(), rows["ts_event"].to_numpy()
    rising = np.diff(ids) > 0
    if not by_id:
        steps = np.diff(stamps)
        rising = (steps > 0) | ((steps == 0) & rising)
    if rising.all():
        return rows
    return rows.take(pa.array(np.argsort(ids) if by_id else np.lexsort((ids, stamps))))


def _groups(rows: pa.Table) -> Iterator[Group]:
    ids, stamps = rows["trade_id"].to_numpy(), rows["ts_event"].to_numpy()
    for start in range(0, len(rows), GROUP):
        end = min(start + GROUP, len(rows)) - 1
        first, last = (int(stamps[start]), int(ids[start])), (int(stamps[end]), int(ids[end]))
        yield Group(end - start + 1, first, last)


def load(folder: Path, file: File, names: list[str] | None = None) -> pa.Table:
    """Return the rows of a file, or only the columns named."""
    kind = KINDS[file.kind]
    with pq.ParquetFile(folder / file.path) as opened:
        tables = [read_group(kind, opened, group, names) for group in range(opened.num_row_groups)]
    fields = kind.schema if names is None else pa.schema([kind.schema.field(name) for name in names])
    return pa.concat_tables([fields.empty_table(), *tables])


def discard(folder: Path, paths: Iterable[str]) -> None:
    """Remove files that no manifest names."""
    for path in paths:
        (folder / path).unlink(missing_ok=True)


def remove_leftovers(folder: Path, files: Iterable[str]) -> None:
    """Remove what a transaction that did not end has left."""
    kept = set(files)
    for kind in KINDS:
        found = (path.relative_to(folder).as_posix() for path in (folder / kind).rglob("*.parquet"))
        discard(folder, (path for path in found if path not in kept))


def read_file(path: str | os.PathLike[str]) -> Iterator[pa.Table]:
    """Yield the rows of one of our files, row group by row group, in the schema of the kind its metadata name.

    Raises:
        StoreError: it is damaged.
        UnreadableFile: it is none of ours.
    """
    where = f"file {path}"
    with disk_errors(where), pq.ParquetFile(path) as file:
        metadata = file.schema_arrow.metadata or {}
        name = metadata.get(b"tapeline.kind", b"").decode()
        if name not in KINDS:
            raise UnreadableFile(where, "is no file of a Parquet store", expected="its kind in its metadata", was=name)
        for group in range(file.num_row_groups):
            yield read_group(KINDS[name], file, group)


def lock(folder: Path, where: str) -> IO[str]:
    """Take the folder for writing; the kernel gives it back when the process ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        was = f"a process (PID {file.read().strip() or 'unknown'})"
        file.close()
        step = "stop that process, or open it read-only"
        raise StoreLocked(where, "is written elsewhere", expected="no other writer", was=was, next_step=step) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
