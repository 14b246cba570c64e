"""Drift, anomalies and live errors over HTTP: measured, and never invented."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from tests.api.test_metrics import value
from tests.learned import MODEL, NAME, SETTINGS, TRAINED, candles, store_with_champion
from tests.stored import TRADED

from tapeline.api.monitor_reads import drift_report
from tapeline.api.problems import NotReady
from tapeline.drift_watch import DriftWatch
from tapeline.hub import Hub
from tapeline.monitoring import Monitored, monitored


@pytest.fixture(scope="module")
def found() -> Monitored:
    newer = candles()[TRAINED:]
    newer["high"] *= 1.05
    return monitored(store_with_champion(newer), SETTINGS, DriftWatch(SETTINGS), now=1_000_000_000)


async def test_what_was_measured_is_told_the_worst_first(client: httpx.AsyncClient, hub: Hub, found: Monitored) -> None:
    hub.monitored = found
    for path in ("/v1/drift", "/drift"):
        told = (await client.get(path)).raise_for_status().json()
        assert told["measured_at"] == "1970-01-01T00:00:01Z"
        first, last = told["items"][0], told["items"][-1]
        assert (first["level"], first["model"]) == ("major", MODEL)
        assert first["feature"].startswith("range")
        assert first["psi"] > 0.2
        assert first["outside"] > 0.9
        assert last["level"] == "none"
        (model,) = told["models"]
        assert (model["state"], model["reason"], model["level"], model["rows"]) == ("measured", "", "major", 360)


async def test_what_is_missing_is_said(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/drift")
    waiting = answer.json()["state"]["waiting"]
    assert answer.status_code == 503
    assert "drift reference: is short" in waiting[f"{TRADED}_1m_5m"]
    with pytest.raises(NotReady, match="drift: is not measured yet"):
        drift_report([], 0)


async def test_metrics_tell_drift_and_anomalies(client: httpx.AsyncClient, hub: Hub, found: Monitored) -> None:
    drifts = found.drift[0].drifts
    names = {"tapeline_feature_psi": {"model": MODEL, "feature": drifts[0].column}}
    assert await value(client, "tapeline_feature_psi", names["tapeline_feature_psi"]) is None
    hub.monitored = found
    assert await value(client, "tapeline_feature_psi", names["tapeline_feature_psi"]) == pytest.approx(drifts[0].psi)
    odd = monitored(store_with_champion(), SETTINGS, DriftWatch(SETTINGS), now=1, instrument=NAME).anomalies
    hub.monitored = replace(found, anomalies=odd)
    labels = {"instrument": NAME, "timeframe": "1m"}
    assert await value(client, "tapeline_anomaly_rate", labels) == pytest.approx(odd[0].share)


async def test_anomalies_say_among_how_many_candles(client: httpx.AsyncClient) -> None:
    told = (await client.get("/v1/anomalies", params={"instrument": TRADED})).raise_for_status().json()
    assert told["items"] == []
    assert told["note"].startswith("0 of 0 candles")
    refused = await client.get("/v1/anomalies", params={"instrument": "DOGE-USD.SIM"})
    assert refused.status_code == 404


@pytest.mark.parametrize("by", ["version", "day", "hour", "age"])
async def test_errors_are_told_apart(client: httpx.AsyncClient, by: str) -> None:
    items = (await client.get("/v1/errors", params={"by": by})).raise_for_status().json()["items"]
    whole = (await client.get("/v1/errors")).raise_for_status().json()["items"]
    assert sum(one["predictions"] for one in items) == sum(one["predictions"] for one in whole) > 0
    assert [one["part"] for one in items] != [""] or by == "version"
    assert all(one["brier"]["value"] >= 0 for one in whole)


async def test_another_part_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/errors", params={"by": "moon"})).status_code == 422
