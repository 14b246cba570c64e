"""A real MLflow server on loopback: what was registered here is found there, also when it was away meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient
from tests.learned import MODEL, SETTINGS, artifact, store_with_champion

from tapeline.errors import StoreUnavailable
from tapeline.learning.artifact import Artifact
from tapeline.mlflow_sync import Mlflow
from tapeline.registry import Registry

pytestmark = pytest.mark.services


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "kept")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            uri = f"http://127.0.0.1:{port}"
            transport = httpx.HTTPTransport(retries=0)
            with httpx.Client(transport=transport, trust_env=False) as client:
                for _ in range(600):
                    assert process.poll() is None, (folder / "log").read_text()
                    try:
                        if client.get(f"{uri}/health", timeout=1).is_success:
                            break
                    except httpx.TransportError:
                        with pytest.raises(subprocess.TimeoutExpired):
                            process.wait(0.2)
            yield uri
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def test_the_registry_is_mirrored_and_follows(server: str, tmp_path: Path) -> None:
    store = store_with_champion()
    registry, mirror = Registry(store), Mlflow(server, runs=tmp_path)
    first = registry.entries()[0].version
    folder = tmp_path / "BTC_run 1"
    folder.mkdir()
    text = "target,model,fold,test_start,mse\nreturn,ridge,1,x,2.5\nreturn,huber,1,x,9\nreturn,ridge,2,x,3.5\n"
    (folder / "folds.csv").write_text(text)

    sent = mirror.sync(store)

    assert (sent.models, sent.aliases) == (1, 1)
    client = MlflowClient(server, server)
    there = client.get_model_version_by_alias(MODEL, "champion")
    assert there.tags["tapeline_version"] == first
    assert there.tags["feature_version"] == registry.entries()[0].feature_version
    assert there.tags["promoted_at"].startswith("2024-01-03T")
    assert there.run_id is not None
    run = client.get_run(there.run_id)
    assert run.data.params["data_hash"] == registry.load(MODEL, first).data_hash
    assert run.data.params["code_version"] == "test"
    assert [one.value for one in client.get_metric_history(there.run_id, "fold_mse")] == [2.5, 3.5]

    other = artifact(store, "huber")
    registry.register(other, now=5)
    registry.promote(other.name, other.version, now=6)
    registry.archive(MODEL, first, now=7)
    assert (mirror.sync(store).models, mirror.sync(store).models) == (1, 0)
    assert client.get_model_version_by_alias(MODEL, "champion").tags["tapeline_version"] == other.version
    assert client.get_model_version_by_alias(MODEL, "archived").tags["tapeline_version"] == first


def test_what_is_there_is_the_model_that_answers_here(server: str, tmp_path: Path) -> None:
    store = store_with_champion()
    Mlflow(server, runs=tmp_path).sync(store)
    client = MlflowClient(server, server)
    there = client.get_model_version_by_alias(MODEL, "champion")
    assert there.run_id is not None
    file = client.download_artifacts(there.run_id, "model/model.json", str(tmp_path))
    assert Artifact.load(Path(file).read_bytes()) == Registry(store).load(MODEL, there.tags["tapeline_version"])


def test_a_server_that_is_away_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"does not answer .*; models are kept here; send them later with"):
        Mlflow(f"http://127.0.0.1:{free_port()}", runs=tmp_path)
    assert SETTINGS.mlflow_uri == ""
