"""From one feature row to one prediction, the same bits live, replayed and explained later."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from tapeline.clock import format_duration
from tapeline.errors import UsageError
from tapeline.learning.artifact import Artifact
from tapeline.learning.live_interval import LiveInterval
from tapeline.learning.spread import units
from tapeline.learning.windows import Stretch, columns_shown, shown
from tapeline.models.base import Model
from tapeline.models.targets import TARGETS
from tapeline.types import Answer, Bool, Float, Int, Prediction, Timeframe

_FIRST = np.zeros(1, np.int64)


def row_hash(row: Float) -> str:
    """Return the hash of the inputs a model saw (32 hex digits), as little-endian float64.

    >>> row_hash(np.array([1.0])) == row_hash(np.array([1.0])) != row_hash(np.array([1.5]))
    True
    """
    return blake2b(np.ascontiguousarray(row, "<f8").tobytes(), digest_size=16).hexdigest()


def prediction_id(instrument: str, timeframe: str, horizon: int, as_of: int, model: str, version: str) -> str:
    """Return the id of a prediction (32 hex digits): the same question to the same model has one id."""
    text = "\n".join((instrument, timeframe, str(horizon), str(as_of), model, version))
    return blake2b(text.encode(), digest_size=16).hexdigest()


class Predictor:
    """Answer for one instrument, timeframe and horizon with one model for each of its targets.

    It keeps nothing between two calls: who feeds it row by row gives a model that looks back the rows before, too.

    Args:
        artifacts: at most one of each target, for one task and one version of one feature set. A `Prediction` needs
            one of target ``return`` and may have one of ``direction``; `says` answers for every target.
        paths: files with a user's own models.

    Raises:
        UsageError: the artefacts do not belong together.
    """

    def __init__(self, artifacts: Sequence[Artifact], *, paths: Sequence[str | Path] = ()) -> None:
        by_target = {artifact.target: artifact for artifact in artifacts}
        tasks = {(a.instrument, a.timeframe, a.horizon, a.feature_set, a.feature_version, a.columns) for a in artifacts}
        if len(by_target) < len(artifacts) or len(tasks) != 1:
            rule = "at most one model of each target, of one task and feature version"
            raise UsageError("predictor", "has models that do not fit", expected=rule, was=[a.name for a in artifacts])
        order = [target for target in TARGETS if target in by_target]
        self.artifact = by_target[order[0]]
        self.artifacts: Mapping[str, Artifact] = by_target
        self._models: Mapping[str, Model] = {target: by_target[target].open(paths) for target in order}
        self._step = Timeframe.parse(self.artifact.timeframe).step
        self._window = max(model.window for model in self._models.values())
        self.model = "+".join(by_target[target].model for target in self._models)
        self.version = "+".join(by_target[target].version for target in self._models)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the inputs in order."""
        return self.artifact.columns

    @property
    def window(self) -> int:
        """Return how many rows the model that looks back furthest needs."""
        return self._window

    @property
    def compared(self) -> int | None:
        """Return with how many rows the model of anomalies compares a row; None where there is none, or it keeps it."""
        found: int | None = getattr(self._models.get("anomaly"), "compared", None)
        return found

    def check(self, feature_set: str, feature_version: str, columns: Sequence[str]) -> None:
        """Refuse rows of another feature set or version.

        Raises:
            UsageError: they are not what the models learnt from.
        """
        ours = (self.artifact.feature_set, self.artifact.feature_version, self.columns)
        if (feature_set, feature_version, tuple(columns)) != ours:
            raise UsageError(
                f"model {self.artifact.name}",
                "learnt from other features",
                expected=f"{ours[0]} {ours[1]} ({len(ours[2])} inputs)",
                was=f"{feature_set} {feature_version} ({len(columns)} inputs)",
                next_step="train again with the features in use",
            )

    def predict(
        self, row: Float, *, as_of: int, close: float, made_at: int, complete: bool = True
    ) -> Prediction | None:
        """Return the prediction of one row; None while an input is unknown or a candle in its window incomplete.

        A model that looks back never answers here: see `predict_rows`.

        Args:
            row: the inputs (k), in the order of `columns`.
            as_of: when they were known, ns UTC.
            close: the close at ``as_of``.
            made_at: when the prediction is made, ns UTC.
            complete: whether the row's whole window is complete.
        """
        instants, closes, whole = np.array([as_of]), np.array([close]), np.array([complete])
        return self.predict_rows(row[None], as_of=instants, close=closes, made_at=made_at, complete=whole)[0]

    def predict_rows(
        self,
        rows: Float,
        *,
        as_of: Int,
        close: Float,
        made_at: int | Int,
        complete: Bool | None = None,
        skip: int = 0,
        interval: LiveInterval | None = None,
    ) -> list[Prediction | None]:
        """Return the predictions of many rows (n x k): the same as one by one.

        Args:
            rows: the inputs in order of time (n x k).
            as_of: when each was known, ns UTC (n).
            close: the close at ``as_of`` (n).
            made_at: when the predictions are made, ns UTC (one, or n).
            complete: whether each row's whole window is complete (n); without it, all are.
            skip: how many rows at the beginning are not asked about: they only stand before the others.
            interval: gives the ends of the intervals, and follows what came; without it, they are the artefact's own.

        Returns:
            One per row asked about; None where an input is unknown, a candle in the window incomplete, or where the
            model of the return looks back and the rows do not.
        """
        said = self.says(rows, as_of=as_of, complete=complete, skip=skip)
        n = len(rows)
        values = said["return"] if "return" in said else np.full(n, math.nan)
        up = said["direction"].tolist() if "direction" in said else [math.nan] * n
        seen = Stretch(rows, as_of, np.ones(n, np.bool_) if complete is None else complete)
        ends = self._ends(seen, close, values, skip, interval).tolist()
        instants = [made_at] * n if isinstance(made_at, int) else made_at.tolist()
        made: list[Prediction | None] = [None] * n
        for row, value in enumerate(values.tolist()):
            if not math.isnan(value):
                when, told = (int(as_of[row]), instants[row]), (value, *ends[row - skip], up[row])
                made[row] = self._prediction(rows[row], when, float(close[row]), told)
        return made[skip:]

    def said(
        self, seen: Stretch, close: Float, *, made_at: int | Int, skip: int, interval: LiveInterval | None
    ) -> Sequence[Prediction | Answer | None]:
        """Return what is said of the rows after the first ``skip``: see `predict_rows`.

        Without a model of the return these are answers of the first model.
        """
        inputs, as_of, complete = seen.inputs, seen.as_of, seen.complete
        if self.artifact.target != "return":
            return self.answer_rows(inputs, as_of=as_of, made_at=made_at, complete=complete, skip=skip)
        return self.predict_rows(
            inputs, as_of=as_of, close=close, made_at=made_at, complete=complete, skip=skip, interval=interval
        )

    def follow(self, seen: Stretch, close: Float, interval: LiveInterval, *, skip: int = 0) -> None:
        """Let an interval follow the rows after the first ``skip`` as if they had been predicted.

        Those before it begins are left out: it learns nothing from them.
        """
        start = max(skip, int(np.searchsorted(seen.as_of, interval.begins)))
        first = max(0, start - self.window + 1)
        part = seen.since(first)
        values = self._said(self._models["return"], part)
        self._ends(part, close[first:], values, start - first, interval)

    def _ends(self, seen: Stretch, close: Float, values: Float, skip: int, interval: LiveInterval | None) -> Float:
        """Return the ends of the interval of each row after the first ``skip`` (n - skip x 2)."""
        ours = self.artifact
        unit = units(seen.inputs, self.columns, ours.floor)
        if interval is None:
            ends = np.empty((len(values), 2))
            ends[:, 0], ends[:, 1] = values + ours.low * unit, values + ours.high * unit
            return ends[skip:]
        return interval.follow(seen.since(skip), close[skip:], values[skip:], unit[skip:])

    def answer_rows(
        self, rows: Float, *, as_of: Int, made_at: int | Int, complete: Bool | None = None, skip: int = 0
    ) -> list[Answer | None]:
        """Return what the first of the models says of many rows, whatever its target: see `predict_rows`.

        None where an input is unknown, a candle in the window incomplete, or where it looks back and the rows do not.
        """
        ours, name = self.artifact, self.artifact.target
        said = self.says(rows, as_of=as_of, complete=complete, skip=skip)[name].reshape(len(rows), -1)
        instants = np.broadcast_to(np.asarray(made_at, np.int64), len(rows))
        task = (ours.instrument, ours.timeframe, ours.horizon)
        made: list[Answer | None] = [None] * len(rows)
        for row in np.flatnonzero(~np.isnan(said).any(axis=1)).tolist():
            made[row] = Answer(
                id=prediction_id(*task, int(as_of[row]), ours.model, self.version),
                instrument=ours.instrument,
                timeframe=ours.timeframe,
                target=name,
                made_at=int(instants[row]),
                as_of=int(as_of[row]),
                horizon=ours.horizon,
                said=tuple(said[row].tolist()),
                model=ours.model,
                model_version=self.version,
                feature_set=ours.feature_set,
                feature_version=ours.feature_version,
                row_hash=row_hash(rows[row]),
            )
        return made[skip:]

    def says(self, rows: Float, *, as_of: Int, complete: Bool | None = None, skip: int = 0) -> dict[str, Float]:
        """Return what each model says of each row, by target: n numbers, or n x classes; NaN where it cannot.

        Args:
            rows: the inputs in order of time (n x k).
            as_of: when each was known, ns UTC (n).
            complete: whether each row's whole window is complete (n); without it, all are.
            skip: how many rows at the beginning are not asked about: they only stand before the others.

        Raises:
            UsageError: the rows have another number of inputs.
        """
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise UsageError(
                f"model {self.artifact.name}", "has other inputs", expected=f"n x {len(self.columns)}", was=rows.shape
            )
        usable = complete is None or complete.all()
        if len(rows) == 1 == self._window and usable and not skip and np.isfinite(rows).all():
            models = self._models.items()
            return {target: model.predict(shown(type(model), rows, as_of, _FIRST)) for target, model in models}
        seen = Stretch(rows, as_of, np.ones(len(rows), np.bool_) if complete is None else complete)
        return {target: self._said(model, seen, skip) for target, model in self._models.items()}

    def _said(self, model: Model, seen: Stretch, skip: int = 0) -> Float:
        lengths = seen.run_lengths(self._step, model.reads)
        lengths[:skip] = 0
        at = np.flatnonzero(lengths >= model.window)
        answers = model.predict(shown(type(model), seen.inputs, seen.as_of, at))
        said = np.full((len(seen), *answers.shape[1:]), math.nan)
        said[at] = answers
        return said

    def _prediction(
        self, row: Float, when: tuple[int, int], close: float, told: tuple[float, float, float, float]
    ) -> Prediction:
        ours = self.artifact
        (as_of, made_at), (value, low, high, p_up) = when, told
        return Prediction(
            id=prediction_id(ours.instrument, ours.timeframe, ours.horizon, as_of, self.model, self.version),
            instrument=ours.instrument,
            timeframe=ours.timeframe,
            made_at=made_at,
            as_of=as_of,
            horizon=ours.horizon,
            target_time=as_of + ours.horizon,
            value=value,
            low=low,
            high=high,
            p_up=p_up,
            close=close,
            model=self.model,
            model_version=self.version,
            feature_set=ours.feature_set,
            feature_version=ours.feature_version,
            row_hash=row_hash(row),
        )

    def explain(self, rows: Float, *, as_of: Int | None = None) -> dict[str, object]:
        """Return what each model saw and what each input added, largest first, as plain JSON values.

        ``base`` and ``contributions`` add up to the prediction in ``unit`` (log return, or log odds of going up).

        Args:
            rows: the inputs of the row (k), or also of those before it (n x k), the oldest first.
            as_of: when each was known, ns UTC (n); needed by models that look back or at the time of day.

        Raises:
            UsageError: an input is unknown, or the rows do not go back as far as a model looks.
        """
        given = np.atleast_2d(rows)
        good = given.shape[1] == len(self.columns) and np.isfinite(given).all() and len(given) >= self.window
        if not good:
            rule = f"{len(self.columns)} finite inputs" + (f" of {self.window} rows" if self.window > 1 else "")
            raise UsageError(f"model {self.artifact.name}", "cannot explain the row", expected=rule, was=rows.shape)
        instants = np.zeros(len(given), np.int64) if as_of is None else as_of
        return {
            "task": self.artifact.name,
            "horizon": format_duration(self.artifact.horizon),
            "row_hash": row_hash(given[-1]),
            "targets": {target: self._explained(target, given, instants) for target in self._models},
        }

    def _explained(self, target: str, rows: Float, as_of: Int) -> dict[str, object]:
        model, artifact = self._models[target], self.artifacts[target]
        (seen,) = shown(type(model), rows, as_of, np.array([len(rows) - 1]))
        told, newest = model.explain(seen), np.atleast_2d(seen)[-1].tolist()
        said = model.predict(seen[None]).reshape(-1).tolist()
        columns = columns_shown(type(model), self.columns)
        parts = sorted(zip(columns, newest, told.contributions, strict=True), key=lambda part: -abs(part[2]))
        return {
            "model": artifact.model,
            "version": artifact.version,
            "prediction": said[0] if len(said) == 1 else said,
            "unit": told.unit,
            "base": told.base,
            "contributions": [{"column": name, "value": value, "added": added} for name, value, added in parts],
        }
