"""Tapeline's own export: Parquet with the columns of the tape, and ``tapeline`` in its metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tapeline.errors import UnreadableFile
from tapeline.recordings.base import Chunk, IdKind, RecordingFormat, Request
from tapeline.recordings.court import Court
from tapeline.recordings.instants import TimeRule
from tapeline.recordings.judge import Rows, judge_trades
from tapeline.recordings.source import Source
from tapeline.recordings.tables import ArrowTable, Batch
from tapeline.recordings.values import one_chunk, to_numpy
from tapeline.stores.base import KINDS
from tapeline.types import check_instrument

KEY = b"tapeline"
ID_KIND = b"tapeline.id_kind"
_NS = TimeRule(("ns",))
_NAMES = KINDS["trades"].schema.names
_NUMBERS = [name for name in _NAMES if name != "instrument"]


class TapelineParquet:
    """One open file. ``id_kind`` is what the file's metadata say, otherwise that of the venue's trades."""

    def __init__(self, source: Source, request: Request) -> None:
        self._table = ArrowTable(source, words=["instrument"])
        missing = [name for name in _NAMES if name not in self._table.names]
        if missing:
            raise UnreadableFile(
                source.where, "is no export of the tape", expected="all its columns", was=f"no {missing[0]}"
            )
        self._given = None if request.instrument is None else check_instrument(request.instrument)
        self._court = Court(source.path.name, self._given or "", request.max_time, request.now)
        kind = ((self._table.schema.metadata or {}).get(ID_KIND) or b"trade").decode("ascii", "replace")
        self.id_kind: IdKind = "row" if kind == "row" else "aggregate" if kind == "aggregate" else "trade"
        self.guesses = {"instrument": f"{self._given} as given"} if self._given else {}

    def blocks(self, rows: int) -> Iterator[Batch]:
        """Yield the rows of the file in blocks."""
        return self._table.blocks(rows)

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return b""

    def convert(self, block: Batch) -> Chunk:
        """Judge a block."""
        part = self._table.read(block, _NUMBERS)
        names, codes = self._instruments(block)
        column = part.columns
        rows = Rows(
            price=column["price"],
            qty=column["qty"],
            time=column["ts_event"],
            rule=_NS,
            locate=part.locate,
            trade_id=column["trade_id"],
            side=column["side"],
            received=column["ts_init"],
            received_rule=_NS,
            count=column["count"],
            instruments=None if len(names) < 2 else np.array(names, np.object_)[to_numpy(codes)],
        )
        court = replace(self._court, instrument=names[0]) if names else self._court
        frames, dead = judge_trades(rows, court, None)
        return Chunk(frames=frames, dead=dead, read=part.rows)

    def _instruments(self, block: Batch) -> tuple[list[str], pa.Array]:
        """Return the names of the block's instruments, and which each row has."""
        if self._given is not None:
            return [self._given], None
        column = block.table["instrument"].combine_chunks()
        codes = one_chunk(column) if isinstance(column, pa.ChunkedArray) else column
        if not pa.types.is_dictionary(codes.type):
            codes = codes.cast(pa.string()).dictionary_encode()
        names = [check_instrument(str(name)) for name in codes.dictionary.to_pylist()]
        used = pc.unique(codes.indices).to_pylist()
        return ([names[used[0]]] if len(used) == 1 and used[0] is not None else names), codes.indices


def _recognise(source: Source) -> int:
    if source.kind != "parquet":
        return 0
    try:
        metadata = pq.read_schema(source.path).metadata or {}
    except (pa.ArrowException, OSError, ValueError):
        return 0
    return 95 if KEY in metadata else 0


def _open(source: Source, request: Request) -> TapelineParquet:
    if source.kind != "parquet":
        raise UnreadableFile(source.where, "is not Parquet", expected="Tapeline's own export", was=source.kind)
    return TapelineParquet(source, request)


RECORDING = RecordingFormat("tapeline-parquet", "Tapeline's own export", _recognise, _open)
