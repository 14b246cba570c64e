"""Streams over real sockets: WebSocket and server-sent events, garbage, flood, strangers, many clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.api.conftest import TOKEN
from tests.committed import commits, prediction
from tests.stored import START, TRADED
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tapeline.api.server import listen, serving
from tapeline.hub import Hub

ASK = {"op": "subscribe", "channels": ["candles"], "instruments": [TRADED], "timeframes": ["1m"], "id": 1}


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    async with serving(app, listen("127.0.0.1", 0)) as address:
        yield address


@pytest.fixture
async def socket(address: str) -> AsyncIterator[ClientConnection]:
    async with connect(f"{address.replace('http', 'ws')}/v1/stream") as socket:
        yield socket


async def say(socket: ClientConnection, message: object) -> dict[str, Any]:
    await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
    return await hear(socket)


async def hear(socket: ClientConnection) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await socket.recv())
    return told


async def test_a_client_gets_snapshots_then_updates(socket: ClientConnection, hub: Hub) -> None:
    made = list(commits())
    for committed in made[:15]:
        hub.publish(committed)
    answer = await say(socket, ASK)
    assert (answer["op"], answer["id"], answer["epoch"], answer["seq"]) == ("subscribed", 1, hub.epoch, hub.seq)
    assert (await hear(socket))["type"] == "snapshot"
    closed = 0
    for committed in made[15:]:
        closed += "1m" in committed.outputs.candles
        hub.publish(committed)
    told = [await hear(socket) for _ in range(closed)]
    assert {(one["type"], one["timeframe"]) for one in told} == {("update", "1m")}
    assert (await say(socket, {"op": "unsubscribe", "channels": ["candles"], "id": 2}))["op"] == "unsubscribed"
    hub.publish(made[-1])
    assert (await say(socket, {"op": "ping", "id": 3})) == {"op": "pong", "id": 3}


async def test_a_client_resumes_where_it_was(address: str, hub: Hub) -> None:
    url = f"{address.replace('http', 'ws')}/v1/stream"
    made = list(commits())
    for committed in made[:15]:
        hub.publish(committed)
    known = hub.seq
    for committed in made[15:]:
        hub.publish(committed)
    async with connect(url) as socket:
        await say(socket, ASK | {"resume": known, "epoch": hub.epoch})
        told = await hear(socket)
        assert (told["type"], told["seq"] > known) == ("update", True)
    async with connect(url) as socket:
        await say(socket, ASK | {"resume": known, "epoch": "before the restart"})
        assert (await hear(socket))["op"] == "reset"


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "{",
        "[]",
        "null",
        b"\xff\xfe",
        {"op": "drop"},
        {"op": "subscribe"},
        ASK | {"channels": ["candels"]},
        ASK | {"channels": "candles"},
        ASK | {"instruments": ["btc"]},
        ASK | {"timeframes": ["7m"]},
        ASK | {"resume": "x"},
        "[" * 20_000,
    ],
)
async def test_garbage_is_answered_and_the_conversation_goes_on(socket: ClientConnection, garbage: object) -> None:
    answer = await say(socket, garbage)
    assert answer["op"] == "error"
    assert "expected" in answer["detail"] or "cannot be read" in answer["detail"]
    assert (await say(socket, ASK))["op"] == "subscribed"


async def test_a_flood_is_cut_off(socket: ClientConnection) -> None:
    async def flood() -> None:
        for _ in range(10_000):
            await socket.send('{"op":"ping"}')

    with pytest.raises(ConnectionClosed):
        await asyncio.gather(flood(), drain(socket))
    assert socket.close_code == 1008


async def drain(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


async def test_a_message_may_not_be_huge(socket: ClientConnection) -> None:
    await socket.send("x" * (1 << 17))
    with pytest.raises(ConnectionClosed):
        await drain(socket)
    assert socket.close_code == 1009


async def test_a_page_of_another_origin_may_not_listen(address: str) -> None:
    url = f"{address.replace('http', 'ws')}/v1/stream"
    with pytest.raises(InvalidStatus):
        async with connect(url, additional_headers={"Origin": "https://evil.example"}):
            pass
    async with connect(url, additional_headers={"Origin": address}) as socket:
        assert (await say(socket, {"op": "ping"}))["op"] == "pong"


async def test_a_stranger_must_show_the_token_first(
    address: str, socket: ClientConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapeline.api.security.is_loopback", lambda host: False)
    async with connect(f"{address.replace('http', 'ws')}/v1/stream") as stranger:
        assert "token" in (await say(stranger, ASK))["detail"]
        assert "token" in (await say(stranger, {"op": "auth", "token": "wrong"}))["detail"]
        assert (await say(stranger, {"op": "auth", "token": TOKEN}))["op"] == "welcome"
        assert (await say(stranger, ASK))["op"] == "subscribed"


async def test_leaving_without_a_word_frees_the_place(address: str, hub: Hub) -> None:
    socket = await connect(f"{address.replace('http', 'ws')}/v1/stream")
    await say(socket, ASK)
    assert hub.subscribers == 1
    socket.transport.abort()
    async with asyncio.timeout(5):
        while hub.subscribers:
            await asyncio.sleep(0)


async def test_predictions_of_the_reference_route(address: str, hub: Hub) -> None:
    async with connect(f"{address.replace('http', 'ws')}/ws/predictions") as socket:
        async with asyncio.timeout(5):
            while not hub.subscribers:
                await asyncio.sleep(0)
        committed = next(commits(100, 100))
        committed.outputs.predictions.append(prediction(START))
        hub.publish(committed)
        told = await hear(socket)
    assert (told["symbol"], told["direction"], told["label"], told["model"]) == (TRADED, 1, "up", "ridge")
    assert told["target_time"] == "2024-01-01T00:01:00Z"


async def test_server_sent_events_resume(address: str, hub: Hub) -> None:
    made = list(commits())
    for committed in made[:15]:
        hub.publish(committed)
    url = f"{address}/v1/stream/sse?channels=candles&instruments={TRADED}&timeframes=1m"
    async with httpx.AsyncClient() as client:
        first = await events(client, url, 2, {})
        for committed in made[15:]:
            hub.publish(committed)
        again = await events(client, url, 2, {"Last-Event-ID": f"{hub.epoch}-{first[1]['id']}"})
        wrong = await client.get(f"{address}/v1/stream/sse?channels=candels")
    assert first[1]["data"]["type"] == "snapshot"
    assert again[1]["data"]["type"] == "update"
    assert again[1]["data"]["data"][0]["open_time"] == first[1]["data"]["data"][0]["close_time"]
    assert wrong.status_code == 400


async def events(client: httpx.AsyncClient, url: str, count: int, headers: dict[str, str]) -> list[dict[str, Any]]:
    """Return the first events of a stream, with the seq of their id."""
    found: list[dict[str, Any]] = []
    async with client.stream("GET", url, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        last = ""
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                last = line.rpartition("-")[2]
            if line.startswith("data: "):
                found.append({"id": last, "data": json.loads(line[6:])})
            if len(found) == count:
                return found
    raise AssertionError(found)


async def test_a_thousand_clients_are_told(address: str, hub: Hub) -> None:
    url = f"{address.replace('http', 'ws')}/v1/stream"
    count = 200  # 1,000 in bench/api.py: here both ends share one loop
    sockets = [await connect(url, compression=None) for _ in range(count)]
    for socket in sockets:
        await say(socket, ASK | {"channels": ["status"]})
    hub.set_status({"health": "healthy"})
    told = await asyncio.gather(*(hear(socket) for socket in sockets))
    assert {one["data"]["health"] for one in told} == {"healthy"}
    assert hub.subscribers == count
    await asyncio.gather(*(socket.close() for socket in sockets))


async def test_the_end_of_the_process_is_told(app: FastAPI, hub: Hub) -> None:
    async with serving(app, listen("127.0.0.1", 0)) as address:
        socket = await connect(f"{address.replace('http', 'ws')}/v1/stream")
        await say(socket, ASK)
    with pytest.raises(ConnectionClosed):
        await drain(socket)
    assert hub.subscribers == 0
