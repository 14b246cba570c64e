"""How the missing ids of an instrument are written: as gaps that are open, healed or unhealable.

A bad line leaves a hundred thousand healed gaps in ten minutes, so that a commit looks at those alone that it changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapeline.intervals import overlaps, without
from tapeline.lane import Lane, Span
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import GapStatus, Int

NEWEST = 100
"""So many healed gaps of an instrument are told after a commit."""

Gaps = dict[Span, GapStatus]


def write_gaps(store: Store, lane: Lane, *, healing: bool) -> list[dict[str, Any]] | None:
    """Bring the stored gaps of a lane up to date, inside the caller's transaction; None if nothing changed.

    One that was given up, or that trades asked for have filled (``healing``), is healed; others just vanish.

    Returns:
        the rows that are stored now, in order, of the healed ones the `NEWEST`.
    """
    spans = lane.pipeline.ledger.holes()
    void = set(overlaps(spans, sorted(lane.unhealable))) if lane.unhealable else ()
    holes = {span: GapStatus.UNHEALABLE if span in void else GapStatus.OPEN for span in spans}
    if holes == lane.gaps:
        return None
    filled = list(without(list(lane.gaps), spans))
    healed = filled if healing else list(overlaps(filled, lane.given_up))
    stored, before = lane.gaps, lane.healed.to_array()
    lane.healed.add_spans(healed)
    lane.gaps = holes
    _replace(store, lane, stored, before, healed)
    return _rows(lane, _with_healed(lane, lane.healed.newest(NEWEST)))


def _replace(store: Store, lane: Lane, stored: Gaps, before: Int, healed: Sequence[Span]) -> None:
    """Write what differs from the gaps that are stored; a row has the first missing id as its key."""
    name, holes = lane.tape.instrument, lane.gaps
    whole = lane.healed.holding([first for first, _ in healed])
    changed: Gaps = dict.fromkeys(whole, GapStatus.HEALED)
    changed |= {span: status for span, status in holes.items() if stored.get(span) is not status}
    kept = {first for first, _ in holes} | {first for first, _ in whole}
    left = {status for (first, _), status in stored.items() if first not in kept}
    if _have_joined(before, whole) or GapStatus.UNHEALABLE in left:
        store.delete("gaps", name)
        changed = _with_healed(lane, lane.healed.spans())
    elif left:
        store.delete("gaps", name, status=GapStatus.OPEN.value)
        changed |= {span: status for span, status in holes.items() if status is GapStatus.OPEN}
    store.upsert("gaps", rows.from_dicts("gaps", *_rows(lane, changed)))


def _have_joined(before: Int, whole: Sequence[Span]) -> bool:
    """Return whether a gap that was healed is now part of one that begins earlier."""
    begins = before[:, 0]
    return any(np.searchsorted(begins, first + 1) < np.searchsorted(begins, last + 1) for first, last in whole)


def _with_healed(lane: Lane, healed: Sequence[Span]) -> Gaps:
    """Return healed gaps (what was healed in pieces is one) and all others of a lane, in order."""
    return dict(sorted([*dict.fromkeys(healed, GapStatus.HEALED).items(), *lane.gaps.items()]))


def _rows(lane: Lane, gaps: Mapping[Span, GapStatus]) -> list[dict[str, Any]]:
    names = ("instrument", "first_missing", "last_missing", "status")
    return [dict(zip(names, (lane.tape.instrument, *span, status.value), strict=True)) for span, status in gaps.items()]
