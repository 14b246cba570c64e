"""Where the tape of an instrument ends, and what is awaited before: what a connection goes on from."""

from __future__ import annotations

import numpy as np

from tapeline.ingest.base import Missing, Standing
from tapeline.lane import Lane
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import Frame, Int


def standing_of(store: Store, lane: Lane) -> Standing:
    """Return where a lane stands.

    Where ids are contiguous the newest trade is that of the largest id, pending or not; otherwise that of the largest
    (ts_event, trade_id).
    """
    name, ledger = lane.tape.instrument, lane.pipeline.ledger
    if ledger.moment is None:
        return Standing(name, None, None)
    if not lane.tape.contiguous:
        at = ledger.moment
        newest = store.read("trades", instrument=name, start=at, end=at + 1, limit=1)["trade_id"].to_pylist()
        return Standing(name, newest[0] if newest else None, at)
    spans = ledger.seen.spans()
    if not spans:
        return Standing(name, None, None)
    awaited = ledger.awaited()
    ids = np.array([spans[-1][1], *(side for a, b in awaited for side in (a - 1, b + 1))], np.int64)
    times = _times(store, name, ids)
    missing = tuple(Missing(name, a, b, times[a - 1], times[b + 1]) for a, b in awaited)
    return Standing(name, spans[-1][1], times[spans[-1][1]], missing)


def _times(store: Store, name: str, ids: Int) -> dict[int, int]:
    """Return the ts_event of stored trades by id."""
    zeros = np.zeros(len(ids))
    asked = Frame.of(name, trade_id=ids, ts_event=zeros, price=zeros, qty=zeros)
    found = store.seen(name, rows.from_frame(asked))
    return dict(zip(found["trade_id"].to_pylist(), found["ts_event"].to_pylist(), strict=True))
