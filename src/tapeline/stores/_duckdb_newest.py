"""Which rows can be told to be new without a look into the database: they come after all of their series."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from tapeline.stores._conform import SCANNED, conform, kind_named, one_per_key
from tapeline.stores._duckdb_keys import Hashed, Keys, Spans, distinct, instants
from tapeline.stores.base import KINDS, Kind
from tapeline.stores.parts import Part, PredictionPart, series_of


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
                self._hashed.advance(kind, ())

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
        if known.hashed and self._hashed.advance(known, instants(known, given)):
            return one_per_key(known, given, last=False)
        return None

    def parts(self, kind: str, parts: Sequence[Part]) -> bool:
        """Say whether the rows of parts (none is empty) are all new; False if some may not be."""
        return all(self._advance(KINDS[kind], part) for part in parts)

    def _advance(self, kind: Kind, part: Part) -> bool:
        if isinstance(part, PredictionPart):
            return self._hashed.advance(kind, [(one.instrument, one.as_of) for one in part.predictions])
        series, numbers = series_of(part)
        spans: Spans = [(series, int(numbers[0]), int(numbers[-1]))]
        if (len(numbers) > 1 and not (numbers[1:] > numbers[:-1]).all()) or self._keys.reach_back(kind, spans):
            return False
        self._keys.advance(kind, spans)
        return True
