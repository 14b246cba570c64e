"""Every pattern of a parameter is told in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
from fastapi import FastAPI

from tapeline.api.patterns import words_of


def patterns_in(value: Any) -> Iterator[str]:
    """Yield the patterns of a part of an OpenAPI document."""
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from patterns_in(one)


def test_every_pattern_has_words(app: FastAPI) -> None:
    parameters = [
        one
        for verbs in app.openapi()["paths"].values()
        for route in verbs.values()
        for one in route.get("parameters", [])
    ]
    found = set(patterns_in(parameters))
    assert len(found) > 8
    assert [one for one in found if not words_of(one)] == []


async def test_who_breaks_one_is_told_the_rule_and_no_pattern(client: httpx.AsyncClient) -> None:
    for path in (
        "/api/ohlc/?symbol=BTCUSD&start_date=22.11.2026",
        "/v1/candles?instrument=btc",
        "/v1/quality?timeframe=minute",
        "/v1/predictions/zzz",
        "/v1/stream/sse?channels=,",
    ):
        answer = await client.get(path)
        problem = answer.json()
        assert answer.status_code == 422
        assert "such as" in problem["expected"]
        assert problem["expected"] in problem["detail"]
        assert "\\d" not in answer.text
        assert "pattern" not in answer.text
