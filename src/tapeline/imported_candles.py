"""Candles that others made and a user imports: kept as such, beside those folded from trades, with features of them."""

from __future__ import annotations

import numpy as np

from tapeline.candles import chained
from tapeline.config import Settings
from tapeline.features import FeatureFold, FeatureSet
from tapeline.recordings.base import ImportedCandles
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import DeadLetter, Records


def keep_candles(store: Store, candles: ImportedCandles) -> tuple[int, int]:
    """Store candles made by others, marked as such; the first of a time stays, others with other content are told.

    Returns how many were new, and how many had other content.
    """
    records = candles.records
    stored = store.read(
        "candles",
        instrument=candles.instrument,
        start=int(records["open_time"].min()),
        end=int(records["open_time"].max()) + 1,
        timeframe=candles.timeframe,
        source="imported",
    )
    conflicts = _conflicts(records, rows.to_candles(stored))
    new = store.append("candles", rows.from_candles(candles.instrument, candles.timeframe, records, source="imported"))
    store.append("dead_letters", rows.from_dead_letters(_candle_letters(candles, conflicts)))
    return new, len(conflicts)


def fold_imported(store: Store, settings: Settings, instrument: str, timeframe: str) -> None:
    """Compute the stored feature sets from candles made by others, marked as such.

    A row is complete only where no candle is missing in the window behind it.
    """
    table = store.read("candles", instrument=instrument, timeframe=timeframe, source="imported")
    records = rows.to_candles(table)
    if not len(records):
        return
    with store.transaction():
        store.delete("features", instrument, timeframe=timeframe, source="imported")
        for name in settings.feature_sets:
            features = FeatureSet.load(name)
            values = FeatureFold(features).feed(chained(records))
            store.append(
                "features", rows.from_features(instrument, timeframe, name, features.version, values, source="imported")
            )


def _conflicts(records: Records, stored: Records) -> Records:
    """Return the candles whose open time is stored with other prices or volume."""
    if not len(stored):
        return records[:0]
    stored = stored[np.argsort(stored["open_time"])]
    place = np.minimum(np.searchsorted(stored["open_time"], records["open_time"]), len(stored) - 1)
    theirs = stored[place]
    differs = np.zeros(len(records), np.bool_)
    for name in ("open", "high", "low", "close", "volume"):
        differs |= records[name] != theirs[name]
    other: Records = records[differs & (theirs["open_time"] == records["open_time"])]
    return other


def _candle_letters(candles: ImportedCandles, conflicts: Records) -> list[DeadLetter]:
    reason = f"{candles.instrument} {candles.timeframe}: a candle of this time is stored with other content"
    return [
        DeadLetter(
            "candles", reason, repr(record.tolist()).encode(), int(record["close_time"]), candles.instrument, "conflict"
        )
        for record in conflicts
    ]
