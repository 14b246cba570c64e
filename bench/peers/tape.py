"""The tape all of them read, made by the simulated market: in our Parquet store, and as a plain file for the peers.

The plain file has the same trades as plain numbers, encoded as it was measured to decode fastest; our store's files
have decimals, which pandas would read as Python objects.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.simulator.market import Market
from tapeline.stores.base import Store
from tapeline.stores.parquet import ParquetStore
from tapeline.stores.rows import from_dicts, from_frame

INSTRUMENT = "BTC-USD.SIM"
PLAIN = ("ts_event", "price", "qty", "side", "count")
_ROWS = 1 << 20


@dataclass(frozen=True, slots=True)
class Tape:
    """One tape of ``trades`` trades, twice: in a folder of our store and as a plain file."""

    trades: int
    store: Path
    plain: Path


def make(folder: Path, trades: int) -> Tape:
    """Write the tape, unless it is there already."""
    made = Tape(trades, folder / f"tape_{trades}", folder / f"tape_{trades}.parquet")
    if not (made.store.exists() and made.plain.exists()):
        scratch = folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        _write_plain(scratch / "plain", trades)
        store = ParquetStore(scratch / "store")
        fill(store, trades)
        store.compact()
        store.close()
        shutil.rmtree(made.store, ignore_errors=True)
        (scratch / "plain").replace(made.plain)
        (scratch / "store").replace(made.store)
        scratch.rmdir()
    return made


def fill(store: Store, trades: int) -> None:
    """Append the tape to a store."""
    entry = {"instrument": INSTRUMENT, "venue": "SIM", "id_kind": "trade", "contiguous": True, "first_seen": 0}
    store.append("instruments", from_dicts("instruments", entry))
    for frame in Market(1, instrument=INSTRUMENT).frames(trades=trades, rows=_ROWS):
        store.append("trades", from_frame(frame))


def _write_plain(file: Path, trades: int) -> None:
    tables = (
        pa.table({name: getattr(frame, name) for name in PLAIN})
        for frame in Market(1, instrument=INSTRUMENT).frames(trades=trades, rows=_ROWS)
    )
    first = next(tables)
    encoding = {"ts_event": "DELTA_BINARY_PACKED"}
    with pq.ParquetWriter(
        file, first.schema, compression="none", use_dictionary=list(PLAIN[1:]), column_encoding=encoding
    ) as out:
        for table in (first, *tables):
            out.write_table(table)
