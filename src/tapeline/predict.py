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
from tapeline.models.base import Model
from tapeline.types import Float, Int, Prediction


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
    """Answer for one instrument, timeframe and horizon with the models of its two targets.

    Args:
        artifacts: one of target ``return``, and at most one of target ``direction``, for one task and one version of
            one feature set.
        paths: files with a user's own models.

    Raises:
        UsageError: the artefacts do not belong together.
    """

    def __init__(self, artifacts: Sequence[Artifact], *, paths: Sequence[str | Path] = ()) -> None:
        by_target = {artifact.target: artifact for artifact in artifacts}
        tasks = {(a.instrument, a.timeframe, a.horizon, a.feature_set, a.feature_version, a.columns) for a in artifacts}
        if "return" not in by_target or len(by_target) < len(artifacts) or len(tasks) != 1:
            rule = "one return model and at most one direction model of one task and feature version"
            raise UsageError("predictor", "has models that do not fit", expected=rule, was=[a.name for a in artifacts])
        self.artifact = by_target["return"]
        self.artifacts: Mapping[str, Artifact] = by_target
        order = sorted(by_target, reverse=True)
        self._models: Mapping[str, Model] = {target: by_target[target].open(paths) for target in order}
        self.model = "+".join(by_target[target].model for target in self._models)
        self.version = "+".join(by_target[target].version for target in self._models)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the inputs in order."""
        return self.artifact.columns

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

        Args:
            row: the inputs (k), in the order of `columns`.
            as_of: when they were known, ns UTC.
            close: the close at ``as_of``.
            made_at: when the prediction is made, ns UTC.
            complete: whether the row's whole window is complete.
        """
        made = self.predict_rows(row[None], as_of=np.array([as_of]), close=np.array([close]), made_at=made_at)
        return made[0] if complete else None

    def predict_rows(self, rows: Float, *, as_of: Int, close: Float, made_at: int | Int) -> list[Prediction | None]:
        """Return the predictions of many rows (n x k): the same as one by one."""
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise UsageError(
                f"model {self.artifact.name}", "has other inputs", expected=f"n x {len(self.columns)}", was=rows.shape
            )
        known = np.flatnonzero(np.isfinite(rows).all(axis=1))
        said = {target: model.predict(rows[known]).tolist() for target, model in self._models.items()}
        up = said.get("direction", [math.nan] * len(known))
        instants = np.broadcast_to(np.asarray(made_at, np.int64), len(rows))
        made: list[Prediction | None] = [None] * len(rows)
        for row, value, p_up in zip(known.tolist(), said["return"], up, strict=True):
            when = (int(as_of[row]), int(instants[row]))
            made[row] = self._prediction(rows[row], when, float(close[row]), value, p_up)
        return made

    def _prediction(self, row: Float, when: tuple[int, int], close: float, value: float, p_up: float) -> Prediction:
        ours = self.artifact
        as_of, made_at = when
        return Prediction(
            id=prediction_id(ours.instrument, ours.timeframe, ours.horizon, as_of, self.model, self.version),
            instrument=ours.instrument,
            timeframe=ours.timeframe,
            made_at=made_at,
            as_of=as_of,
            horizon=ours.horizon,
            target_time=as_of + ours.horizon,
            value=value,
            low=value + ours.low,
            high=value + ours.high,
            p_up=p_up,
            close=close,
            model=self.model,
            model_version=self.version,
            feature_set=ours.feature_set,
            feature_version=ours.feature_version,
            row_hash=row_hash(row),
        )

    def explain(self, row: Float) -> dict[str, object]:
        """Return what each model saw and what each input added, largest first, as plain JSON values.

        ``base`` and ``contributions`` add up to the prediction in ``unit`` (log return, or log odds of going up).
        """
        if row.shape != (len(self.columns),) or not np.isfinite(row).all():
            rule = f"{len(self.columns)} finite inputs"
            raise UsageError(f"model {self.artifact.name}", "cannot explain the row", expected=rule, was=row.shape)
        return {
            "task": self.artifact.name,
            "horizon": format_duration(self.artifact.horizon),
            "row_hash": row_hash(row),
            "targets": {target: self._explained(target, row) for target in self._models},
        }

    def _explained(self, target: str, row: Float) -> dict[str, object]:
        model, artifact = self._models[target], self.artifacts[target]
        told = model.explain(row)
        parts = sorted(zip(self.columns, row.tolist(), told.contributions, strict=True), key=lambda part: -abs(part[2]))
        return {
            "model": artifact.model,
            "version": artifact.version,
            "prediction": float(model.predict(row[None])[0]),
            "unit": told.unit,
            "base": told.base,
            "contributions": [{"column": name, "value": value, "added": added} for name, value, added in parts],
        }
