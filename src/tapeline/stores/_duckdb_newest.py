"""Which rows can be told to be new without a look into the database: they come after all of their series."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from tapeline.stores._conform import SCANNED, conform, kind_named, one_per_key
from tapeline.stores._duckdb_keys import Hashed, Keys, Spans, distinct
from tapeline.stores.base import KINDS
from tapeline.types import Frame


class Newest:
    """Judge rows by what is remembered of how far each series has come; those that are new count as stored then.

    Args:
        keys: of the kinds that are found by a number that grows.
        hashed: of those whose key is a hash.
    """

    def __init__(self, keys: Keys, hashed: Hashed) -> None:
        self._keys = keys
        self._hashed = hashed

    def look_ahead(self) -> None:
        """Look up how far every series has come, so that nothing here looks later."""
        for name, kind in KINDS.items():
            if name in SCANNED:
                self._keys.reach(name, (), 0)
            elif kind.hashed:
                self._hashed.advance(kind, kind.schema.empty_table())

    def rows(self, kind: str, rows: pa.Table) -> pa.Table | None:
        """Return rows as `DuckDBStore.write` takes them, one for each key, if all are new; None if some may not be."""
        known = kind_named(kind)
        given = conform(known, rows)
        if not len(given):
            return given
        if kind in SCANNED:
            fresh, spans = distinct(known, given, last=False)
            if self._keys.reach_back(known, spans):
                return None
            self._keys.advance(known, spans)
            return fresh
        if known.hashed and self._hashed.advance(known, given):
            return one_per_key(known, given, last=False)
        return None

    def frames(self, frames: Sequence[Frame]) -> bool:
        """Say whether trades (no frame is empty) are all new; False if some may not be."""
        for frame in frames:
            ids = frame.trade_id
            spans: Spans = [((frame.instrument,), int(ids[0]), int(ids[-1]))]
            if (len(ids) > 1 and not (ids[1:] > ids[:-1]).all()) or self._keys.reach_back(KINDS["trades"], spans):
                return False
            self._keys.advance(KINDS["trades"], spans)
        return True
