"""Which models answer for an instrument, and the decision that lets one answer from now on."""

from __future__ import annotations

from dataclasses import dataclass, field

from tapeline.answering import CANNOT_BE_HAD
from tapeline.lane import Lane
from tapeline.registry import Registry
from tapeline.serving import Champion
from tapeline.stores.base import Store
from tapeline.types import Decision, DecisionKind, Records, Timeframe


@dataclass(slots=True)
class Due:
    """The decisions that let champions answer, and why those that cannot be had cannot, by name."""

    decisions: list[Decision] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def due_models(store: Store, lane: Lane) -> Due:
    """Return what makes the champions of the registry answer in a lane that has begun.

    One whose timeframe is not folded cannot answer and is left out. Where one cannot be had, whatever answered before
    goes on.
    """
    due, running = Due(), lane.pipeline.running()
    for entry in Registry(store).entries(lane.tape.instrument):
        grid = running.get(entry.timeframe)
        if entry.status != "champion" or entry.target != "return" or grid is None or not len(grid):
            continue
        try:
            decision = _due(Champion.of(store, entry.name), lane, grid)
        except CANNOT_BE_HAD as error:
            due.problems[entry.name] = str(error)
            continue
        due.decisions += [decision] if decision else []
    return due


def _due(champion: Champion, lane: Lane, grid: Records) -> Decision | None:
    """Return the decision that lets a champion answer, None where it does."""
    pipeline, position = lane.pipeline, lane.pipeline.ledger.moment
    if position is None or (champion.key in pipeline.models and champion.key not in pipeline.absent):
        return None
    closed = int(grid["close_time"][0]) - Timeframe.parse(champion.timeframe).step
    return Decision(lane.tape.instrument, DecisionKind.MODEL, position, closed, champion.key)


def absent_models(lane: Lane, due: Due) -> str:
    """Say which models make no predictions, and why; an empty text where there are none."""
    absent = {key.rpartition("@")[0]: why for key, why in lane.pipeline.absent.items()} | due.problems
    return "; ".join(f"no predictions of {name}: {why}" for name, why in sorted(absent.items()))
