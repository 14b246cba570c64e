"""What ``POST /predict/...`` is asked: the body, and the rows of a model's inputs that it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from tapeline.errors import UsageError
from tapeline.predict import Predictor
from tapeline.types import Float, Int, Timeframe

_MS = 1_000_000
Row = list[float]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Features of a symbol: in the order of the model's inputs, or by name; rows of them where it looks back.

    Without features it is what the champion said of the newest candle.
    """

    symbol: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    features: list[float] | dict[str, float] | None = None
    rows_before: list[Row] = []
    timestamp_ms: Annotated[int, msgspec.Meta(ge=0, le=9_223_372_036_854)] | None = None
    feature_version: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    timeframe: Annotated[str, msgspec.Meta(max_length=16)] | None = None
    horizon: Annotated[str, msgspec.Meta(max_length=16)] | None = None


_ASK = msgspec.json.Decoder(Ask)


def read(raw: bytes) -> Ask:
    """Read a body.

    Raises:
        UsageError: it is none.
    """
    try:
        return _ASK.decode(raw)
    except msgspec.MsgspecError as error:
        rule = "a JSON object with symbol and features"
        raise UsageError("body", f"cannot be read: {error}", expected=rule, was=raw[:60]) from error


def inputs_of(ask: Ask, predictor: Predictor, now: int) -> tuple[Float, Int]:
    """Return the rows that a model looks at (n x k) and their instants, the one asked about last.

    Raises:
        UsageError: they are not what the model learnt from; the text names number, names and version.
    """
    artifact = predictor.artifact
    where = f"model {artifact.name}"
    if ask.feature_version not in (None, artifact.feature_version):
        step = "give the features of that version"
        raise UsageError(
            where,
            "learnt from other features",
            expected=artifact.feature_version,
            was=ask.feature_version,
            next_step=step,
        )
    names = predictor.columns
    row = _named(where, ask.features, names) if isinstance(ask.features, dict) else ask.features or []
    rows = [*ask.rows_before, row]
    wrong = next((len(one) for one in rows if len(one) != len(names)), None)
    if wrong is not None:
        rule = f"{len(names)} of {artifact.feature_set} {artifact.feature_version}: {', '.join(names)}"
        raise UsageError(where, "has another number of features", expected=rule, was=wrong)
    if len(rows) < predictor.window:
        rule = f"{predictor.window - 1} rows_before it"
        raise UsageError(where, "looks back", expected=rule, was=len(ask.rows_before))
    last = now if ask.timestamp_ms is None else ask.timestamp_ms * _MS
    if len(rows) == 1:
        return np.array(rows, np.float64), np.array([last])
    back = Timeframe.parse(artifact.timeframe).step * np.arange(len(rows) - 1, -1, -1)
    return np.array(rows, np.float64), last - back


def _named(where: str, given: dict[str, float], names: Sequence[str]) -> Row:
    missing = [name for name in names if name not in given]
    unknown = [name for name in given if name not in names]
    if missing or unknown:
        was = f"missing {', '.join(missing) or 'none'}; unknown {', '.join(unknown) or 'none'}"
        raise UsageError(where, "has other features", expected=", ".join(names), was=was)
    return [given[name] for name in names]
