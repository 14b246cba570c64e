"""A real MLflow server on loopback: what was registered here is found there, also when it was away meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import pytest
from mlflow import MlflowClient
from tests.learned import HORIZON, MODEL, NAME, SETTINGS, artifact, candles, store_with_champion

from tapeline.errors import StoreUnavailable
from tapeline.learning.artifact import Artifact
from tapeline.learning.windows import shown
from tapeline.mlflow_sync import Mlflow
from tapeline.model_rows import learning_set, model_rows
from tapeline.models import networks, sequence
from tapeline.models.linear import Scaler
from tapeline.registry import Registry
from tapeline.serving import Champion, keep_definition
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.memory import MemoryStore
from tapeline.types import Float

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


FETCHED = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ImportError(name)
sys.meta_path.insert(0, NoTorch())
import numpy as np
from mlflow import MlflowClient
from tests.learned import MODEL
from tests.services.test_mlflow import said
from tapeline.learning.artifact import Artifact
from tapeline.registry import Registry
from tapeline.stores.duckdb import DuckDBStore

uri, path = sys.argv[1:]
client = MlflowClient(uri, uri)
there = client.get_model_version_by_alias(MODEL, "champion")
with open(client.download_artifacts(there.run_id, "model/model.json"), "rb") as file:
    artifact = Artifact.load(file.read())
with DuckDBStore(path) as store:
    Registry(store).register(artifact, now=1)
    Registry(store).promote(artifact.name, artifact.version, now=2)
    np.save(f"{path}.npy", said(store))
"""
"""Fetch a champion into a store that has only candles, and let it answer, where PyTorch cannot be imported."""


def said(store: Store) -> Float:
    """Return what the champion says of all rows, NaN where it cannot."""
    champion = Champion.of(store, MODEL)
    data = model_rows(store, SETTINGS, NAME, "1m", champion.features)
    return champion.predictor.says(data.inputs, as_of=data.rows.as_of, complete=data.rows.complete)["return"]


def test_a_network_goes_there_and_answers_elsewhere_without_pytorch(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    learnt: list[dict[str, Any]] = []

    def trained(*asked: Any) -> tuple[dict[str, Any], int]:
        weights, passes = networks.trained(*asked)
        learnt.append(weights)
        return weights, passes

    monkeypatch.setattr(sequence, "trained", trained)
    monkeypatch.setattr(sequence, "_STEPS", 20)
    monkeypatch.setattr(networks, "_RATE", 1e-2)
    store, kept = MemoryStore(), rows.from_candles(NAME, "1m", candles(700, memory=0.8), source="imported")
    store.append("candles", kept)
    made = artifact(store, "lstm")
    Registry(store).register(made, now=1)
    Registry(store).promote(made.name, made.version, now=2)
    assert Mlflow(server, runs=tmp_path).sync(store).models == 1

    with DuckDBStore(tmp_path / "other.duckdb") as other:
        other.append("candles", kept)
        keep_definition(other, learning_set("bars", "1m", HORIZON))
    command = [sys.executable, "-c", FETCHED, server, str(tmp_path / "other.duckdb")]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})

    here, there = said(store), np.load(tmp_path / "other.duckdb.npy")
    assert there.tobytes() == here.tobytes()
    at = np.flatnonzero(np.isfinite(here))
    assert len(at) > 500
    model = made.open()
    assert isinstance(model, sequence.LSTMReturn)
    assert model.goal is not None
    assert model.engine is not None
    data = model_rows(store, SETTINGS, NAME, "1m", learning_set("bars", "1m", HORIZON))
    windows = Scaler.from_state(dict(model.engine.state())).apply(shown(type(model), data.inputs, data.rows.as_of, at))
    network = networks._network(torch, "lstm", windows.shape[2], 1)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in learnt[0].items()})
    with torch.no_grad():
        pytorch = networks._answer(torch, network, torch.from_numpy(windows.astype(np.float32))).numpy()
    wanted = model.slope * model.goal.scale * pytorch[:, 0]
    np.testing.assert_allclose(here[at], wanted, rtol=0, atol=1e-5 * model.goal.scale)
    assert wanted.std() > 0.1 * model.goal.scale


def test_a_server_that_is_none_of_mlflow_is_told_and_nothing_more(tmp_path: Path) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>not MLflow</html>")

        def log_message(self, *told: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(StoreUnavailable, match=r"refuses: .*; the rest is sent by the next sync"):
            Mlflow(f"http://127.0.0.1:{server.server_port}", runs=tmp_path).sync(store_with_champion())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_is_away_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"does not answer .*; models are kept here; send them later with"):
        Mlflow(f"http://127.0.0.1:{free_port()}", runs=tmp_path)
    assert SETTINGS.mlflow_uri == ""
