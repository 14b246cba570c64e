"""The tape all of them read: trades of the simulated market, as Parquet in the order of the tape."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.simulator.market import Market
from tapeline.stores.base import KINDS
from tapeline.types import Frame

INSTRUMENT = "BTC-USD.SIM"
_ENCODINGS = {"trade_id": "DELTA_BINARY_PACKED", "ts_event": "DELTA_BINARY_PACKED", "ts_init": "DELTA_BINARY_PACKED"}


def make(folder: Path, trades: int) -> list[Path]:
    """Write the tape, unless it is there already, and return its files."""
    file = folder / f"tape_{trades}.parquet"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(".tmp")
        with pq.ParquetWriter(scratch, KINDS["trades"].schema, **_style()) as writer:
            for frame in Market(1).frames(trades=trades, rows=1 << 20):
                writer.write_table(to_table(frame))
        scratch.replace(file)
    return [file]


def _style() -> dict[str, object]:
    dictionary = ["instrument", "price", "side", "count"]
    return {"compression": "zstd", "use_dictionary": dictionary, "column_encoding": _ENCODINGS}


def to_table(frame: Frame) -> pa.Table:
    """Return a frame as rows of the kind ``trades``."""
    names = pa.DictionaryArray.from_arrays(pa.array([0] * len(frame), pa.int8()), [frame.instrument])
    columns = [names.cast(pa.string()), *(pa.array(column) for column in frame.columns())]
    return pa.Table.from_arrays(columns, schema=KINDS["trades"].schema)
