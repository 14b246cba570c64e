"""Between the arrays of the folds and the Arrow tables of the stores.

NaN, which stands for "unknown" inside folds, is null in tables; nothing else changes on the way.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from tapeline.features import FeatureRows
from tapeline.stores.base import KINDS
from tapeline.stores.parts import OURS, CandlePart, FeaturePart, PredictionPart
from tapeline.types import CANDLE, Answer, DeadLetter, Decision, DecisionKind, Float, Frame, Prediction, Records


def from_frame(frame: Frame, **more: str) -> pa.Table:
    """Return trades as a table of the kind ``trades``, or with ``reason`` of the kind ``late_trades``."""
    schema = KINDS["late_trades" if more else "trades"].schema
    texts = [_same(text, len(frame)) for text in more.values()]
    return pa.Table.from_arrays([_same(frame.instrument, len(frame)), *frame.columns(), *texts], schema=schema)


def _from_frames(frames: Sequence[Frame]) -> pa.Table:
    if len(frames) == 1:
        return from_frame(frames[0])
    names = _each([frame.instrument for frame in frames], [len(frame) for frame in frames])
    columns = (np.concatenate(parts) for parts in zip(*(frame.columns() for frame in frames), strict=True))
    return pa.Table.from_arrays([names, *columns], schema=KINDS["trades"].schema)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables of one kind (at least one) as one."""
    return pa.concat_tables(tables).combine_chunks() if len(tables) > 1 else tables[0]


def to_frame(instrument: str, table: pa.Table) -> Frame:
    """Return a table of trades as a frame."""
    names = ("trade_id", "ts_event", "ts_init", "price", "qty", "side", "count")
    return Frame(instrument, *(_numpy(table, name) for name in names))


def from_parts(kind: str, parts: Sequence[Any]) -> pa.Table:
    """Return parts (at least one), all of the kind's own type, as one table."""
    table: pa.Table = _FROM_PARTS[kind](parts)
    return table


def from_candles(instrument: str, timeframe: str, candles: Records, *, source: str = OURS) -> pa.Table:
    """Return candles as a table; ``source`` is ``trades`` (our own) or ``imported``."""
    return _from_candle_parts([CandlePart(instrument, timeframe, candles)], source=source)


def _from_candle_parts(parts: Sequence[CandlePart], *, source: str = OURS) -> pa.Table:
    lengths = [len(part) for part in parts]
    columns = [_each([part.instrument for part in parts], lengths), _each([part.timeframe for part in parts], lengths)]
    for name in CANDLE.names or ():
        values = np.concatenate([part.candles[name] for part in parts])
        columns.append(_nullable(values) if values.dtype.kind == "f" else pa.array(values))
    return pa.Table.from_arrays([*columns, _same(source, sum(lengths))], schema=KINDS["candles"].schema)


def to_candles(table: pa.Table) -> Records:
    """Return a table of candles as `CANDLE` records."""
    candles = np.zeros(table.num_rows, CANDLE)
    for name in CANDLE.names or ():
        candles[name] = _numpy(table, name)
    return candles


def from_features(
    instrument: str, timeframe: str, feature_set: str, version: str, rows: FeatureRows, *, source: str = OURS
) -> pa.Table:
    """Return feature rows as a table with the values of each row as one list."""
    return _from_feature_parts([FeaturePart(instrument, timeframe, feature_set, version, rows)], source=source)


def _from_feature_parts(parts: Sequence[FeaturePart], *, source: str = OURS) -> pa.Table:
    texts = zip(*((one.instrument, one.timeframe, one.feature_set, one.version) for one in parts), strict=True)
    made, lengths = [one.rows for one in parts], [len(one) for one in parts]
    widths = np.repeat([rows.values.shape[1] for rows in made], lengths)
    values = _nullable(np.concatenate([rows.values.reshape(-1) for rows in made]))
    offsets = pa.array(np.concatenate(([0], np.cumsum(widths))).astype(np.int32))
    columns = [
        *(_each(names, lengths) for names in texts),
        _same(source, sum(lengths)),
        np.concatenate([rows.as_of for rows in made]),
        np.concatenate([rows.complete for rows in made]),
        pa.ListArray.from_arrays(offsets, values),
    ]
    return pa.Table.from_arrays(columns, schema=KINDS["features"].schema)


def to_features(table: pa.Table, width: int) -> FeatureRows:
    """Return a table of feature rows, ``width`` values each."""
    values = table.column("values").combine_chunks()
    flat = values.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    return FeatureRows(_numpy(table, "as_of"), flat.reshape(table.num_rows, width), _numpy(table, "complete"))


def from_predictions(predictions: Iterable[Prediction]) -> pa.Table:
    """Return predictions as a table; NaN becomes null."""
    made, schema = list(predictions), KINDS["predictions"].schema
    columns = [pa.array([getattr(one, field.name) for one in made], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _from_prediction_parts(parts: Sequence[PredictionPart]) -> pa.Table:
    return from_predictions(one for part in parts for one in part.predictions)


def to_predictions(table: pa.Table) -> list[Prediction]:
    """Return a table of predictions as predictions; null becomes NaN."""
    reals = {field.name for field in table.schema if pa.types.is_floating(field.type)}
    unknown = dict.fromkeys(reals, math.nan)
    known = ({name: value for name, value in row.items() if value is not None} for row in table.to_pylist())
    return [Prediction(**(unknown | row)) for row in known]


def from_answers(answers: Iterable[Answer]) -> pa.Table:
    """Return answers of other targets as a table."""
    return pa.Table.from_pylist([asdict(row) for row in answers], schema=KINDS["answers"].schema)


def to_answers(table: pa.Table) -> list[Answer]:
    """Return a table of answers as answers."""
    return [Answer(**(row | {"said": tuple(row["said"])})) for row in table.to_pylist()]


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


def _each(texts: Sequence[str], lengths: Sequence[int]) -> pa.Array:
    """Return each text as often as its length says, one after the other."""
    raw = [text.encode() for text in texts]
    ends = np.cumsum(np.repeat([0, *map(len, raw)], [1, *lengths]))
    data = b"".join(text * length for text, length in zip(raw, lengths, strict=True))
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(data))


def _same(text: str, n: int) -> pa.Array:
    return pa.repeat(text, n)


def _nullable(values: Float) -> pa.Array:
    return pa.array(values, from_pandas=True)


def _numpy(table: pa.Table, name: str) -> np.ndarray[Any, Any]:
    column: np.ndarray[Any, Any] = table.column(name).to_numpy()
    return column


_FROM_PARTS: Mapping[str, Callable[[Any], pa.Table]] = {
    "trades": _from_frames,
    "candles": _from_candle_parts,
    "features": _from_feature_parts,
    "predictions": _from_prediction_parts,
}
