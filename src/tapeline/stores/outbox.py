"""The outbox: rows of one transaction, collected and written with one statement a kind.

A statement costs about as much as a thousand rows, so a commit that touches many instruments writes them together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa

from tapeline.features import FeatureRows, FeatureSet
from tapeline.stores import rows
from tapeline.stores.base import Store, TakesParts
from tapeline.stores.parts import CandlePart, FeaturePart, Part, PredictionPart
from tapeline.types import Frame, Prediction, Records


class Outbox:
    """Collect rows to append; nothing of them is stored, or seen by a reader, before `flush`.

    >>> from tapeline.stores.memory import MemoryStore
    >>> store = MemoryStore(); outbox = Outbox(store)
    >>> gap = {"instrument": ["A-B.SIM"], "first_missing": [3], "last_missing": [4], "status": ["open"]}
    >>> outbox.add("gaps", pa.table(gap)); outbox.flush(); len(store.read("gaps"))
    1
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._takes_parts = store if isinstance(store, TakesParts) else None
        self._tables: defaultdict[str, list[pa.Table]] = defaultdict(list)
        self._parts: defaultdict[str, list[Part]] = defaultdict(list)
        self._predictions: list[Prediction] = []

    def add_trades(self, frame: Frame) -> None:
        """Add trades, behind those added before."""
        if len(frame):
            self._parts["trades"].append(frame)

    def add_candles(self, instrument: str, timeframe: str, candles: Records) -> None:
        """Add our own candles (at least one)."""
        self._parts["candles"].append(CandlePart(instrument, timeframe, candles))

    def add_features(self, instrument: str, timeframe: str, features: FeatureSet, made: FeatureRows) -> None:
        """Add rows (at least one) of a feature set."""
        self._parts["features"].append(FeaturePart(instrument, timeframe, features.name, features.version, made))

    def add_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Add predictions."""
        self._predictions += predictions

    def add(self, kind: str, table: pa.Table) -> None:
        """Add rows of any other kind, behind those added before."""
        if len(table):
            self._tables[kind].append(table)

    def flush(self) -> None:
        """Append what was collected, inside the caller's transaction."""
        if self._predictions:
            self._parts["predictions"].append(PredictionPart(self._predictions))
        for kind, parts in self._parts.items():
            if self._takes_parts:
                self._takes_parts.append_parts(kind, parts)
            else:
                self._store.append(kind, rows.from_parts(kind, parts))
        for kind, tables in self._tables.items():
            self._store.append(kind, rows.joined(tables))
        self.clear()

    def clear(self) -> None:
        """Forget what was collected: it is written, or its transaction failed."""
        self._tables.clear()
        self._parts.clear()
        self._predictions = []
