"""How far a walk through a venue's past came, where what is stored cannot tell: a row beside the imports."""

from __future__ import annotations

import hashlib

from tapeline.exchanges.base import Span
from tapeline.ingest.base import Place
from tapeline.stores import rows
from tapeline.stores.base import KINDS, Store


class Note:
    """How far the walk through an instrument's past from ``start`` (ns UTC) on came.

    ``timeframe`` is that of candles made by the venue, empty for trades.
    """

    def __init__(self, place: Place, instrument: str, start: int, timeframe: str = "") -> None:
        text = "|".join(("backfill", instrument, str(start), *filter(None, [timeframe])))
        self._row = dict.fromkeys(KINDS["imports"].schema.names, 0) | {
            "file": hashlib.blake2b(text.encode(), digest_size=12).hexdigest(),
            "path": " ".join((place.venue.lower(), place.feed.name, *filter(None, [timeframe]))),
            "format": "backfill",
            "instrument": instrument,
            "first": start,
        }
        self._start = start

    def spans(self, store: Store, end: int) -> list[Span]:
        """Return what is left of [start, end)."""
        found = store.read("imports", file=str(self._row["file"])).to_pylist()
        start = max((row["position"] for row in found), default=self._start)
        return [Span(start, end)] if start < end else []

    def write(self, store: Store, position: int) -> None:
        """Note that everything before an instant was delivered."""
        row = self._row | {"position": position, "last": position, "done": True}
        store.upsert("imports", rows.from_dicts("imports", row))
