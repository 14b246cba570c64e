"""The short way to the predictions: it says what the routes of FastAPI say, and leaves them what it does not take."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.api.conftest import calling
from tests.stored import TRADED

from tapeline.api import inference
from tapeline.api.direct import Direct

ASKED: list[bytes] = [
    b"",
    b"{",
    b"[1]",
    b'{"symbol":"BTC-USD.SIM"}{',
    b'{"symbol":"BTC-USD.SIM","features":[NaN]}',
    b'{"symbol":"BTC-USD.SIM","features":[1.0]}',
    b'{"symbol":"BTC-USD.SIM","features":{"close":1.0}}',
    b'{"symbol":"BTC-USD.SIM","features":[1.0],"more":1}',
    b'{"symbol":"NO-SUCH.SIM","features":[1.0]}',
    b'{"symbol":"","features":[1.0]}',
]


@pytest.fixture
def routed(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything take the way of FastAPI."""

    async def hand_on(self: Direct, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    monkeypatch.setattr(Direct, "__call__", hand_on)


async def answers(app: FastAPI, route: str) -> list[tuple[int, str, Any]]:
    async with calling(app) as client:
        found = [await client.post(f"/predict/{route}", content=asked) for asked in ASKED]
    return [(one.status_code, one.headers["content-type"], one.json()) for one in found]


@pytest.mark.parametrize("route", ["direction", "regime", "anomaly"])
async def test_both_ways_refuse_alike(app: FastAPI, route: str, request: pytest.FixtureRequest) -> None:
    direct = await answers(app, route)
    request.getfixturevalue("routed")
    assert await answers(app, route) == direct
    assert {status for status, _, _ in direct} <= {400, 404, 503}


async def test_both_ways_answer_alike(app: FastAPI, client: httpx.AsyncClient, request: pytest.FixtureRequest) -> None:
    known = (await client.post("/predict/direction", json={"symbol": TRADED, "features": []})).json()["expected"]
    row = dict.fromkeys(known.split(": ", 1)[1].split(", "), 0.5)
    ask = {"symbol": TRADED, "features": row, "timestamp_ms": 1_704_067_200_000}
    direct = await client.post("/predict/direction", json=ask)
    request.getfixturevalue("routed")
    routed = await client.post("/predict/direction", json=ask)
    assert direct.status_code == routed.status_code == 200
    assert dict(direct.headers) | {"content-length": ""} == dict(routed.headers) | {"content-length": ""}
    assert direct.json() | {"latency_ms": 0} == routed.json() | {"latency_ms": 0}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict/direction", 405),
        ("POST", "/predict/direction/", 404),
        ("POST", "/predict/price", 404),
        ("POST", "/predict/direction?symbol=BTCUSD", 422),
    ],
)
async def test_what_is_not_quite_theirs_is_left_to_the_routes(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path, json={"symbol": TRADED, "features": [1.0]})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_a_bug_is_told_without_its_words(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_ask", lambda raw: 1 // 0)
    answer = await client.post("/predict/direction", json={})
    assert (answer.status_code, "division" in answer.text) == (500, False)
