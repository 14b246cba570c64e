"""Which parts of a span of time the tape of an instrument does not have: what a backfill has to ask for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tapeline.exchanges.base import Span
from tapeline.ingest.base import Missing
from tapeline.ingest.walking import span_of, together
from tapeline.stores.base import Store
from tapeline.stores.rows import to_frame
from tapeline.tape import TapeInfo
from tapeline.types import Frame


@dataclass(slots=True)
class Extent:
    """From when to when a tape goes (ns UTC, None without a trade), and the ids that are missing in it."""

    first: int | None = None
    last: int | None = None
    holes: list[Missing] = field(default_factory=list)


def extent(store: Store, tape: TapeInfo) -> Extent:
    """Look through a stored tape, in bounded memory; without contiguous ids it has no holes that can be told."""
    found, before = Extent(), Frame.empty(tape.instrument)
    for table in store.tape(tape.instrument):
        frame = to_frame(tape.instrument, table)
        low, high = int(frame.ts_event.min()), int(frame.ts_event.max())
        found.first = low if found.first is None else min(found.first, low)
        found.last = high if found.last is None else max(found.last, high)
        if tape.contiguous:
            found.holes += _holes(Frame.concat([before, frame]))
            before = frame.take(slice(-1, None))
    return found


def absent(tape: Extent, start: int, end: int) -> list[Span]:
    """Return what a tape does not have of [start, end), oldest first: before, in the holes of, and after it.

    A hole inside is asked for by id, one that reaches beyond by time.
    """
    if tape.first is None or tape.last is None:
        return [Span(start, end)]
    inside = missing(tape, start, end)
    across = [gap for gap in tape.holes if gap not in inside and gap.after < end and gap.before > start]
    spans = [span_of(group) for group in together(inside)]
    spans += [Span(max(gap.after, start), min(gap.before + 1, end)) for gap in across]
    if tape.first > start:
        spans.append(Span(start, min(tape.first + 1, end)))
    if tape.last < end:
        spans.append(Span(max(tape.last, start), end))
    return sorted(spans, key=lambda span: span.start)


def missing(tape: Extent, start: int, end: int) -> list[Missing]:
    """Return the holes whose neighbours both happened in [start, end]."""
    return [gap for gap in tape.holes if gap.after >= start and gap.before <= end]


def _holes(frame: Frame) -> list[Missing]:
    ids, stamps = frame.trade_id, frame.ts_event
    found = []
    for at in np.flatnonzero(np.diff(ids) > 1).tolist():
        after, before = sorted((int(stamps[at]), int(stamps[at + 1])))
        found.append(Missing(frame.instrument, int(ids[at]) + 1, int(ids[at + 1]) - 1, after, before))
    return found
