"""Which models answer for an instrument, and the decision that lets one answer from now on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tapeline.answering import CANNOT_BE_HAD
from tapeline.lane import Lane
from tapeline.registry import Entry
from tapeline.serving import Champion, answers_apart
from tapeline.stores.base import Store
from tapeline.types import Decision, DecisionKind, Timeframe


@dataclass(slots=True)
class Due:
    """The decisions that let champions answer, and why those that cannot be had cannot, by name."""

    decisions: list[Decision] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def due_models(store: Store, lane: Lane, entries: Sequence[Entry]) -> Due:
    """Return what makes the champions among an instrument's models answer in a lane that has begun.

    One whose timeframe is not folded cannot answer and is left out. Where one cannot be had, whatever answered before
    goes on.
    """
    due, running, position = Due(), lane.pipeline.running(), lane.pipeline.ledger.moment
    answering = {*lane.pipeline.models} - {*lane.pipeline.absent}
    champions = {entry.name: entry for entry in entries if entry.status == "champion"}
    for entry in champions.values():
        grid = running.get(entry.timeframe)
        version = _version(entry, champions.get(f"{entry.name}_direction"))
        key = f"{entry.name}@{version}"
        if not (answers_apart(entry, champions) or _asked_before(lane, entry)):
            continue
        if grid is None or not len(grid) or position is None or key in answering:
            continue
        try:
            Champion.of(store, entry.name, version)
        except CANNOT_BE_HAD as error:
            due.problems[entry.name] = str(error)
            continue
        closed = int(grid["close_time"][0]) - Timeframe.parse(entry.timeframe).step
        due.decisions.append(Decision(lane.tape.instrument, DecisionKind.MODEL, position, closed, key))
    return due


def _asked_before(lane: Lane, entry: Entry) -> bool:
    """Return whether a model of this name answers apart already: a newer version takes its place, nothing ends it."""
    return any(key.rpartition("@")[0] == entry.name for key in lane.pipeline.models)


def _version(entry: Entry, direction: Entry | None) -> str:
    """Return the version under which a champion answers, with that of the direction where both look at the same."""
    if direction is None or direction.feature_version != entry.feature_version:
        return entry.version
    return f"{entry.version}+{direction.version}"


def absent_models(lane: Lane, due: Due) -> str:
    """Say which models make no predictions, and why; an empty text where there are none."""
    absent = {key.rpartition("@")[0]: why for key, why in lane.pipeline.absent.items()} | due.problems
    return "; ".join(f"no predictions of {name}: {why}" for name, why in sorted(absent.items()))
