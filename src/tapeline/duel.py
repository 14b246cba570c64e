"""A duel: two versions of a model judged on the same outcomes, paired, wherever each stored what it said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapeline import labels
from tapeline.clock import format_time
from tapeline.errors import UnknownName
from tapeline.learning.metrics import METRICS, Metric
from tapeline.learning.outcomes import Labels, outcomes
from tapeline.learning.resample import Interval
from tapeline.models.targets import TARGETS
from tapeline.outcomes import closed, mean_of
from tapeline.registry import Entry, Registry
from tapeline.serving import PREDICTED
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import Answer, Float, Prediction, Timeframe

IN_SHADOW = ("shadow_predictions", "shadow_answers")
"""Where what challengers say is stored."""
KEPT_IN = ("predictions", "answers", *IN_SHADOW)
"""Where what any version said is stored."""
UNITS = {"mse": ("bp²", 1e8), "mae": ("bp", 1e4), "log_loss": ("nats", 1.0)}
"""The metrics that decide, each with the unit in which it is told, and by what it becomes a number of that."""
_BEFORE = 61
"""How many candles before a row its outcome depends on: those of its volatility, by which bands are wide."""


@dataclass(frozen=True, slots=True)
class Score:
    """A mean of both versions over the same outcomes, NaN where no outcome is known of both.

    ``gain`` is the difference with its interval, positive where the challenger is better.
    """

    champion: float
    challenger: float
    gain: Interval

    def gains(self, name: str, scale: float = 1.0) -> dict[str, float | None]:
        """Return the gain as plain JSON values."""
        told = {name: self.gain.value, f"{name}_low": self.gain.low, f"{name}_high": self.gain.high}
        return {key: _known(scale * value) for key, value in told.items()}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


@dataclass(frozen=True, slots=True)
class Duel:
    """How two versions did on the same outcomes.

    ``error`` decides: the metric that decides the gate, too. Of probabilities ``hits`` says how often the likeliest
    class came; it is None of others.
    """

    target: str
    outcomes: int
    error: Score
    hits: Score | None = None

    @property
    def metric(self) -> str:
        """Return the name of what decides."""
        return deciding(self.target).name

    @property
    def unit(self) -> str:
        """Return in what errors and their gains are told."""
        return UNITS[self.metric][0]

    @property
    def scale(self) -> float:
        """Return by what errors and their gains become numbers of `unit`."""
        return UNITS[self.metric][1]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        errors = {"champion_error": _known(self.error.champion), "challenger_error": _known(self.error.challenger)}
        hits = self.hits.gains("hit_gain") if self.hits else {}
        return {"outcomes": self.outcomes, "metric": self.metric, **errors, **self.error.gains("gain"), **hits}


def deciding(target: str) -> Metric:
    """Return the metric by which versions of a target are judged, live as by the gate."""
    return METRICS[target][0]


def has_duels(target: str) -> bool:
    """Return whether versions of a target can be judged by what came: not regimes and anomalies."""
    return TARGETS[target].supervised


def duel(store: Store, entry: Entry, champion: str, challenger: str, *, start: int | None = None) -> Duel:
    """Judge two versions of a task on the outcomes of what both said since ``start`` (ns UTC).

    Late predictions and outcomes that need candles that are not complete are left out.
    """
    ours, theirs = (said(store, KEPT_IN, entry, version, start) for version in (champion, challenger))
    both = sorted(set(ours) & set(theirs))
    told = came(store, entry, both)
    fair = [at for at in both if max(ours[at].made_at, theirs[at].made_at) < told[at][1] and not np.isnan(told[at][0])]
    true = np.array([told[at][0] for at in fair])
    answers = [np.array([numbers(each[at], entry.target) for at in fair]) for each in (ours, theirs)]
    return Duel(entry.target, len(fair), *scores(entry, true, answers))


def scores(task: Entry | Answer, true: Float, answers: Sequence[Float]) -> tuple[Score, Score | None]:
    """Return how two did who answered the same rows: in what decides, and in hits where there are classes.

    Args:
        task: its timeframe, horizon and target.
        true: what came (n).
        answers: of the champion, then of the challenger.
    """
    overlap = max(1, task.horizon // Timeframe.parse(task.timeframe).step)
    error = _scored(deciding(task.target), true, answers, overlap)
    hits = next((metric for metric in METRICS[task.target] if metric.name == "accuracy"), None)
    return error, None if hits is None else _scored(hits, true, answers, overlap)


def _scored(metric: Metric, true: Float, answers: Sequence[Float], overlap: int) -> Score:
    """Return the means of a metric, ``overlap`` of whose rows share an outcome."""
    if not len(true):
        return Score(np.nan, np.nan, Interval(np.nan, np.nan, np.nan))
    first, second = (metric.rows(true, said) for said in answers)
    return Score(float(first.mean()), float(second.mean()), mean_of(metric.sign * (second - first), overlap))


def came(store: Store, task: Entry | Answer, asked: Sequence[int]) -> dict[int, tuple[float, int]]:
    """Return for each row asked about, by its ``as_of``, what came (NaN: unknown), and when that was known.

    Args:
        store: keeps the candles.
        task: its instrument, timeframe, horizon and target.
        asked: rising.
    """
    if not asked:
        return {}
    grid = Timeframe.parse(task.timeframe)
    start = asked[0] - grid.size - _BEFORE * grid.step
    candles = closed(store, task.instrument, task.timeframe, start, asked[-1] + task.horizon)
    values, known_at = labels.forward_return(candles, grid, task.horizon)
    found = outcomes(candles, grid, task.horizon, values)
    found |= {"return": Labels(values, known_at), "direction": Labels(labels.direction(values), known_at)}
    ours = found[task.target]
    told = zip(ours.values.tolist(), ours.known_at.tolist(), strict=True)
    known = dict(zip(candles["close_time"].tolist(), told, strict=True))
    return {at: known.get(at, (np.nan, at)) for at in asked}


def said(
    store: Store, kinds: Sequence[str], entry: Entry, version: str, start: int | None
) -> dict[int, Prediction | Answer]:
    """Return what a version of a task said since ``start``, as stored in some kinds, by its ``as_of``."""
    return {
        one.as_of: one
        for kind in kinds
        for one in _stored(store, kind, entry, start)
        if one.horizon == entry.horizon and _versions(one).get(entry.target) == version
        if not np.isnan(numbers(one, entry.target)).any()
    }


def _stored(store: Store, kind: str, entry: Entry, start: int | None) -> Sequence[Prediction | Answer]:
    table = store.read(kind, instrument=entry.instrument, start=start, timeframe=entry.timeframe)
    return rows.to_answers(table) if kind.endswith("answers") else rows.to_predictions(table)


def _versions(one: Prediction | Answer) -> dict[str, str]:
    """Return the versions that said it, by target."""
    if isinstance(one, Answer):
        return {one.target: one.model_version}
    return dict(zip(PREDICTED, one.model_version.split("+"), strict=False))


def numbers(one: Prediction | Answer, target: str) -> Float:
    """Return what was said of a target, as a model says it: a number, or the probability of each class."""
    if isinstance(one, Answer):
        return np.array(one.said if TARGETS[target].classes else one.said[0])
    return np.array(one.value if target == "return" else one.p_up)


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
    if champion is None or not has_duels(entry.target):
        return told
    found = duel(store, entry, champion.version, entry.version)
    error = _known(found.error.challenger * found.scale)
    told |= {"outcomes": found.outcomes, "metric": found.metric, "unit": found.unit, "error": error}
    told |= found.error.gains("gain", found.scale)
    if found.hits is not None:
        told |= {"hit_rate": _known(found.hits.challenger)} | found.hits.gains("hit_gain")
    return told
