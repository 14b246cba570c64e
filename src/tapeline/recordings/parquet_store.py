"""Files of a Parquet store, as ``tapeline export --out FOLDER`` writes them; only trades are a tape."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.errors import StoreError, UnreadableFile
from tapeline.recordings.base import Chunk, IdKind, RecordingFormat, Request
from tapeline.recordings.court import Court
from tapeline.recordings.instants import TimeRule
from tapeline.recordings.judge import Rows, judge_trades
from tapeline.recordings.source import Source
from tapeline.recordings.tables import Batch
from tapeline.stores.parquet import read_file
from tapeline.types import check_instrument

_NS = TimeRule(("ns",))


class ParquetStoreFile:
    """One open file: the trades of one instrument and one day."""

    def __init__(self, source: Source, request: Request) -> None:
        metadata = _metadata(source)
        kind = metadata.get(b"tapeline.kind", b"").decode()
        if kind != "trades":
            step = "import the folder's trades; the rest is computed from them"
            raise UnreadableFile(source.where, "holds no trades", expected="trades", was=kind, next_step=step)
        ids = metadata.get(b"tapeline.id_kind", b"trade").decode("ascii", "replace")
        self.id_kind: IdKind = "row" if ids == "row" else "aggregate" if ids == "aggregate" else "trade"
        self._path = source.path
        self._request = request
        self.guesses: dict[str, str] = {}

    def blocks(self, rows: int) -> Iterator[Batch]:
        """Yield the rows of the file in blocks."""
        first = 1
        try:
            for table in read_file(self._path):
                for at in range(0, table.num_rows, rows):
                    yield Batch(table.slice(at, rows), first + at)
                first += table.num_rows
        except StoreError as error:
            raise UnreadableFile(self._path.name, f"is damaged after row {first - 1}") from error

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return b""

    def convert(self, block: Batch) -> Chunk:
        """Judge a block."""
        table = block.table.combine_chunks()
        if not table.num_rows:
            return Chunk()
        column = {name: table[name].combine_chunks() for name in table.column_names}
        name = check_instrument(self._request.instrument or str(column["instrument"][0]))
        rows = Rows(
            price=column["price"],
            qty=column["qty"],
            time=column["ts_event"],
            rule=_NS,
            locate=lambda row: (block.first + row, str(_row(table, row)).encode()),
            trade_id=column["trade_id"],
            side=column["side"],
            received=column["ts_init"],
            received_rule=_NS,
            count=column["count"],
        )
        court = Court(self._path.name, name, self._request.max_time, self._request.now)
        frames, dead = judge_trades(rows, court, None)
        return Chunk(frames=frames, dead=dead, read=table.num_rows)


def _row(table: pa.Table, row: int) -> dict[str, object]:
    made: dict[str, object] = table.slice(row, 1).to_pylist()[0]
    return made


def _metadata(source: Source) -> dict[bytes, bytes]:
    """Return the metadata of a Parquet file, none where it cannot be read."""
    try:
        return dict(pq.read_schema(source.path).metadata or {}) if source.kind == "parquet" else {}
    except (pa.ArrowException, OSError, ValueError):
        return {}


def _recognise(source: Source) -> int:
    return 97 if b"tapeline.kind" in _metadata(source) else 0


RECORDING = RecordingFormat("parquet-store", "a file of Tapeline's Parquet store", _recognise, ParquetStoreFile)
