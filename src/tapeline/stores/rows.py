"""Between the arrays of the folds and the Arrow tables of the stores.

NaN, which stands for "unknown" inside folds, is null in tables; nothing else changes on the way.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from tapeline.features import FeatureRows
from tapeline.stores.base import KINDS
from tapeline.types import CANDLE, DeadLetter, Decision, DecisionKind, Float, Frame, Prediction, Records


def from_frame(frame: Frame, **more: str) -> pa.Table:
    """Return trades as a table of the kind ``trades``, or with ``reason`` of the kind ``late_trades``."""
    columns: dict[str, Any] = {
        "instrument": _same(frame.instrument, len(frame)),
        "trade_id": frame.trade_id,
        "ts_event": frame.ts_event,
        "ts_init": frame.ts_init,
        "price": frame.price,
        "qty": frame.qty,
        "side": frame.side,
        "count": frame.count,
        **{name: _same(text, len(frame)) for name, text in more.items()},
    }
    return pa.table(columns, schema=KINDS["late_trades" if more else "trades"].schema)


def to_frame(instrument: str, table: pa.Table) -> Frame:
    """Return a table of trades as a frame."""
    names = ("trade_id", "ts_event", "ts_init", "price", "qty", "side", "count")
    return Frame(instrument, *(_numpy(table, name) for name in names))


def from_candles(instrument: str, timeframe: str, candles: Records, *, source: str = "trades") -> pa.Table:
    """Return candles as a table; ``source`` is ``trades`` (our own) or ``imported``."""
    n = len(candles)
    columns: dict[str, Any] = {"instrument": _same(instrument, n), "timeframe": _same(timeframe, n)}
    for name in CANDLE.names or ():
        values = np.ascontiguousarray(candles[name])
        columns[name] = _nullable(values) if values.dtype.kind == "f" else pa.array(values)
    columns["source"] = _same(source, n)
    return pa.table(columns, schema=KINDS["candles"].schema)


def to_candles(table: pa.Table) -> Records:
    """Return a table of candles as `CANDLE` records."""
    candles = np.zeros(table.num_rows, CANDLE)
    for name in CANDLE.names or ():
        candles[name] = _numpy(table, name)
    return candles


def from_features(
    instrument: str, timeframe: str, feature_set: str, version: str, rows: FeatureRows, *, source: str = "trades"
) -> pa.Table:
    """Return feature rows as a table with the values of each row as one list."""
    n, width = rows.values.shape
    offsets = pa.array(np.arange(0, (n + 1) * width, width, dtype=np.int32) if width else np.zeros(n + 1, np.int32))
    return pa.table(
        {
            "instrument": _same(instrument, n),
            "timeframe": _same(timeframe, n),
            "feature_set": _same(feature_set, n),
            "version": _same(version, n),
            "source": _same(source, n),
            "as_of": rows.as_of,
            "complete": rows.complete,
            "values": pa.ListArray.from_arrays(offsets, _nullable(rows.values.reshape(-1))),
        },
        schema=KINDS["features"].schema,
    )


def to_features(table: pa.Table, width: int) -> FeatureRows:
    """Return a table of feature rows, ``width`` values each."""
    values = table.column("values").combine_chunks()
    flat = values.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    return FeatureRows(_numpy(table, "as_of"), flat.reshape(table.num_rows, width), _numpy(table, "complete"))


def from_predictions(predictions: Iterable[Prediction]) -> pa.Table:
    """Return predictions as a table; NaN becomes null."""
    rows = [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(row).items()}
        for row in predictions
    ]
    return pa.Table.from_pylist(rows, schema=KINDS["predictions"].schema)


def to_predictions(table: pa.Table) -> list[Prediction]:
    """Return a table of predictions as predictions; null becomes NaN."""
    reals = {field.name for field in table.schema if pa.types.is_floating(field.type)}
    unknown = dict.fromkeys(reals, math.nan)
    known = ({name: value for name, value in row.items() if value is not None} for row in table.to_pylist())
    return [Prediction(**(unknown | row)) for row in known]


def from_decisions(decisions: Sequence[Decision], *, first_seq: int) -> pa.Table:
    """Return decisions as a table, numbered from ``first_seq`` on."""
    rows = [
        {
            "instrument": decision.instrument,
            "seq": first_seq + index,
            "kind": decision.kind.value,
            "position": decision.position,
            "value": decision.value,
            "text": decision.text,
        }
        for index, decision in enumerate(decisions)
    ]
    return pa.Table.from_pylist(rows, schema=KINDS["decisions"].schema)


def to_decisions(table: pa.Table) -> list[Decision]:
    """Return a table of decisions as decisions, in the order of the table."""
    return [
        Decision(row["instrument"], DecisionKind(row["kind"]), row["position"], row["value"], row["text"])
        for row in table.to_pylist()
    ]


def from_dead_letters(letters: Iterable[DeadLetter]) -> pa.Table:
    """Return dead letters as a table; the same raw bytes with the same reason are one."""
    rows = [
        {
            "source": letter.source,
            "instrument": letter.instrument,
            "kind": letter.kind,
            "reason": letter.reason,
            "raw": letter.raw,
            "ts_init": letter.ts_init,
            "digest": hashlib.blake2b(letter.raw + letter.reason.encode(), digest_size=12).hexdigest(),
        }
        for letter in letters
    ]
    return pa.Table.from_pylist(rows, schema=KINDS["dead_letters"].schema)


def from_dicts(kind: str, *rows: dict[str, Any]) -> pa.Table:
    """Return rows given as dictionaries as a table of a kind."""
    return pa.Table.from_pylist(list(rows), schema=KINDS[kind].schema)


def _same(text: str, n: int) -> pa.Array:
    return pa.repeat(text, n)


def _nullable(values: Float) -> pa.Array:
    return pa.array(values, from_pandas=True)


def _numpy(table: pa.Table, name: str) -> np.ndarray[Any, Any]:
    column: np.ndarray[Any, Any] = table.column(name).to_numpy()
    return column
