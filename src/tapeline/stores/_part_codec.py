"""Parts and tables as bytes, for the commit log: an instrument (tables have none) and columns of fixed types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa

from tapeline.features import FeatureRows
from tapeline.stores.base import KINDS
from tapeline.stores.parts import CandlePart, FeaturePart, Part, PredictionPart
from tapeline.stores.rows import from_parts
from tapeline.types import CANDLE, Frame, Prediction

_DTYPES = [column.dtype for column in Frame.empty("").columns()]
_ALL = "*"
"""Stands for any instruments, where a part names them itself."""
_predictions = msgspec.msgpack.Decoder(list[Prediction])


def packed(rows: pa.Table | Part) -> tuple[str, Sequence[bytes | memoryview]]:
    """Return the instrument of a part and its columns, or nothing and the batches of a table."""
    if isinstance(rows, pa.Table):
        return "", [memoryview(batch.serialize()) for batch in rows.to_batches()]
    if isinstance(rows, Frame):
        return rows.instrument, [column.tobytes() for column in rows.columns()]
    if isinstance(rows, CandlePart):
        return rows.instrument, [rows.timeframe.encode(), rows.candles.tobytes()]
    if isinstance(rows, FeaturePart):
        texts, made = (rows.timeframe, rows.feature_set, rows.version), rows.rows
        columns = (made.as_of, made.values, made.complete)
        return rows.instrument, [*(text.encode() for text in texts), *(column.tobytes() for column in columns)]
    return _ALL, [msgspec.msgpack.encode(rows.predictions)]


def unpacked(kind: str, instrument: str, parts: Sequence[bytes]) -> pa.Table:
    """Return the rows of which `packed` gave the bytes."""
    if instrument:
        return from_parts(kind, [_PARTS[kind](instrument, parts)])
    schema = KINDS[kind].schema
    return pa.Table.from_batches([pa.ipc.read_record_batch(pa.py_buffer(part), schema) for part in parts], schema)


def _frame(instrument: str, parts: Sequence[bytes]) -> Part:
    return Frame(instrument, *(np.frombuffer(part, dtype) for part, dtype in zip(parts, _DTYPES, strict=True)))


def _candles(instrument: str, parts: Sequence[bytes]) -> Part:
    timeframe, candles = parts
    return CandlePart(instrument, timeframe.decode(), np.frombuffer(candles, CANDLE))


def _features(instrument: str, parts: Sequence[bytes]) -> Part:
    timeframe, name, version, as_of, values, complete = parts
    instants = np.frombuffer(as_of, np.int64)
    rows = FeatureRows(instants, np.frombuffer(values).reshape(len(instants), -1), np.frombuffer(complete, np.bool_))
    return FeaturePart(instrument, timeframe.decode(), name.decode(), version.decode(), rows)


def _made(instrument: str, parts: Sequence[bytes]) -> Part:
    assert instrument == _ALL
    return PredictionPart(_predictions.decode(parts[0]))


_PARTS: Mapping[str, Callable[[str, Sequence[bytes]], Part]] = {
    "trades": _frame,
    "candles": _candles,
    "features": _features,
    "predictions": _made,
}
