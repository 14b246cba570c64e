"""The outbox: rows of one transaction, collected and written with one statement a kind.

A statement costs about as much as a thousand rows, so a commit that touches many instruments writes them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from tapeline.features import FeatureRows, FeatureSet
from tapeline.stores import rows
from tapeline.stores.base import Store, TakesFrames
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
        self._tables: dict[str, list[pa.Table]] = {}
        self._trades: list[Frame] = []
        self._candles: list[tuple[str, str, Records]] = []
        self._features: list[tuple[str, str, str, str, FeatureRows]] = []
        self._predictions: list[Prediction] = []

    def add_trades(self, frame: Frame) -> None:
        """Add trades, behind those added before."""
        if len(frame):
            self._trades.append(frame)

    def add_candles(self, instrument: str, timeframe: str, candles: Records) -> None:
        """Add our own candles."""
        self._candles.append((instrument, timeframe, candles))

    def add_features(self, instrument: str, timeframe: str, features: FeatureSet, made: FeatureRows) -> None:
        """Add rows of a feature set."""
        self._features.append((instrument, timeframe, features.name, features.version, made))

    def add_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Add predictions."""
        self._predictions += predictions

    def add(self, kind: str, table: pa.Table) -> None:
        """Add rows of any other kind, behind those added before."""
        if len(table):
            self._tables.setdefault(kind, []).append(table)

    def flush(self) -> None:
        """Append what was collected, inside the caller's transaction."""
        if self._trades and isinstance(self._store, TakesFrames):
            self._store.append_frames(self._trades)
        elif self._trades:
            self._store.append("trades", rows.from_frames(self._trades))
        for kind, tables in self._tables.items():
            self._store.append(kind, rows.joined(tables))
        if self._candles:
            self._store.append("candles", rows.from_candle_parts(self._candles))
        if self._features:
            self._store.append("features", rows.from_feature_parts(self._features))
        if self._predictions:
            self._store.append("predictions", rows.from_predictions(self._predictions))
        self.clear()

    def clear(self) -> None:
        """Forget what was collected: it is written, or its transaction failed."""
        for waiting in (self._tables, self._trades, self._candles, self._features, self._predictions):
            waiting.clear()
