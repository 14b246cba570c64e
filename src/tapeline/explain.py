"""Explaining predictions: each can be recomputed from the tape to the bit, and says what it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np

from tapeline.answering import CANNOT_BE_HAD
from tapeline.clock import format_time
from tapeline.compare import Finding, same_bits
from tapeline.config import Settings
from tapeline.errors import NotEnoughData, UnknownName
from tapeline.features import FeatureRows
from tapeline.learning.artifact import model_name
from tapeline.model_rows import model_rows
from tapeline.serving import Champion
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import Prediction


def recompute(
    store: Store, settings: Settings, instrument: str | None = None
) -> Iterator[tuple[list[Finding], int, str]]:
    """Recompute stored predictions from the tape; yield per model the differences, how many, and what is missing."""
    stored = rows.to_predictions(store.read("predictions", instrument=instrument))

    def task(prediction: Prediction) -> tuple[str, str, int, str, str]:
        return (
            prediction.instrument,
            prediction.timeframe,
            prediction.horizon,
            prediction.model_version,
            prediction.model,
        )

    for _, group in groupby(sorted(stored, key=task), task):
        yield _recomputed(store, settings, list(group))


def _recomputed(store: Store, settings: Settings, stored: list[Prediction]) -> tuple[list[Finding], int, str]:
    first = stored[0]
    name = model_name(first.instrument, first.timeframe, first.horizon)
    try:
        champion = Champion.of(store, name, first.model_version)
        data = model_rows(store, settings, first.instrument, first.timeframe, champion.features)
    except CANNOT_BE_HAD as error:
        return [], 0, f"{len(stored)} predictions of {name}@{first.model_version}: {error}"
    said = {one.as_of: one for one in champion.predict(first.instrument, data.rows, data.candles["close"])}
    findings = [finding for one in stored for finding in _differences(one, said.get(one.as_of))]
    return findings, len(stored), ""


def _differences(stored: Prediction, again: Prediction | None) -> Iterator[Finding]:
    if again is None:
        yield Finding("predictions", stored.id, "row", "a prediction", None)
        return
    theirs = asdict(again)
    for name, value in asdict(stored).items():
        if name == "made_at":
            continue
        other = theirs[name]
        same = bool(same_bits(np.array([value]), np.array([other]))[0]) if isinstance(value, float) else value == other
        if not same:
            yield Finding("predictions", stored.id, name, value, other)


def explain(store: Store, settings: Settings, prediction_id: str) -> dict[str, Any]:
    """Recompute one stored prediction from the tape, and say what the model saw and why it said it.

    Raises:
        UnknownName: no prediction has that id (or a unique beginning of it), or its model is gone.
    """
    stored = _by_id(store, prediction_id)
    name = model_name(stored.instrument, stored.timeframe, stored.horizon)
    champion = Champion.of(store, name, stored.model_version)
    data = model_rows(store, settings, stored.instrument, stored.timeframe, champion.features)
    place = np.flatnonzero(data.rows.as_of == stored.as_of)
    if not len(place):
        raise NotEnoughData(
            f"prediction {stored.id}",
            "has no candle on the tape any more",
            expected=format_time(stored.as_of),
            was="none",
        )
    row = int(place[0])
    seen = slice(max(0, row + 1 - champion.predictor.window), row + 1)
    said = champion.predict(stored.instrument, _part(data.rows, seen), data.candles["close"][seen])
    differences = list(_differences(stored, said[-1] if said and said[-1].as_of == stored.as_of else None))
    return {
        "prediction": asdict(stored),
        "matches": not differences,
        "differences": [asdict(finding) for finding in differences],
        "candle": {key: data.candles[key][row].item() for key in data.candles.dtype.names or ()},
        "features": dict(zip(data.features.names, data.rows.values[row].tolist(), strict=True)),
        "explanation": champion.predictor.explain(data.inputs[seen], as_of=data.rows.as_of[seen]),
    }


def _part(made: FeatureRows, rows_seen: slice) -> FeatureRows:
    return FeatureRows(made.as_of[rows_seen], made.values[rows_seen], made.complete[rows_seen])


def _by_id(store: Store, prediction_id: str) -> Prediction:
    found = rows.to_predictions(store.read("predictions", id=prediction_id))
    if not found and len(prediction_id) >= 6:
        ids = [one for one in store.read("predictions").column("id").to_pylist() if one.startswith(prediction_id)]
        found = rows.to_predictions(store.read("predictions", id=ids[0])) if len(ids) == 1 else []
    if not found:
        step = "list them with: tapeline predict INSTRUMENT"
        raise UnknownName(
            f"prediction {prediction_id}", "is not stored", expected="an id", was=prediction_id, next_step=step
        )
    return found[0]
