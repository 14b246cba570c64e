"""Which models answer for an instrument, and the decision that lets one answer from now on."""

from __future__ import annotations

from collections.abc import Iterator

from tapeline.lane import Lane
from tapeline.registry import Registry
from tapeline.serving import Champion
from tapeline.stores.base import Store
from tapeline.types import Decision, DecisionKind, Timeframe


def due_models(store: Store, lane: Lane) -> Iterator[Decision]:
    """Yield the decisions that make the champions of the registry answer in a lane that has begun.

    One whose timeframe is not folded cannot answer and is left out.

    Raises:
        UnknownName: a champion's features cannot be made any more.
    """
    name, answering = lane.tape.instrument, lane.pipeline.models
    position = lane.pipeline.ledger.moment
    entries = Registry(store).entries(name)
    running = lane.pipeline.running()
    for entry in entries:
        grid = running.get(entry.timeframe)
        if entry.status != "champion" or entry.target != "return" or grid is None or not len(grid) or position is None:
            continue
        champion = Champion.of(store, entry.name)
        if champion.key not in answering:
            closed = int(grid["close_time"][0]) - Timeframe.parse(entry.timeframe).step
            yield Decision(name, DecisionKind.MODEL, position, closed, champion.key)
