"""MLflow as a mirror of the registry: runs, models and who answers, for whoever looks there.

Our own registry stays the truth. A sync sends what MLflow does not have yet, so a server that was away misses nothing:
the next sync sends it. Serving never asks MLflow.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tapeline.clock import format_time
from tapeline.errors import MissingDependency, StoreUnavailable
from tapeline.learning.artifact import Artifact
from tapeline.registry import Entry, Registry
from tapeline.stores.base import Store

ALIASES = ("champion", "challenger", "archived")
"""Statuses that are aliases there, each of the newest model that has it."""
_VERSION = "tapeline_version"
_PARAM_LIMIT = 6000
_NO_SERVER = (OSError, ValueError, KeyError)
"""What its client lets through where a server is away, or answers what is none of MLflow's."""


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync sent: how many models are new there, and how many aliases now name another version."""

    models: int
    aliases: int


class Mlflow:
    """A tracking server.

    Args:
        uri: of the server, http or https.
        runs: the folder of training runs, whose files are sent along.

    Raises:
        MissingDependency: the extra ``mlflow`` is not installed.
        StoreUnavailable: the server does not answer.
    """

    def __init__(self, uri: str, *, runs: Path) -> None:
        _reach(uri)
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            step = "pip install 'tapeline[mlflow]'"
            raise MissingDependency("mlflow", "is not installed", expected="it", was="none", next_step=step) from error
        self._uri, self._runs = uri, runs
        self._client: Any = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._error: type[Exception] = MlflowException

    def sync(self, store: Store) -> Synced:
        """Send what is registered and not there yet, then let the aliases follow the registry.

        Raises:
            StoreUnavailable: the server refuses or has gone away; what was sent stays.
        """
        registry = Registry(store)
        by_name: dict[str, list[Entry]] = {}
        for entry in registry.entries():
            by_name.setdefault(entry.name, []).append(entry)
        try:
            sent = [self._follow(registry, name, entries) for name, entries in by_name.items()]
        except (self._error, *_NO_SERVER) as error:
            step = "the rest is sent by the next sync: tapeline models sync"
            raise StoreUnavailable(f"mlflow {self._uri}", f"refuses: {error}", next_step=step) from error
        return Synced(sum(one.models for one in sent), sum(one.aliases for one in sent))

    def _follow(self, registry: Registry, name: str, entries: Sequence[Entry]) -> Synced:
        there = self._versions(name)
        missing = [entry for entry in reversed(entries) if entry.version not in there]
        for entry in missing:
            there[entry.version] = self._send(entry, registry.load(name, entry.version))
        for entry in entries:
            stood = {"status": entry.status}
            if entry.promoted_at is not None:
                stood["promoted_at"] = format_time(entry.promoted_at)
            for key, value in stood.items():
                self._client.set_model_version_tag(name, there[entry.version], key, value)
        return Synced(len(missing), self._set_aliases(name, entries, there))

    def _versions(self, name: str) -> dict[str, str]:
        """Return the number there of each of our versions; makes the name where it is new."""
        if not self._client.search_registered_models(f"name='{name}'"):
            self._client.create_registered_model(name)
        found = self._client.search_model_versions(f"name='{name}'")
        return {one.tags[_VERSION]: one.version for one in found if _VERSION in one.tags}

    def _set_aliases(self, name: str, entries: Sequence[Entry], there: Mapping[str, str]) -> int:
        before = self._client.get_registered_model(name).aliases
        changed = 0
        for alias in ALIASES:
            newest = next((entry.version for entry in entries if entry.status == alias), None)
            wanted = None if newest is None else there[newest]
            if str(before.get(alias, "")) == str(wanted or ""):
                continue
            changed += 1
            if wanted is None:
                self._client.delete_registered_model_alias(name, alias)
            else:
                self._client.set_registered_model_alias(name, alias, wanted)
        return changed

    def _send(self, entry: Entry, artifact: Artifact) -> str:
        """Make a run of a model with all that is known of it, and register it; return its number there."""
        client = self._client
        run = client.create_run(
            self._experiment(entry.instrument),
            start_time=entry.created_at // 1_000_000,
            run_name=f"{entry.name} {entry.version}",
            tags={"tapeline_run": artifact.run, _VERSION: entry.version, "feature_version": entry.feature_version},
        )
        number = run.info.run_id
        for key, value in _params(entry, artifact).items():
            client.log_param(number, key, value)
        for key, figure, step in _metrics(entry, self._folder(artifact.run)):
            client.log_metric(number, key, figure, step=step)
        with TemporaryDirectory() as place:
            file = Path(place) / "model.json"
            file.write_bytes(artifact.dump())
            client.log_artifact(number, str(file), "model")
        if (folder := self._folder(artifact.run)) is not None:
            client.log_artifacts(number, str(folder), "run")
        client.set_terminated(number)
        tags = {_VERSION: entry.version, "feature_version": entry.feature_version, "feature_set": entry.feature_set}
        made = client.create_model_version(
            entry.name, f"{run.info.artifact_uri}/model", number, tags=tags | {"columns": json.dumps(artifact.columns)}
        )
        return str(made.version)

    def _experiment(self, instrument: str) -> str:
        name = f"tapeline {instrument}"
        found = self._client.get_experiment_by_name(name)
        return str(self._client.create_experiment(name) if found is None else found.experiment_id)

    def _folder(self, run: str) -> Path | None:
        return next((path for path in sorted(self._runs.glob(f"*_{run}")) if path.is_dir()), None)


def _reach(uri: str) -> None:
    """Ask a server whether it is there, so that one that is away is known at once."""
    step = "models are kept here; send them later with: tapeline models sync"
    try:
        answer = httpx.get(f"{uri.rstrip('/')}/health", timeout=5.0, trust_env=False)
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"mlflow {uri}", f"does not answer ({type(error).__name__})", next_step=step) from error
    if not answer.is_success:
        raise StoreUnavailable(f"mlflow {uri}", "is not well", expected="200", was=answer.status_code, next_step=step)


def _params(entry: Entry, artifact: Artifact) -> dict[str, str]:
    names = ("instrument", "timeframe", "target", "model", "feature_set", "feature_version")
    told = {name: str(getattr(entry, name)) for name in names}
    more = ("rows", "seed", "data_hash", "code_version", "coverage")
    told |= {name: str(getattr(artifact, name)) for name in more}
    told |= {name: format_time(getattr(artifact, name)) for name in ("trained_from", "trained_to")}
    return told | {"columns": " ".join(artifact.columns)[:_PARAM_LIMIT]}


def _metrics(entry: Entry, folder: Path | None) -> Iterator[tuple[str, float, int]]:
    """Yield the figures of a model: of the report, and of each fold (as step) where the run's folder is here."""
    report = entry.record.get("report", {})
    for name in ("coverage", "test_rows", "rows"):
        if isinstance(report.get(name), int | float):
            yield name, float(report[name]), 0
    if folder is None or not (folder / "folds.csv").is_file():
        return
    walked = str(report.get("champion", entry.model))  # a tuned model is served as the plain one it found
    with (folder / "folds.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["target"], row["model"]) == (entry.target, walked):
                yield from _fold(row)


def _fold(row: Mapping[str, str]) -> Iterator[tuple[str, float, int]]:
    texts = ("target", "model", "fold", "train_start", "train_known_at", "test_start", "test_end")
    for name, text in row.items():
        if name not in texts and text:
            yield f"fold_{name}", float(text), int(row["fold"])
