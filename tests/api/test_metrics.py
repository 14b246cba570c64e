"""Each metric is moved by what it counts, and none is there before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.api.conftest import Live
from tests.api.test_reference import rows_of
from tests.committed import commits, prediction
from tests.stored import START, TRADED

from tapeline.clock import MINUTE
from tapeline.hub import Hub
from tapeline.stores.duckdb import DuckDBStore

INSTRUMENT = {"instrument": TRADED}
VENUE = {"venue": "SIM", "connection": "0"}
Cause = Callable[[httpx.AsyncClient, Hub, Live, DuckDBStore], Awaitable[None]]


async def value(client: httpx.AsyncClient, name: str, labels: dict[str, str]) -> float | None:
    text = (await client.get("/metrics")).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and {key: sample.labels.get(key) for key in labels} == labels:
                return float(sample.value)
    return None


async def commit(client: httpx.AsyncClient, hub: Hub, live: Live, store: DuckDBStore) -> None:
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["candles"])
    hub._wait_limit = subscriber._limit = 0
    for at, committed in enumerate(commits(1_000)):
        if at == 0:
            committed.outputs.predictions.append(prediction(START + 3 * MINUTE))
        hub.publish(replace(committed, late=1, dead=2, duplicates=3))
    await subscriber.take()


async def ask(client: httpx.AsyncClient, hub: Hub, live: Live, store: DuckDBStore) -> None:
    row = rows_of(store)[0][-1] + 1e6
    await client.post("/predict/anomaly", json={"symbol": TRADED, "features": row.tolist()})
    await client.post("/predict/anomaly", json={"symbol": TRADED, "features": [1.0]})
    await client.post("/predict/anomaly", json={"symbol": "DOGE", "features": [1.0]})


async def run(client: httpx.AsyncClient, hub: Hub, live: Live, store: DuckDBStore) -> None:
    venue, instrument = live.told["venues"][0], live.told["instruments"][0]
    for name in ("messages", "trades", "malformed", "connects", "disconnects"):
        venue[name] += 4
    venue["state"] = "stale"
    instrument |= {"trades_per_second": 9.0, "last_trade": "2024-01-01T00:00:10Z", "gaps": {"open": 3}}
    live.told["latency_ms"]["commit"] |= {"p50": 5.0}
    live.told["latency_ms"] |= {name: {"p50": 7.0, "p99": 8.0, "count": 1} for name in ("receive", "total")}
    live.told |= {"queue": {"length": 4, "limit": 9}, "memory_bytes": 2_000, "shed": {"stream": 1}}


CAUSES: list[tuple[Cause, str, dict[str, str], float]] = [
    (commit, "tapeline_ticks_total", INSTRUMENT, 1_000),
    (commit, "tapeline_duplicates_total", INSTRUMENT, 30),
    (commit, "tapeline_late_trades_total", INSTRUMENT, 10),
    (commit, "tapeline_events_processing_errors_total", INSTRUMENT, 20),
    (commit, "tapeline_candles_total", INSTRUMENT, np.nan),
    (commit, "tapeline_outcomes_total", INSTRUMENT, 1),
    (commit, "tapeline_predictions_total", {"model": "ridge", "symbol": TRADED, "prediction": "up"}, 1),
    (commit, "tapeline_batch_size_events_sum", {}, 1_000),
    (commit, "tapeline_batch_size_events_count", {}, 10),
    (commit, "tapeline_events_processed_total", {}, np.nan),
    (commit, "tapeline_stream_subscribers", {}, 1),
    (commit, "tapeline_stream_dropped_total", {}, np.nan),
    (ask, "tapeline_inference_requests_total", {"status": "ok"}, 1),
    (ask, "tapeline_inference_requests_total", {"status": "refused", "model": "none"}, 1),
    (ask, "tapeline_inference_requests_total", {"status": "refused", "model": f"{TRADED}_1m_5m_anomaly"}, 1),
    (ask, "tapeline_inference_latency_seconds_count", {"model": f"{TRADED}_1m_5m_anomaly"}, 1),
    (ask, "tapeline_anomalies_detected_total", {}, 1),
    (run, "tapeline_venue_messages_total", VENUE, 7),
    (run, "tapeline_events_produced_total", VENUE, 9),
    (run, "tapeline_events_failed_total", VENUE, 5),
    (run, "tapeline_connects_total", VENUE, 5),
    (run, "tapeline_disconnects_total", VENUE, 4),
    (run, "tapeline_venue_up", VENUE, 0),
    (run, "tapeline_ticks_per_second", INSTRUMENT, 9),
    (run, "tapeline_last_trade_age_seconds", INSTRUMENT, 86_390),
    (run, "tapeline_gaps", {**INSTRUMENT, "status": "open"}, 3),
    (run, "tapeline_pipeline_lag_ms", {"stage": "commit", "quantile": "0.5"}, 5),
    (run, "tapeline_db_write_latency_seconds", {"quantile": "0.5"}, 0.005),
    (run, "tapeline_event_production_latency_seconds", {"quantile": "0.5"}, 0.007),
    (run, "tapeline_stream_processing_delay_seconds", {"quantile": "0.99"}, 0.008),
    (run, "tapeline_queue_length", {}, 4),
    (run, "tapeline_memory_bytes", {}, 2_000),
    (run, "tapeline_shed_total", {"channel": "stream"}, 1),
]


@pytest.mark.parametrize(
    ("cause", "name", "labels", "moved"), CAUSES, ids=[f"{one[1]}-{at}" for at, one in enumerate(CAUSES)]
)
async def test_a_cause_moves_its_metric(
    client: httpx.AsyncClient,
    hub: Hub,
    live: Live,
    store: DuckDBStore,
    cause: Cause,
    name: str,
    labels: dict[str, str],
    moved: float,
) -> None:
    before = await value(client, name, labels)
    await cause(client, hub, live, store)
    after = await value(client, name, labels)
    assert after is not None
    assert after != before
    if not np.isnan(moved):
        assert after == moved


async def test_every_metric_has_a_cause(client: httpx.AsyncClient, hub: Hub, live: Live, store: DuckDBStore) -> None:
    for cause in (commit, ask, run):
        await cause(client, hub, live, store)
    named = {one[1] for one in CAUSES}
    families = list(text_string_to_metric_families((await client.get("/metrics")).text))
    told = [one for one in families if not one.name.endswith("_created")]
    silent = [one.name for one in told if not any(name.startswith(one.name) for name in named)]
    assert silent == []
    assert all(one.name.startswith("tapeline_") for one in families)
