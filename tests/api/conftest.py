"""A small stored tape with models and predictions, and the application over it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from tests.stored import SETTINGS, START, TRADED, fill, trades

from tapeline.api.app import create_app
from tapeline.clock import DAY, MINUTE, ManualClock
from tapeline.config import Settings
from tapeline.hub import Hub
from tapeline.learning.artifact import Artifact
from tapeline.learning.fitting import fit
from tapeline.model_rows import dataset_of, learning_set, model_rows
from tapeline.models.base import find_models
from tapeline.registry import Registry
from tapeline.serving import Champion, keep_definition
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import Answer, Frame, Prediction

TOKEN = "a-long-secret"
NOW = START + DAY
HORIZON = 5 * MINUTE
NAME = f"{TRADED}_1m_5m"
MODELS = (
    ("ridge", "return"),
    ("logistic", "direction"),
    ("logistic", "direction3"),
    ("hmm", "regime"),
    ("robust_zscore", "anomaly"),
)


def add_models(store: DuckDBStore) -> None:
    """Fit a model of each target, whatever the gate would say, and let it answer."""
    features = learning_set("bars", "1m", HORIZON)
    data = dataset_of(model_rows(store, SETTINGS, TRADED, "1m", features), HORIZON)
    registry, found = Registry(store), find_models()
    for name, target in MODELS:
        kind = found[name, target]
        three = target == "direction3"  # whose outcomes need more past than this tape has
        seen = data.for_target("direction" if three else target, kind.window)
        model = fit(kind, seen, seed=1, labels=(np.arange(len(seen.inputs)) % 3).astype(np.float64) if three else None)
        interval = 0.001 if target == "return" else float("nan")
        artifact = Artifact(
            TRADED,
            "1m",
            HORIZON,
            target,
            kind.name,
            model.dump().decode(),
            data.columns,
            features.name,
            features.version,
            -interval,
            interval,
            0.9,
            START,
            START + 60 * MINUTE,
            len(seen.inputs),
            "a run",
            "0" * 32,
            1,
            "test",
        )
        registry.register(artifact, now=NOW)
        registry.promote(artifact.name, artifact.version, now=NOW)
    keep_definition(store, features)


def add_predictions(store: DuckDBStore) -> None:
    """Keep what the champions say of every candle, as if they had said so at its close."""
    for name in (NAME, f"{NAME}_regime", f"{NAME}_anomaly"):
        champion = Champion.of(store, name)
        data = model_rows(store, SETTINGS, TRADED, "1m", champion.features)
        said = champion.predict(TRADED, data.rows, data.candles["close"])
        store.append("predictions", rows.from_predictions(one for one in said if isinstance(one, Prediction)))
        store.append("answers", rows.from_answers(one for one in said if isinstance(one, Answer)))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "tape.duckdb"
    store = DuckDBStore(path, threads=1)
    fill(store, trades(15_000))
    add_models(store)
    add_predictions(store)
    late = Frame.of(TRADED, trade_id=[900_001, 900_002], ts_event=[START, START + 1], price=[1.0, 2.0], qty=[1.0, 1.0])
    store.append("late_trades", rows.from_frame(late, reason="its moment had passed"))
    store.append(
        "gaps",
        rows.from_dicts(
            "gaps", {"instrument": TRADED, "first_missing": 70_000, "last_missing": 70_004, "status": "healed"}
        ),
    )
    letter = {
        "source": "SIM",
        "instrument": TRADED,
        "kind": "malformed",
        "reason": "no price",
        "raw": b"\xff{",
        "ts_init": START,
        "digest": "d",
    }
    store.append("dead_letters", rows.from_dicts("dead_letters", letter))
    store.close()
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Iterator[DuckDBStore]:
    shutil.copy(template, tmp_path / "tape.duckdb")
    store = DuckDBStore(tmp_path / "tape.duckdb", threads=2)
    yield store
    store.close()


class Live:
    """A running process, as far as the API knows one."""

    def __init__(self, store: DuckDBStore) -> None:
        self.store = store
        self.told: dict[str, Any] = {
            "simulated": True,
            "version": "0",
            "health": "healthy",
            "reasons": [],
            "venues": [
                {
                    "venue": "SIM",
                    "connection": 0,
                    "state": "live",
                    "messages": 3,
                    "trades": 5,
                    "malformed": 1,
                    "connects": 1,
                    "disconnects": 0,
                }
            ],
            "instruments": [
                {
                    "instrument": TRADED,
                    "last_trade": "2024-01-01T00:00:00Z",
                    "trades_per_second": 2.5,
                    "gaps": {"open": 1},
                }
            ],
            "latency_ms": {"commit": {"p50": 4.0, "p99": 6.0, "count": 9}},
            "queue": {"length": 3, "limit": 9},
            "memory_bytes": 1000,
            "shed": {"stream": 0},
        }
        self.healed: list[str] = []

    def status(self) -> dict[str, Any]:
        return self.told

    async def promote(self, name: str, version: str) -> None:
        Registry(self.store).promote(name, version, now=NOW)

    async def rollback(self, name: str) -> str:
        return Registry(self.store).rollback(name, now=NOW)

    async def heal(self, instrument: str) -> int:
        self.healed.append(instrument)
        return 0


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def live(store: DuckDBStore) -> Live:
    return Live(store)


@pytest.fixture
def settings() -> Settings:
    token = type(SETTINGS.token)(TOKEN)
    # The model of anomalies learnt from few rows: the rarest hundredth of them cannot be told.
    return SETTINGS.model_copy(update={"sql": True, "token": token, "rate_limit": 0, "anomaly_rate": 0.1})


@pytest.fixture
def app(store: DuckDBStore, hub: Hub, live: Live, settings: Settings) -> FastAPI:
    return create_app(store.reader, hub, live, settings, clock=ManualClock(NOW))


@asynccontextmanager
async def calling(
    app: FastAPI, address: str = "127.0.0.1", host: str = "http://127.0.0.1:8787"
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client that calls an application without a socket, from an address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url=host) as client:
        yield client


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app) as client:
        yield client
