"""The models of a store: which there are, which answers, and how it came to.

A model is registered as ``candidate``, becomes ``champion`` by promotion, and then ``retired`` by the next promotion or
``rolled_back`` by a rollback; any but a champion may be ``archived``. A ``challenger`` runs in shadow, until it is
promoted, ``refused``, or ``cut_off`` because it failed. Each step stands in the model's history: when, who, why, and on
what numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tapeline.clock import format_time
from tapeline.errors import InputError, UnknownName, UsageError
from tapeline.learning.artifact import Artifact, content_hash, model_name
from tapeline.stores.base import KINDS, Store


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered model, without its bytes."""

    name: str
    version: str
    instrument: str
    timeframe: str
    horizon: int
    target: str
    model: str
    status: str
    created_at: int
    promoted_at: int | None
    feature_set: str
    feature_version: str
    record: Mapping[str, Any]


class Registry:
    """Keep models in a store.

    >>> from tapeline.stores.memory import MemoryStore
    >>> Registry(MemoryStore()).entries()
    []
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, artifact: Artifact, *, now: int, record: Mapping[str, Any] | None = None) -> str:
        """Add a model as ``candidate`` and return its version; the same model again changes nothing.

        Args:
            artifact: the model.
            now: ns UTC.
            record: what it came from (settings, metrics, decision): plain JSON values.
        """
        raw = artifact.dump()
        row = {
            "name": artifact.name,
            "version": artifact.version,
            "instrument": artifact.instrument,
            "timeframe": artifact.timeframe,
            "horizon": artifact.horizon,
            "target": artifact.target,
            "model": artifact.model,
            "status": "candidate",
            "created_at": now,
            "promoted_at": None,
            "feature_set": artifact.feature_set,
            "feature_version": artifact.feature_version,
            "artifact": raw,
            "artifact_hash": content_hash(raw),
            "record": json.dumps({**(record or {}), "history": [_event("registered", now)]}, sort_keys=True),
        }
        self._store.append("models", _table([row]))
        return artifact.version

    def champion(self, instrument: str, timeframe: str, horizon: int, target: str = "return") -> Artifact | None:
        """Return the model that answers; None where there is none, or what is stored of it cannot be read any more."""
        rows = self._rows(model_name(instrument, timeframe, horizon, target))
        row = next((row for row in rows if row["status"] == "champion"), None)
        try:
            return _artifact(row) if row else None
        except InputError:
            return None

    def champions(self, instrument: str, timeframe: str, horizon: int) -> list[Artifact]:
        """Return the models that answer for both targets: what a `Predictor` takes; empty where there is none."""
        found = (self.champion(instrument, timeframe, horizon, target) for target in ("return", "direction"))
        return [artifact for artifact in found if artifact is not None]

    def load(self, name: str, version: str) -> Artifact:
        """Return one model.

        Raises:
            UnknownName: there is none such.
            InputError: its bytes are not those that were registered.
        """
        return _artifact(self._row(name, version))

    def entries(self, instrument: str | None = None) -> list[Entry]:
        """Return all models, by name and then the newest first."""
        rows = self._store.read("models", instrument=instrument).to_pylist()
        rows.sort(key=lambda row: (row["name"], -row["created_at"], row["version"]))
        fields = Entry.__slots__
        return [Entry(**{key: row[key] for key in fields if key != "record"}, record=_record(row)) for row in rows]

    def damaged(self, instrument: str | None = None) -> list[tuple[Entry, str]]:
        """Return the models whose bytes are not those that were registered, and what is wrong with them."""
        found = []
        for entry in self.entries(instrument):
            try:
                self.load(entry.name, entry.version)
            except InputError as error:
                found.append((entry, str(error)))
        return found

    def promote(
        self,
        name: str,
        version: str,
        *,
        now: int,
        why: str = "promoted",
        by: str = "",
        numbers: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a model the champion of its name; the one before it is retired.

        Args:
            name: of the task.
            version: of the model.
            now: ns UTC.
            why: for the history.
            by: who decided, for the history.
            numbers: on what, for the history: plain JSON values.

        Raises:
            UnknownName: there is none such.
            UsageError: it is archived.
            InputError: its bytes are not those that were registered.
        """
        row = self._row(name, version)
        if row["status"] == "archived":
            raise UsageError(f"model {name}@{version}", "is archived", expected="one in use", was="archived")
        _artifact(row)
        changed = [
            _changed(other, "retired", f"retired for {version}", now, by)
            for other in self._rows(name)
            if other["status"] == "champion" and other["version"] != version
        ]
        if row["status"] != "champion":
            changed.append(_changed(row, "champion", why, now, by, numbers) | {"promoted_at": now})
        if changed:
            self._store.upsert("models", _table(changed))

    def set_aside(
        self, name: str, version: str, status: str, *, now: int, why: str, numbers: Mapping[str, Any] | None = None
    ) -> None:
        """Make a model that does not answer a ``challenger``, or end that: ``refused`` or ``cut_off``.

        Raises:
            UnknownName: there is none such.
            UsageError: it is the champion.
        """
        row = self._row(name, version)
        if row["status"] == "champion":
            raise UsageError(f"model {name}@{version}", "answers", expected="another", was="champion")
        self._store.upsert("models", _table([_changed(row, status, why, now, "shadow", numbers)]))

    def rollback(self, name: str, *, now: int, by: str = "") -> str:
        """Make the champion before the present one answer again, and return its version.

        Raises:
            UnknownName: no model has that name.
            UsageError: there is no earlier champion.
        """
        rows = self._rows(name)
        if not rows:
            raise self._unknown(name, None)
        earlier = [row for row in rows if row["status"] == "retired" and row["promoted_at"] is not None]
        if not earlier:
            rule = "an earlier champion"
            raise UsageError(f"model {name}", "cannot go back", expected=rule, was="none", next_step="promote another")
        back = max(earlier, key=lambda row: (row["promoted_at"], row["version"]))
        changed = [
            _changed(row, "rolled_back", f"rolled back to {back['version']}", now, by)
            for row in rows
            if row["status"] == "champion"
        ]
        changed.append(_changed(back, "champion", "restored by rollback", now, by))
        self._store.upsert("models", _table(changed))
        return str(back["version"])

    def archive(self, name: str, version: str, *, now: int, by: str = "") -> None:
        """Put a model away for good.

        Raises:
            UnknownName: there is none such.
            UsageError: it is the champion.
        """
        row = self._row(name, version)
        if row["status"] == "champion":
            step = "promote another first"
            raise UsageError(f"model {name}@{version}", "answers", expected="another", was="champion", next_step=step)
        self._store.upsert("models", _table([_changed(row, "archived", "archived", now, by)]))

    def _rows(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._store.read("models", name=name).to_pylist()
        return rows

    def _row(self, name: str, version: str) -> dict[str, Any]:
        for row in self._rows(name):
            if row["version"] == version:
                return row
        raise self._unknown(name, version)

    def _unknown(self, name: str, version: str | None) -> UnknownName:
        known = self._rows(name)
        names = sorted({str(row["version"]) for row in known}) or sorted({entry.name for entry in self.entries()})
        was = name if version is None or not known else version
        rule = f"one of {', '.join(names)}" if names else "one that was trained"
        return UnknownName(f"model {name}", "is not registered", expected=rule, was=was, next_step="run tapeline train")


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=KINDS["models"].schema)


def _event(what: str, now: int, by: str = "", numbers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    told = {"by": by} if by else {}
    return {"at": format_time(now), "event": what, **told, **({"numbers": dict(numbers)} if numbers else {})}


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(row["record"])
    return record


def _changed(
    row: Mapping[str, Any], status: str, what: str, now: int, by: str = "", numbers: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    record = _record(row)
    record["history"] = [*record.get("history", []), _event(what, now, by, numbers)]
    return {**row, "status": status, "record": json.dumps(record, sort_keys=True)}


def _artifact(row: Mapping[str, Any]) -> Artifact:
    where = f"model {row['name']}@{row['version']}"
    try:
        artifact = Artifact.load(row["artifact"], expected_hash=row["artifact_hash"])
    except InputError as error:
        raise InputError(where, str(error)) from error
    if (artifact.name, artifact.version) != (row["name"], row["version"]):
        step = "train again, if it was stored by an older Tapeline"
        was = f"{artifact.name}@{artifact.version}"
        raise InputError(where, "reads as another model", expected=where, was=was, next_step=step)
    return artifact
