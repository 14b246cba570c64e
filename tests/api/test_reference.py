"""The routes of the reference systems, with their names and shapes; where they would invent numbers, 503."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import plotly.graph_objects as go
import pytest
from fastapi import FastAPI
from tests.api.conftest import HORIZON, NOW, Live, calling
from tests.stored import SETTINGS, START, TRADED, trades

from tapeline import query
from tapeline.api.app import create_app
from tapeline.api.problems import problem_of
from tapeline.clock import DAY, MINUTE, ManualClock, format_time
from tapeline.config import Settings
from tapeline.errors import UsageError
from tapeline.hub import Hub
from tapeline.learning.artifact import Artifact
from tapeline.model_rows import learning_set, model_rows
from tapeline.registry import Registry
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.rows import from_frame, to_answers


def rows_of(store: DuckDBStore) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Return known rows and their names."""
    data = model_rows(store, SETTINGS, TRADED, "1m", learning_set("bars", "1m", HORIZON))
    return data.inputs[np.isfinite(data.inputs).all(axis=1)], data.columns


def champion(store: DuckDBStore, target: str) -> Artifact:
    found = Registry(store).champion(TRADED, "1m", HORIZON, target)
    assert found is not None
    return found


async def test_direction_is_what_the_model_says(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    rows, _ = rows_of(store)
    ask = {"symbol": "BTCUSD", "features": rows[-1].tolist(), "timestamp_ms": 1_704_100_000_000}
    found = (await client.post("/predict/direction", json=ask)).raise_for_status().json()
    artifact = champion(store, "direction3")
    said = artifact.open().predict(rows[-1:])[0]
    assert found["probabilities"] == dict(zip(("down", "neutral", "up"), said.tolist(), strict=True))
    assert found["direction"] == int(said.argmax()) - 1
    assert found["label"] == ("down", "neutral", "up")[int(said.argmax())]
    assert (found["model"], found["model_version"]) == ("logistic", artifact.version)
    assert found["latency_ms"] >= 0


async def test_regime_looks_back_over_the_rows_given(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    rows, _ = rows_of(store)
    ask = {"symbol": TRADED, "features": rows[-1].tolist(), "rows_before": rows[-60:-1].tolist()}
    found = (await client.post("/predict/regime", json=ask)).raise_for_status().json()
    assert found["label"] in ("low", "normal", "high")
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    short = await client.post("/predict/regime", json=ask | {"rows_before": []})
    assert (short.status_code, "59 rows_before" in short.json()["detail"]) == (400, True)
    few = await client.post("/predict/regime", json={"symbol": TRADED, "features": [1.0]})
    assert (few.status_code, ", ".join(rows_of(store)[1]) in few.json()["expected"]) == (400, True)


async def test_anomaly_is_flagged_by_its_score(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    rows, _ = rows_of(store)
    for row, odd in ((np.median(rows, axis=0), False), (rows[-1] + 1e6, True)):
        found = (await client.post("/predict/anomaly", json={"symbol": "BTC-USD", "features": row.tolist()})).json()
        assert found["is_anomaly"] is odd
        assert found["is_anomaly"] == (found["anomaly_score"] > found["threshold"])


async def test_a_rate_rarer_than_the_rows_compared_with_is_not_answered(store: DuckDBStore, settings: Settings) -> None:
    rare = settings.model_copy(update={"anomaly_rate": 0.001})
    row = rows_of(store)[0][-1] + 1e6
    async with calling(create_app(store.reader, Hub(), None, rare)) as client:
        answer = await client.post("/predict/anomaly", json={"symbol": TRADED, "features": row.tolist()})
    compared = len(json.loads(champion(store, "anomaly").content)["state"]["knots"])
    assert answer.status_code == 503
    state = answer.json()["state"]
    assert (state["rows_compared"], state["rows_needed"]) == (compared, 999)


@pytest.mark.parametrize(("route", "kind"), [("regime", "answers"), ("anomaly", "answers"), ("direction", "")])
async def test_without_features_it_is_what_was_said_of_the_newest_candle(
    client: httpx.AsyncClient, store: DuckDBStore, route: str, kind: str
) -> None:
    answer = await client.post(f"/predict/{route}", json={"symbol": TRADED})
    if not kind:  # direction3 answers, which no process has asked yet
        assert (answer.status_code, answer.json()["state"]["said"]) == (503, 0)
        return
    version = champion(store, route).version
    last = to_answers(store.read("answers", instrument=TRADED, model_version=version))[-1]
    found = answer.raise_for_status().json()
    assert (found["model_version"], found["as_of"]) == (version, format_time(last.as_of))
    said = list(found["probabilities"].values()) if route == "regime" else [found["anomaly_score"]]
    assert said == list(last.said)


async def test_why_a_model_was_not_trained_is_told(store: DuckDBStore) -> None:
    hub = Hub()
    hub.untrained["ETH-USD.SIM_1m_5m_regime"] = "too few rows: expected at least 200, was 61"
    async with calling(create_app(store.reader, hub, None, SETTINGS)) as client:
        answer = await client.post("/predict/regime", json={"symbol": "ETH-USD.SIM"})
    assert answer.status_code == 503
    assert answer.json()["state"]["waiting"] == hub.untrained


async def test_features_are_checked_by_number_name_and_version(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    rows, names = rows_of(store)
    version = champion(store, "direction3").feature_version
    good = dict(zip(names, rows[-1].tolist(), strict=True))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"features": rows[-1].tolist()[:-1]}, ", ".join(names)),
        ({"features": rows[-1].tolist()[:-1]}, version),
        ({"features": {**good, "sma_999": 1.0}}, "unknown sma_999"),
        ({"features": {name: good[name] for name in names[1:]}}, f"missing {names[0]}"),
        ({"features": good, "feature_version": "old"}, version),
        ({"features": [*rows[-1].tolist()[:-1], None]}, "cannot be read"),
        ({"features": "many"}, "cannot be read"),
        ({"features": good, "more": 1}, "cannot be read"),
        ({"features": good, "symbol": ""}, "cannot be read"),
    ]
    assert (await client.post("/predict/direction", json={"symbol": TRADED, "features": good})).status_code == 200
    for change, says in wrong:
        answer = await client.post("/predict/direction", json={"symbol": TRADED, **change})
        assert answer.status_code == 400
        assert says in answer.json()["detail"]
    for raw in (b"", b"{", b'{"symbol":"X","features":[NaN]}', b'{"symbol":"X","features":[1e999]}', b"[" * 10_000):
        assert (await client.post("/predict/direction", content=raw)).status_code == 400


@pytest.mark.parametrize("route", ["direction", "regime", "anomaly"])
async def test_without_a_model_nothing_is_invented(store: DuckDBStore, route: str) -> None:
    for entry in Registry(store).entries():
        store.upsert("models", store.read("models", name=entry.name).set_column(7, "status", [["archived"]]))
    async with calling(create_app(store.reader, Hub(), None, SETTINGS)) as client:
        answer = await client.post(f"/predict/{route}", json={"symbol": "BTCUSD", "features": [0.33]})
    assert answer.status_code == 503
    assert answer.json()["state"]["ready"] is False
    assert "tapeline train" in answer.json()["next_step"]


async def test_names_of_a_large_feature_set_are_told_whole() -> None:
    names = ", ".join(f"a_feature_{at}_to_close" for at in range(200))
    problem = problem_of(UsageError("model m", "has other features", expected=names, was=f"missing {names}"))
    assert (problem.expected, problem.was) == (names, f"missing {names}")
    assert names in problem.detail


async def test_what_is_stored_but_has_no_model_is_waited_for_not_unknown(client: httpx.AsyncClient, live: Live) -> None:
    warmup = {"1m": {"have": 7, "needed": 60}}
    live.told["instruments"].append({"instrument": "SOL-USD.SIM", "warmup": warmup})
    for symbol, waited in (("ETHUSD", {}), ("SOLUSD", {"SOL-USD.SIM": warmup})):
        answer = await client.post("/predict/direction", json={"symbol": symbol})
        assert (answer.status_code, answer.json()["state"]["warmup"]) == (503, waited)
    assert (await client.post("/predict/direction", json={"symbol": "DOGEUSD"})).status_code == 404


@pytest.mark.parametrize(
    ("warmup", "waiting"),
    [
        ({"1m": {"have": 20, "needed": 60}}, "40 more 1m candles in a row"),
        ({"1m": {"have": 60, "needed": 60}}, "the next closed 1m candle"),
        (None, f"nothing follows {TRADED} here"),
    ],
)
async def test_a_model_that_has_said_nothing_says_what_it_waits_for(
    client: httpx.AsyncClient, live: Live, warmup: dict[str, dict[str, int]] | None, waiting: str
) -> None:
    if warmup is None:
        live.told["instruments"] = []
    else:
        live.told["instruments"][0]["warmup"] = warmup
    answer = await client.post("/predict/direction", json={"symbol": TRADED})
    problem = answer.json()
    assert (answer.status_code, problem["state"]["said"], problem["state"]["waiting"]) == (503, 0, waiting)
    assert waiting in problem["detail"]
    assert "give features" in problem["next_step"]


async def test_what_is_no_timeframe_is_refused_and_one_has_many_names(client: httpx.AsyncClient) -> None:
    wrong = await client.post("/predict/regime", json={"symbol": TRADED, "timeframe": "7x"})
    same = await client.post("/predict/regime", json={"symbol": TRADED, "timeframe": "60s"})
    assert (wrong.status_code, wrong.json()["where"]) == (400, "timeframe 7x")
    assert (same.status_code, same.json()["timeframe"]) == (200, "1m")


async def test_a_promoted_model_answers_within_a_second(
    client: httpx.AsyncClient, store: DuckDBStore, app: FastAPI
) -> None:
    rows, _ = rows_of(store)
    ask = {"symbol": TRADED, "features": rows[-1].tolist()}
    before = (await client.post("/predict/anomaly", json=ask)).json()["model_version"]
    registry, artifact = Registry(store), champion(store, "anomaly")
    other = Artifact(**{name: getattr(artifact, name) for name in Artifact.__slots__} | {"run": "another"})
    registry.register(other, now=NOW)
    registry.promote(other.name, other.version, now=NOW)
    app.state.champions._looked -= 2
    during = (await client.post("/predict/anomaly", json=ask)).json()["model_version"]
    await app.state.champions._look
    after = (await client.post("/predict/anomaly", json=ask)).json()["model_version"]
    assert (before, during, after) == (artifact.version, artifact.version, other.version)


async def test_nobody_looks_again_while_no_model_has_changed(store: DuckDBStore, app: FastAPI) -> None:
    champions = app.state.champions
    await champions.all()
    first = champions._look
    store.append("trades", from_frame(trades(20_000).take(slice(-10, None))))
    champions._looked -= 2
    await champions.all()
    assert champions._look is first


async def test_symbols_and_bars(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    assert (await client.get("/api/symbols")).json() == {"symbols": [TRADED, "ETH-USD.SIM"], "count": 2}
    stored = query.candles(store, SETTINGS, TRADED, "1m").records
    found = (await client.get("/api/ohlc/", params={"symbol": "BTCUSD", "limit": 5})).json()
    assert (found["symbol"], found["count"]) == ("BTCUSD", 5)
    last = found["data"][-1]
    assert list(last) == ["timestamp", "timestamp_ms", "open", "high", "low", "close", "volume", "symbol"]
    assert last["close"] == stored["close"][-1]
    assert last["timestamp"] == format_time(int(stored["open_time"][-1]))
    assert (await client.get("/api/ohlc/latest", params={"symbol": "btc-usd"})).json()["close"] == last["close"]


@pytest.mark.parametrize("path", ["/api/ohlc", "/api/volatility"])
async def test_the_slash_at_the_end_may_be_left_out(app: FastAPI, client: httpx.AsyncClient, path: str) -> None:
    ask: dict[str, Any] = {"symbol": "BTCUSD", "limit": 5}
    with_it, without = [await client.get(name, params=ask) for name in (f"{path}/", path)]
    assert without.raise_for_status().content == with_it.content
    assert {path, f"{path}/"} <= set(app.openapi()["paths"])


async def test_a_date_as_end_means_the_whole_of_that_day(client: httpx.AsyncClient) -> None:
    ask: dict[str, Any] = {"symbol": "BTCUSD", "limit": 10_000, "start_date": "2024-01-01", "end_date": "2024-01-01"}
    assert (await client.get("/api/ohlc/", params=ask)).json()["count"] > 100
    assert (await client.get("/api/ohlc/", params=ask | {"end_date": "2023-12-31"})).status_code == 400
    assert (await client.get("/api/ohlc/", params=ask | {"start_date": "2024-01-02", "end_date": "2024-01-03"})).json()[
        "count"
    ] == 0


async def test_volatility_is_null_where_it_is_unknown(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    stored = query.candles(store, SETTINGS, TRADED, "1m").records["realized_vol"]
    found = (await client.get("/api/volatility/", params={"symbol": "BTCUSD", "limit": 7})).json()
    assert [row["volatility"] for row in found["data"]] == pytest.approx(stored[-7:].tolist())
    others = (await client.get("/api/volatility/", params={"symbol": "ETHUSD"})).json()
    assert [row["volatility"] for row in others["data"]] == [None] * 4
    assert "log returns of the close" in others["measure"]


@pytest.mark.parametrize("chart", ["candlestick", "price-line", "volatility", "volume"])
async def test_charts_are_plotly_figures_that_say_simulated(client: httpx.AsyncClient, chart: str) -> None:
    found = (await client.get(f"/api/viz/{chart}", params={"symbol": "BTCUSD", "limit": 50})).raise_for_status()
    figure = go.Figure(found.json())
    assert len(figure.data[0].x) == 50
    assert figure.layout.title.text.startswith("SIMULATED BTC-USD.SIM")


async def test_several_symbols_are_compared_from_a_common_start(client: httpx.AsyncClient) -> None:
    found = await client.get("/api/viz/multi-symbol", params={"symbols": "BTCUSD,ETHUSD", "limit": 50})
    figure = go.Figure(found.json())
    assert [(trace.name, trace.y[0]) for trace in figure.data] == [(TRADED, 0), ("ETH-USD.SIM", 0)]
    assert (await client.get("/api/viz/multi-symbol", params={"symbols": ","})).status_code == 400


@pytest.mark.parametrize(("symbol", "status"), [("DOGEUSD", 404), ("BTC-USD.KRAKEN", 404), ("", 422)])
async def test_an_unknown_symbol_is_refused(client: httpx.AsyncClient, symbol: str, status: int) -> None:
    for path in ("/api/ohlc/", "/api/ohlc/latest", "/api/volatility/", "/api/viz/volume"):
        assert (await client.get(path, params={"symbol": symbol})).status_code == status


async def test_health_names_the_models_that_answer(client: httpx.AsyncClient, store: DuckDBStore, live: Live) -> None:
    found = (await client.get("/health")).json()
    assert (found["status"], found["simulated"]) == ("healthy", True)
    assert found["models_loaded"][f"{TRADED}_1m_5m"] == champion(store, "return").version
    live.told |= {"health": "degraded", "reasons": ["SIM: stale"]}
    assert (await client.get("/health")).json()["reasons"] == ["SIM: stale"]


async def test_ready_only_when_connected(client: httpx.AsyncClient, live: Live) -> None:
    assert (await client.get("/ready")).json()["ready"] is True
    live.told["venues"][0]["state"] = "stale"
    answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["state"]["waiting"]) == (503, ["SIM: stale"])


@pytest.mark.parametrize("path", ["/drift", "/v1/drift"])
async def test_drift_is_not_invented(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["state"]["measured"]) == (503, False)


async def test_the_root_is_a_page_and_docs_need_no_network(client: httpx.AsyncClient) -> None:
    assert "text/html" in (await client.get("/")).headers["content-type"]
    docs = (await client.get("/docs")).text
    for path in ("/v1/candles", "/predict/direction", "/api/viz/multi-symbol", "/metrics"):
        assert path in docs


async def test_stats_count_what_came_and_what_was_dropped(client: httpx.AsyncClient, hub: Hub) -> None:
    from dataclasses import replace

    from tests.committed import commits

    hub.publish(replace(next(commits(100, 100)), duplicates=7, late=2))
    found = (await client.get("/stats")).json()
    assert (found["received"], found["duplicates"], found["trades"]) == (109, 7, 100)
    assert found["instruments"][TRADED]["late"] == 2


async def test_times_of_a_model_that_was_not_asked_when(store: DuckDBStore, live: Live) -> None:
    app = create_app(store.reader, Hub(), live, SETTINGS, clock=ManualClock(START + 2 * DAY + MINUTE))
    rows, _ = rows_of(store)
    async with calling(app) as client:
        answer = await client.post("/predict/anomaly", json={"symbol": TRADED, "features": rows[-1].tolist()})
    assert answer.status_code == 200
