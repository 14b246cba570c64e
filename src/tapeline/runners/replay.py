"""Replay: drive the pipeline from a stored tape, at the speed asked for, to a screen or into another database.

Into another database it writes what an import would have written, in the same transactions, and after a kill it goes
on where that database stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tapeline.clock import Clock
from tapeline.config import Settings
from tapeline.pipeline import Outputs, Pipeline
from tapeline.recorder import Recorder, layout_of
from tapeline.refold import refold
from tapeline.serving import champion_loader
from tapeline.stores.base import Store
from tapeline.tape import Record, TapeInfo, decisions, records
from tapeline.types import Decision, Frame

Pace = Callable[[Iterator[Record]], Iterator[Record]]
"""Holds records back until their time has come (`paced`)."""

STEP = 250_000_000
"""How much wall time (ns) of trades a paced replay hands over at once."""


def replay(store: Store, settings: Settings, tape: TapeInfo, *, pace: Pace | None = None) -> Iterator[Outputs]:
    """Yield what the stored tape of an instrument gives, in its own time or as fast as it is asked for."""
    layout = layout_of(settings, contiguous=tape.contiguous)
    pipeline = Pipeline(tape.instrument, layout, load_model=champion_loader(store))
    stored = records(store, tape, rows=settings.flush_rows)
    for record in pace(stored) if pace else stored:
        yield pipeline.feed(record)


def replay_into(
    source: Store, target: Store, settings: Settings, tape: TapeInfo, *, clock: Clock, pace: Pace | None = None
) -> Iterator[Outputs]:
    """Write into another database what the tape gives, each step in one transaction; go on where it stands.

    Decisions are taken over from the source, so both databases decide the same.
    """
    _copy_models(source, target)
    recorder = Recorder(target, settings, clock=clock, load_model=champion_loader(target))
    with target.transaction():
        recorder.write_sets()
    lane = recorder.lane(tape.instrument, id_kind=tape.id_kind, contiguous=tape.contiguous)
    if lane.stale:
        for _ in refold(recorder, lane):
            pass
    known = set(decisions(target, tape.instrument))
    left = records(source, tape, after=lane.pipeline.ledger.position, rows=settings.flush_rows)
    for record in pace(left) if pace else left:
        if isinstance(record, Decision) and record in known:
            continue
        with target.transaction():
            outputs = recorder.feed(lane, record)
            recorder.write_state(lane)
        yield outputs


def _copy_models(source: Store, target: Store) -> None:
    """Bring along the models and feature sets that decisions on the tape may name."""
    with target.transaction():
        for kind in ("models", "feature_sets"):
            target.append(kind, source.read(kind))


def paced(steps: Iterator[Record], *, speed: float, clock: Clock, wait: Callable[[float], None]) -> Iterator[Record]:
    """Hold records back until their time has come: ``speed`` seconds of the tape in one second.

    Args:
        steps: records in order.
        speed: how many times faster than it happened.
        clock: tells the present.
        wait: waits for that many seconds.
    """
    begun: tuple[int, int] | None = None
    for record in steps:
        if not isinstance(record, Frame) or not len(record):
            yield record
            continue
        if begun is None:
            begun = (clock.now(), int(record.ts_event[0]))
        for part in _cut(record, round(STEP * speed)):
            due = begun[0] + round((int(part.ts_event[-1]) - begun[1]) / speed)
            if due > clock.now():
                wait((due - clock.now()) / 1e9)
            yield part


def _cut(frame: Frame, span: int) -> Iterator[Frame]:
    """Cut a frame into parts of at most ``span`` ns of event time."""
    at = 0
    while at < len(frame):
        end = int(frame.ts_event[at:].searchsorted(frame.ts_event[at] + span, side="right")) + at
        yield frame.take(slice(at, end))
        at = end
