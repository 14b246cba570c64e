"""The tape out of Parquet files: row groups in order, merged where files overlap, the next ones read ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.stores._parquet_codec import read_group
from tapeline.stores._parquet_files import disk_errors, in_tape_order, load
from tapeline.stores._parquet_manifest import File
from tapeline.stores.base import KINDS

_AHEAD = 3
_READERS = 2
_TRADES = KINDS["trades"]

Place = tuple[int, ...]
"""Where a trade lies on the tape: (trade_id,) or (ts_event, trade_id)."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Trades that lie in order: a row group, or a whole file that was sorted by the other rule."""

    file: File
    group: int | None
    first: Place
    last: Place


def stream(
    folder: Path, files: Sequence[File], after: tuple[int, int] | None, rows: int, *, by_id: bool
) -> Iterator[pa.Table]:
    """Yield the trades of files behind ``after`` in the order of the tape, at most ``rows`` in a table."""
    had = None if after is None else _place(after, by_id=by_id)
    pieces = [piece for file in files for piece in _pieces(folder, file, by_id=by_id)]
    wanted = sorted((piece for piece in pieces if had is None or piece.last > had), key=lambda piece: piece.first)
    held: pa.Table | None = None
    for place, table in enumerate(_read_ahead(folder, wanted, by_id=by_id)):
        both = table if held is None else in_tape_order(pa.concat_tables([held, table]).combine_chunks(), by_id=by_id)
        bound = wanted[place + 1].first if place + 1 < len(wanted) else None
        ready = len(both) if bound is None else _count_before(both, bound, by_id=by_id)
        skipped = 0 if had is None else _count_before(both, (*had[:-1], had[-1] + 1), by_id=by_id)
        held = both.slice(ready) if ready < len(both) else None
        for start in range(skipped, ready, rows):
            yield both.slice(start, min(rows, ready - start))


def _pieces(folder: Path, file: File, *, by_id: bool) -> list[_Piece]:
    if file.by_id == by_id:
        places = [(_place(group.first, by_id=by_id), _place(group.last, by_id=by_id)) for group in file.groups]
        return [_Piece(file, number, first, last) for number, (first, last) in enumerate(places)]
    with disk_errors(f"folder {folder}"):
        table = in_tape_order(load(folder, file, ["trade_id", "ts_event"]), by_id=by_id)
    ends = [(table["ts_event"][row].as_py(), table["trade_id"][row].as_py()) for row in (0, len(table) - 1)]
    return [_Piece(file, None, _place(ends[0], by_id=by_id), _place(ends[1], by_id=by_id))]


def _place(key: tuple[int, int], *, by_id: bool) -> Place:
    return key[1:] if by_id else key


def _read_ahead(folder: Path, pieces: Sequence[_Piece], *, by_id: bool) -> Iterator[pa.Table]:
    """Yield the pieces' tables, reading the next ones in threads."""
    with ThreadPoolExecutor(_READERS, "tapeline-parquet") as pool:
        waiting: deque[Future[pa.Table]] = deque()
        try:
            for piece in pieces:
                waiting.append(pool.submit(_read, folder, piece, by_id=by_id))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read(folder: Path, piece: _Piece, *, by_id: bool) -> pa.Table:
    with disk_errors(f"folder {folder}"):
        if piece.group is None:
            return in_tape_order(load(folder, piece.file), by_id=by_id)
        with pq.ParquetFile(folder / piece.file.path) as opened:
            return read_group(_TRADES, opened, piece.group)


def _count_before(table: pa.Table, bound: Place, *, by_id: bool) -> int:
    """Return how many rows of a table in order lie before ``bound``."""
    ids = table["trade_id"].to_numpy()
    if by_id:
        return int(np.searchsorted(ids, bound[0]))
    stamps = table["ts_event"].to_numpy()
    first, end = (int(np.searchsorted(stamps, bound[0], side=side)) for side in ("left", "right"))
    return first + int(np.searchsorted(ids[first:end], bound[1]))
