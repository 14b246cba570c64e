"""A duel: two versions of a model judged on the same outcomes, paired, wherever each stored what it said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapeline.clock import format_time
from tapeline.errors import UnknownName
from tapeline.learning.resample import Interval
from tapeline.outcomes import joined, mean_of
from tapeline.registry import Entry, Registry
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import Prediction, Timeframe

KEPT_IN = ("predictions", "shadow_predictions")
"""Where what champions said, and what challengers said, is stored."""


@dataclass(frozen=True, slots=True)
class Duel:
    """How two versions did on the same outcomes.

    ``champion`` and ``challenger`` are mean absolute errors of the log return; ``gain`` is the first less the second,
    with its interval, positive where the challenger is better. All are NaN where no outcome is known of both.
    """

    outcomes: int
    champion: float
    challenger: float
    gain: Interval

    def to_json(self) -> dict[str, float | int | None]:
        """Return it as plain JSON values."""
        numbers = (self.champion, self.challenger, self.gain.value, self.gain.low, self.gain.high)
        names = ("champion_error", "challenger_error", "gain", "gain_low", "gain_high")
        known = (None if np.isnan(value) else value for value in numbers)
        return {"outcomes": self.outcomes, **dict(zip(names, known, strict=True))}


def duel(store: Store, entry: Entry, champion: str, challenger: str, *, start: int | None = None) -> Duel:
    """Judge two versions of a task on the outcomes of what both said since ``start`` (ns UTC).

    Late predictions and candles that are not complete are left out.
    """
    ours, theirs = (_errors(store, entry, version, start) for version in (champion, challenger))
    both = sorted(set(ours) & set(theirs))
    if not both:
        return Duel(0, np.nan, np.nan, Interval(np.nan, np.nan, np.nan))
    first, second = (np.array([errors[at] for at in both]) for errors in (ours, theirs))
    overlap = max(1, entry.horizon // Timeframe.parse(entry.timeframe).step)
    return Duel(len(both), float(first.mean()), float(second.mean()), mean_of(first - second, overlap))


def _errors(store: Store, entry: Entry, version: str, start: int | None) -> dict[int, float]:
    """Return the absolute error of each fair prediction of a version, by its ``as_of``."""
    made = [one for kind in KEPT_IN for one in said(store, kind, entry, version, start)]
    return {
        one.as_of: abs(one.value - float(np.log(came.close / one.close)))
        for one, came in zip(made, joined(store, made), strict=True)
        if came is not None and came.complete and one.made_at < one.target_time
    }


def said(store: Store, kind: str, entry: Entry, version: str, start: int | None) -> list[Prediction]:
    """Return what a version of a task said since ``start``, as stored in a kind."""
    table = store.read(kind, instrument=entry.instrument, start=start, timeframe=entry.timeframe)
    return [
        one
        for one in rows.to_predictions(table)
        if one.horizon == entry.horizon and one.model_version.partition("+")[0] == version
    ]


def compared(store: Store, name: str, version: str | None = None) -> list[dict[str, Any]]:
    """Return the versions of a name beside its champion: training figures, and the duel on live outcomes.

    Raises:
        UnknownName: no model has that name, or that version.
    """
    entries = [entry for entry in Registry(store).entries() if entry.name == name]
    if not entries or version not in (None, *(entry.version for entry in entries)):
        known = ", ".join(entry.version for entry in entries) or "a name of: tapeline models"
        raise UnknownName(f"model {name}", "is not registered", expected=known, was=version or name)
    champion = next((entry for entry in entries if entry.status == "champion"), None)
    wanted = [entry for entry in entries if version in (None, entry.version) or entry.status == "champion"]
    return [_row(store, entry, champion) for entry in wanted]


def _row(store: Store, entry: Entry, champion: Entry | None) -> dict[str, Any]:
    report: Mapping[str, Any] = entry.record.get("report", {})
    told = {
        "version": entry.version,
        "model": entry.model,
        "status": entry.status,
        "created_at": format_time(entry.created_at),
        "feature_version": entry.feature_version,
        "gate": report.get("reason"),
        "coverage": report.get("coverage"),
    }
    if champion is None or entry.target != "return":
        return told
    found = duel(store, entry, champion.version, entry.version)
    bp = 1e4 * np.array([found.challenger, found.gain.value, found.gain.low, found.gain.high])
    live = dict(zip(("error_bp", "gain_bp", "gain_low", "gain_high"), bp.round(4).tolist(), strict=True))
    return told | {"outcomes": found.outcomes, **{key: None if np.isnan(x) else x for key, x in live.items()}}
