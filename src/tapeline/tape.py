"""The tape as a store keeps it: trades in canonical order with the decisions between them, and frames cut for tests.

The canonical order is by id where ids are contiguous, otherwise by (ts_event, id). A decision follows all trades up
to its position. Whatever reads the tape reads it here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tapeline.errors import UnknownName
from tapeline.pipeline import Layout, Outputs, Pipeline
from tapeline.stores.base import Store
from tapeline.stores.rows import to_decisions, to_frame
from tapeline.types import Decision, DecisionKind, Frame

Record = Frame | Decision


@dataclass(frozen=True, slots=True)
class TapeInfo:
    """What a store knows of an instrument's tape."""

    instrument: str
    venue: str
    id_kind: str
    contiguous: bool
    first_seen: int


def instruments(store: Store) -> list[TapeInfo]:
    """Return the instruments a store holds, by name."""
    return [TapeInfo(**row) for row in store.read("instruments").to_pylist()]


def tape_of(store: Store, instrument: str) -> TapeInfo | None:
    """Return what a store knows of an instrument's tape, None where it has none."""
    return next((TapeInfo(**row) for row in store.read("instruments", instrument=instrument).to_pylist()), None)


def find(store: Store, instrument: str) -> TapeInfo | None:
    """Return what a store knows of an instrument's tape, None where it has only candles made by others.

    Raises:
        UnknownName: it holds neither; the text lists what it holds.
    """
    tape = tape_of(store, instrument)
    if tape is not None:
        return tape
    if store.read("candles", instrument=instrument, source="imported", limit=1).num_rows:
        return None
    imports = store.read("imports").column("instrument").to_pylist()
    traded = (entry.instrument for entry in instruments(store))
    held = sorted({*traded, *(name for text in imports for name in text.split(",") if name)})
    raise UnknownName(
        f"instrument {instrument}",
        "is not in this database",
        expected=f"one of: {', '.join(held) or 'nothing imported yet'}",
        was=instrument,
        next_step="bring it in with: tapeline import PATH",
    )


def info(store: Store, instrument: str) -> TapeInfo:
    """Return what a store knows of an instrument's tape.

    Raises:
        UnknownName: it holds no trades of that name.
    """
    tape = find(store, instrument)
    if tape is None:
        step = "import its trades"
        raise UnknownName(f"instrument {instrument}", "has no tape", expected="trades", was="candles", next_step=step)
    return tape


def decisions(store: Store, instrument: str, *, first: int = 0) -> list[Decision]:
    """Return an instrument's decisions from the ``first`` taken on, in the order in which they take effect."""
    return _in_effect(to_decisions(store.read("decisions", instrument=instrument))[first:])


def _in_effect(taken: Sequence[Decision]) -> list[Decision]:
    return sorted(taken, key=lambda decision: decision.position)


def records(
    store: Store,
    tape: TapeInfo,
    *,
    after: tuple[int, int] | None = None,
    taken: int | None = None,
    rows: int = 1 << 19,
    stored: Sequence[Decision] | None = None,
) -> Iterator[Record]:
    """Yield an instrument's tape in canonical order.

    Args:
        store: where it is kept.
        tape: whose tape.
        after: (ts_event, trade_id) of the last trade already had; decisions before it are left out too.
        taken: how many decisions were already had; then only those are left out.
        rows: how many trades a frame has at most.
        stored: the decisions as stored, where they were read before.
    """
    column = 1 if tape.contiguous else 0
    if stored is None:
        stored = to_decisions(store.read("decisions", instrument=tape.instrument))
    if taken is not None:
        left = _in_effect(stored[taken:])
    else:
        left = [one for one in _in_effect(stored) if after is None or one.position >= after[column]]
    for table in store.tape(tape.instrument, after=after, rows=rows):
        frame = to_frame(tape.instrument, table)
        keys = frame.trade_id if tape.contiguous else frame.ts_event
        at = 0
        while left and len(keys) and left[0].position < keys[-1]:
            cut = int(np.searchsorted(keys, left[0].position, side="right"))
            if cut > at:
                yield frame.take(slice(at, cut))
            at = max(at, cut)
            yield left.pop(0)
        if at < len(frame):
            yield frame.take(slice(at, None))
    yield from left


def resume(
    store: Store, tape: TapeInfo, pipeline: Pipeline, *, rows: int = 1 << 19, stored: Sequence[Decision] | None = None
) -> int:
    """Feed a pipeline what the tape holds beyond where it stands, and return how many trades that were.

    What waits (behind a gap, or for the reorder window) is fed again: a stored state has it not.
    """
    count = 0
    left = records(store, tape, after=pipeline.ledger.position, taken=pipeline.decisions, rows=rows, stored=stored)
    for record in left:
        pipeline.feed(record)
        count += len(record) if isinstance(record, Frame) else 0
    return count


def fold(store: Store, tape: TapeInfo, layout: Layout) -> Iterator[Outputs]:
    """Fold an instrument's whole tape, without the models that answered, and yield what each record gives."""
    pipeline = Pipeline(tape.instrument, layout)
    for record in records(store, tape):
        if isinstance(record, Frame) or record.kind is not DecisionKind.MODEL:
            yield pipeline.feed(record)
