"""What the tests of recordings share: reading a file whole, and small samples in the venues' own forms."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from tapeline.recordings.base import Recording, open_recording
from tapeline.stores.base import KINDS
from tapeline.types import DeadLetter, Frame

START_MS = 1_723_161_255_342


@dataclass
class Whole:
    """A recording read to its end."""

    recording: Recording
    frames: dict[str, Frame] = field(default_factory=dict)
    candles: dict[tuple[str, str], Any] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    read: int = 0
    position: int = 0

    @property
    def reasons(self) -> list[str]:
        return [letter.reason for letter in self.dead]

    @property
    def only(self) -> Frame:
        (frame,) = self.frames.values()
        return frame

    @property
    def rows(self) -> int:
        return sum(map(len, self.frames.values())) + sum(map(len, self.candles.values()))


def read(path: Path, *, skip: int = 0, rows: int = 1 << 20, **options: Any) -> Whole:
    """Open a recording and read it to its end."""
    whole = Whole(open_recording(path, **options))
    for chunk in whole.recording.chunks(skip, rows):
        for frame in chunk.frames:
            before = whole.frames.get(frame.instrument)
            whole.frames[frame.instrument] = Frame.concat([before, frame]) if before else frame
        for part in chunk.candles:
            key = part.instrument, part.timeframe
            whole.candles[key] = (
                np.concatenate([whole.candles[key], part.records]) if key in whole.candles else part.records
            )
        whole.dead += chunk.dead
        for name, count in chunk.ignored.items():
            whole.ignored[name] = whole.ignored.get(name, 0) + count
        whole.read += chunk.read
        whole.position = chunk.position
    return whole


def ws_line(number: int, *, stamp: bool = True) -> bytes:
    ms = START_MS + 10 * number
    data = {"e": "trade", "E": ms + 1, "s": "BTCUSDT", "t": 1000 + number, "p": "61837.63000000", "q": "0.02000000"}
    line = json.dumps({"stream": "btcusdt@trade", "data": {**data, "T": ms, "m": number % 2 == 0, "M": True}}).encode()
    return b"%d %s" % (ms * 1_000_000 + 5_087, line) if stamp else line


def ws(count: int) -> bytes:
    lines = [ws_line(number, stamp=True) for number in range(count)]
    return b"\n".join([*lines[:2], b'{"result":null,"id":1}', *lines[2:]]) + b"\n"


def trades_csv(count: int) -> bytes:
    rows = (
        b"%d,61837.63,0.02,1236.75,%d,%s,True" % (n, START_MS + n, b"True" if n % 2 else b"False") for n in range(count)
    )
    return b"\n".join(rows) + b"\n"


def klines_csv(count: int) -> bytes:
    start = 1_761_955_200_000
    rows = (
        b"%d,2.0,2.5,1.5,2.1,100,%d,205.0,7,40,82.0,0" % (start + n * 60_000, start + n * 60_000 + 59_999)
        for n in range(count)
    )
    return b"\n".join(rows) + b"\n"


def kraken_body(count: int) -> bytes:
    rows = ",".join(
        f'["105433.60000","0.00027625",{1762795433 + n}.9717445,"b","l","",{100 + n}]' for n in range(count)
    )
    return f'{{"error":[],"result":{{"XXBTZUSD":[{rows}],"last":"1762820035982277754"}}}}'.encode()


def ccxt(count: int) -> bytes:
    trades = [
        {
            "info": {"a": n, "p": "0.00141342", "q": "23.0", "f": 2 * n, "l": 2 * n + 1, "T": START_MS + n, "m": True},
            "timestamp": START_MS + n,
            "symbol": "XRP/ETH",
            "id": str(n),
            "side": "sell",
            "price": 0.00141342,
            "amount": 23.0,
        }
        for n in range(count)
    ]
    return json.dumps(trades).encode()


def table_csv(count: int, *, ids: bool = True) -> bytes:
    head = b"time,price,size,side" + (b",id" if ids else b"")
    rows = (b"2024-01-01T00:00:%02d.5Z,1.5,2,buy%s" % (n % 60, b",%d" % n if ids else b"") for n in range(count))
    return b"\n".join([head, *rows]) + b"\n"


def arrow_table(count: int) -> pa.Table:
    stamps = pa.array(START_MS + np.arange(count))
    return pa.table({"ts": stamps, "price": [1.5] * count, "size": [2.0] * count, "id": [str(n) for n in range(count)]})


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def feather_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    feather.write_feather(table, sink)
    return sink.getvalue()


def export(count: int, instruments: tuple[str, ...] = ("BTC-USD.SIM",)) -> bytes:
    stamps = (START_MS + np.arange(count)) * 1_000_000
    columns = [
        pa.array([instruments[n % len(instruments)] for n in range(count)], pa.string()),
        pa.array(np.arange(count)),
        pa.array(stamps),
        pa.array(stamps + 5),
        pa.array(np.full(count, 1.5)),
        pa.array(np.full(count, 2.0)),
        pa.array(np.full(count, -1, np.int8)),
        pa.array(np.full(count, 3, np.int32)),
    ]
    return parquet(pa.Table.from_arrays(columns, schema=KINDS["trades"].schema.with_metadata({"tapeline": "1"})))


def lean_ticks(count: int, name: str = "20131008_spy_Trade_Tick.csv") -> bytes:
    return zipped({name: b"".join(b"%d,1674200,210,Q,2000,0\r\n" % (14_417_034 + n // 2) for n in range(count))})


def zipped(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return sink.getvalue()


def samples(count: int = 20) -> dict[str, bytes]:
    """Return a small file of every format, by a name that says its instrument."""
    return {
        "spot_btcusdt.log": ws(count),
        "BTCUSDT-trades-2024-08.csv": trades_csv(count),
        "BTCUSDT-1m-2025-11.csv": klines_csv(count),
        "kraken.json": kraken_body(count),
        "ccxt.json": ccxt(count),
        "binance-BTCUSDT.csv": table_csv(count),
        "binance-BTCUSDT-rows.csv": table_csv(count, ids=False),
        "binance-BTCUSDT.parquet": parquet(arrow_table(count)),
        "binance-BTCUSDT.feather": feather_bytes(arrow_table(count)),
        "export.parquet": export(count),
        "spy.zip": lean_ticks(count),
        "spot_btcusdt.gz": gzip.compress(ws(count)),
    }
