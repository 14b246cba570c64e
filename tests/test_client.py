"""The client knows every route and parameter of /v1, reads every answer, and tells every problem."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from tests.api.conftest import NAME, TOKEN, app, hub, live, settings, store, template
from tests.committed import commits
from tests.stored import SETTINGS, TRADED

from tapeline import query, questions, wire
from tapeline.api.server import listen, serving
from tapeline.client import AsyncClient, Client
from tapeline.coverage import coverage
from tapeline.documents import Page
from tapeline.errors import StoreLocked, StoreUnavailable, UnknownName, UsageError
from tapeline.explain import explain
from tapeline.hub import Hub
from tapeline.questions import Question
from tapeline.registry import Registry
from tapeline.remote import RemoteStore
from tapeline.stores.duckdb import DuckDBStore
from tapeline.tape import find, records
from tapeline.types import Frame

__all__ = ["app", "hub", "live", "settings", "store", "template"]

ARGUMENTS: dict[str, Any] = {
    "instrument": TRADED,
    "id": "0" * 32,
    "name": NAME,
    "version": "v",
    "query": "SELECT 1 AS one",
    "timeframe": "5m",
    "feature_set": "bars",
    "start": "2024-01-01",
    "end": "2024-01-02",
    "limit": 3,
    "include_running": True,
    "model": "ridge+logistic",
    "cursor": "AAAA",
    "by": "day",
    "target": "regime",
}


FILLED = ("candles", "trades", "features", "predictions", "answers", "models", "late")


def all_questions(**chosen: Any) -> Iterator[tuple[str, Question[Any]]]:
    """Yield every question, asked with all its arguments."""
    for name, function in inspect.getmembers(questions, inspect.isfunction):
        if function.__module__ == questions.__name__ and not name.startswith("_"):
            named = inspect.signature(function).parameters
            yield name, function(**{key: {**ARGUMENTS, **chosen}[key] for key in named})


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    app.state.context.owner_key = "the key"
    async with serving(app, listen("127.0.0.1", 0)) as address:
        yield address


def test_it_asks_every_route_with_every_parameter(app: FastAPI) -> None:
    routes = {
        (verb.upper(), path): {one["name"] for one in route.get("parameters", []) if one["in"] == "query"}
        for path, verbs in app.openapi()["paths"].items()
        for verb, route in verbs.items()
        if path.startswith("/v1/") and path not in ("/v1/stream/sse", "/v1/runs/{id}/files/{name}")
    }
    asked = {}
    for _, question in all_questions():
        path = question.path.replace(ARGUMENTS["id"], "{id}").replace(NAME, "{name}")
        path = path.replace(f"gaps/{TRADED}", "gaps/{instrument}")
        asked[question.method, path] = set(question.asked)
    assert asked == routes


async def test_it_reads_every_answer(address: str, store: DuckDBStore) -> None:
    made = store.read("predictions", limit=5)["id"].to_pylist()[0]
    said = store.read("answers", limit=5)["id"].to_pylist()[0]
    version = next(entry.version for entry in Registry(store).entries() if entry.name == NAME)
    good = {"id": made, "version": version, "cursor": None, "model": None, "timeframe": "1m"}
    refused = {"drift": StoreUnavailable, "rollback": UsageError, "run": UnknownName}
    async with AsyncClient(address, token=TOKEN) as client:
        for name, question in all_questions(**good):
            if name in refused:
                with pytest.raises(refused[name]):
                    await client.ask(question)
                continue
            asked = replace(question, path=question.path.replace(made, said)) if "answer" in name else question
            answer = await client.ask(asked)
            if isinstance(answer, Page) and name in FILLED:
                assert answer.items
        candles = await client.ask(questions.candles(TRADED, limit=2))
        assert isinstance(candles.items[0], wire.Candle)
        pages = [page async for page in client.pages(questions.trades(TRADED, limit=6_000))]
        assert [len(page.items) for page in pages] == [6_000, 6_000, 3_000]


async def test_it_tells_problems_as_errors_of_ours(address: str) -> None:
    async with AsyncClient(address) as client:
        with pytest.raises(UnknownName, match=r"instrument X\.Y: is not in this database: expected one of: BTC"):
            await client.ask(questions.candles("X.Y"))
        with pytest.raises(UsageError, match="start: is not before end: expected a time before"):
            await client.ask(questions.trades(TRADED, start="2025-01-01", end="2024-01-01"))
        with pytest.raises(UsageError, match="token is missing"):
            await client.ask(questions.heal(TRADED))
        with pytest.raises(StoreUnavailable, match="drift: is not measured yet"):
            await client.ask(questions.drift())
    async with AsyncClient("http://127.0.0.1:9") as nobody:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await nobody.ask(questions.status())


async def test_the_sync_client_does_the_same(address: str) -> None:
    def ask() -> tuple[int, list[int]]:
        with Client(address) as client:
            pages = [len(page.items) for page in client.pages(questions.candles(TRADED, limit=100))]
            return len(client.ask(questions.instruments()).items), pages

    instruments, pages = await asyncio.to_thread(ask)
    assert (instruments, pages[:-1]) == (2, [100] * (len(pages) - 1))


async def test_it_streams(address: str, hub: Hub) -> None:
    async with AsyncClient(address) as client, client.stream(["candles"], [TRADED], ["1m"]) as messages:
        assert (await anext(messages))["op"] == "subscribed"
        for committed in commits(400):
            hub.publish(committed)
        assert (await anext(messages))["channel"] == "candles"


async def test_a_command_reads_through_the_owner_what_it_would_read_itself(address: str, store: DuckDBStore) -> None:
    def read() -> None:
        with closing(RemoteStore(address, "the key")) as remote:
            compare(remote)

    def compare(remote: RemoteStore) -> None:
        local = query.candles(store, SETTINGS, TRADED, "1m")
        there = query.candles(remote, SETTINGS, TRADED, "1m")
        assert there.records.tobytes() == local.records.tobytes()
        folded = query.features(remote, SETTINGS, TRADED, "10m", "bars").rows
        assert folded.values.tobytes() == query.features(store, SETTINGS, TRADED, "10m", "bars").rows.values.tobytes()
        assert coverage(remote) == coverage(store)
        assert remote.sizes().keys() == store.sizes().keys()
        tape = find(remote, TRADED)
        assert tape is not None
        assert sum(len(record) for record in records(remote, tape, rows=4_000) if isinstance(record, Frame)) == 15_000
        made = store.read("predictions", limit=1)["id"].to_pylist()[0]
        assert explain(remote, SETTINGS, made)["matches"]
        with pytest.raises(StoreLocked, match="written by its owner alone"):
            remote.append("trades", store.read("trades", limit=1))
        with pytest.raises(UsageError, match="not allowed"):
            remote.sql("DELETE FROM trades")

    await asyncio.to_thread(read)


@pytest.mark.parametrize("key", ["another", TOKEN])
async def test_only_who_holds_the_key_reads_so(address: str, key: str) -> None:
    def read() -> None:
        with closing(RemoteStore(address, key)) as remote:
            remote.read("trades")

    with pytest.raises(UsageError, match="key is missing or wrong"):
        await asyncio.to_thread(read)
