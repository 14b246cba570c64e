"""The short way to the predictions: over a real line it says what the routes of FastAPI say, byte for byte."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from fastapi import FastAPI
from tests.api.conftest import NOW, TOKEN
from tests.api.test_serve import Sink
from tests.stored import TRADED
from uvicorn.server import ServerState

from tapeline.api import asked
from tapeline.api.app import create_app
from tapeline.api.direct import Direct
from tapeline.api.inference import Inference
from tapeline.api.security import Rules
from tapeline.api.server import Requests, listen, serving
from tapeline.clock import ManualClock
from tapeline.config import Settings
from tapeline.errors import TapelineError
from tapeline.hub import Hub
from tapeline.stores.duckdb import DuckDBStore

BODIES: list[bytes] = [
    b"{",
    b"[1]",
    b'{"symbol":"BTC-USD.SIM"}{',
    b'{"symbol":"BTC-USD.SIM"}',
    b'{"symbol":"BTC-USD.SIM","features":[NaN]}',
    b'{"symbol":"BTC-USD.SIM","features":[1.0]}',
    b'{"symbol":"BTC-USD.SIM","features":{"close":1.0}}',
    b'{"symbol":"BTC-USD.SIM","features":[1.0],"more":1}',
    b'{"symbol":"BTC-USD.SIM","features":[1.0],"horizon":"7m"}',
    b'{"symbol":"BTC-USD.SIM","features":[1.0],"horizon":"soon"}',
    b'{"symbol":"NO-SUCH.SIM","features":[1.0]}',
    b'{"symbol":"","features":[1.0]}',
]
HEADS: list[tuple[str, list[str]]] = [
    ("POST /predict/direction?symbol=BTCUSD HTTP/1.1", []),
    ("POST /predict/direction/ HTTP/1.1", []),
    ("POST /predict/price HTTP/1.1", []),
    ("GET /predict/direction HTTP/1.1", []),
    ("PUT /predict/direction HTTP/1.1", []),
    ("POST http://127.0.0.1/predict/direction HTTP/1.1", []),
    ("POST /predict/%64irection HTTP/1.1", []),
    ("POST /predict/direction HTTP/1.0", []),
    ("POST /predict/direction HTTP/1.1", ["Host: evil.example"]),
    ("POST /predict/direction HTTP/1.1", ["Connection: close"]),
    ("POST /predict/direction HTTP/1.1", ["Origin: http://elsewhere.example"]),
    ("POST /predict/direction HTTP/1.1", ["Origin: http://known.example"]),
    ("POST /predict/direction HTTP/1.1", ["Authorization: Bearer wrong", "Cookie: a=b", "X-More: 1"]),
]
_PATIENCE = 60.0
EMPTY = b"POST /predict/direction HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def request(body: bytes, first: str = "POST /predict/direction HTTP/1.1", more: list[str] | None = None) -> bytes:
    lines = [first, *(more or [])]
    if not any(line.startswith("Host:") for line in lines):
        lines.append("Host: 127.0.0.1:8787")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def given(app: FastAPI, route: str = "direction") -> bytes:
    """Return a body that is answered, after the champions were looked at."""
    await app.state.champions.all()
    with pytest.raises(TapelineError) as refused:
        await app.state.inference.answer(route, json.dumps({"symbol": TRADED, "features": []}).encode())
    names = str(refused.value.expected).split(": ", 1)[1].split(", ")
    return json.dumps(
        {"symbol": TRADED, "features": dict.fromkeys(names, 0.5), "timestamp_ms": 1_704_067_200_000}
    ).encode()


class Line:
    """A connection, of which whole answers are read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> bytes:
        """Return the next answer, its date and latency left out."""
        async with asyncio.timeout(_PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            body = await self.reader.readexactly(int(length[1]) if length else 0)
        whole = re.sub(rb"date: [^\r]*", b"date:", head) + body
        whole = re.sub(rb"content-length: \d+", b"content-length:", whole) if b"latency_ms" in body else whole
        return re.sub(rb'"latency_ms":[\d.e-]+', b'"latency_ms":', whole)

    async def rest(self) -> bytes:
        """Return what comes until the server hangs up."""
        async with asyncio.timeout(_PATIENCE):
            return await self.reader.read()

    async def ask(self, raw: bytes) -> bytes:
        self.writer.write(raw)
        return await self.answer()


Connect = Callable[[], Awaitable[Line]]


@asynccontextmanager
async def lines(app: FastAPI) -> AsyncIterator[Connect]:
    """Serve, and give what connects."""
    made: list[asyncio.StreamWriter] = []
    async with serving(app, listen("127.0.0.1", 0)) as address:

        async def connect() -> Line:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(address).port)
            made.append(writer)
            return Line(reader, writer)

        try:
            yield connect
        finally:
            for writer in made:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"cors": ["http://known.example"]})


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let everything take the way of FastAPI, from when it is called."""
    return lambda: monkeypatch.setattr(Direct, "takes", lambda *_: False)


@pytest.fixture
def only_at_once(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the way of FastAPI fail, from when it is called."""
    return lambda: monkeypatch.delattr(Inference, "answer")


async def answers(connect: Connect, asks: list[bytes]) -> list[bytes]:
    """Return the answers to each, asked twice where the line stays open; each on a line of its own."""
    found = []
    for ask in asks:
        line = await connect()
        told = await line.ask(ask)
        open_still = b"connection: close" not in told
        found.append(told + (await line.ask(ask) if open_still else await line.rest()))
    return found


@pytest.mark.parametrize("route", ["direction", "regime", "anomaly"])
async def test_both_ways_answer_a_body_alike(app: FastAPI, route: str, routed: Any) -> None:
    first = f"POST /predict/{route} HTTP/1.1"
    good = await given(app, route if route == "anomaly" else "direction")
    asks = [request(body, first) for body in [good, *BODIES]]
    async with lines(app) as connect:
        direct = await answers(connect, asks)
        routed()
        assert await answers(connect, asks) == direct
    assert {int(told[9:12]) for told in direct} <= {200, 400, 404, 503}


async def test_both_ways_answer_a_head_alike(app: FastAPI, routed: Any) -> None:
    body = await given(app)
    asks = [request(body, first, more) for first, more in HEADS] + [EMPTY, request(b"x" * (1 << 16 | 1))]
    async with lines(app) as connect:
        direct = await answers(connect, asks)
        routed()
        assert await answers(connect, asks) == direct
    assert {int(told[9:12]) for told in direct} == {200, 400, 404, 405, 421, 422}
    assert sum(b"access-control-allow-origin: http://known.example" in told for told in direct) == 1


async def test_what_is_good_or_bad_is_answered_at_once(app: FastAPI, only_at_once: Any) -> None:
    good = await given(app)
    only_at_once()
    async with lines(app) as connect:
        told = await answers(connect, [request(good), request(b"{"), request(good, more=["Host: evil.example"])])
    assert [int(one[9:12]) for one in told] == [200, 400, 421]


async def test_answers_come_in_the_order_of_the_questions(app: FastAPI) -> None:
    good, get = await given(app), b"GET /v1/gaps HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    asks = [request(good), get, request(good), request(b'{"symbol":"BTC-USD.SIM"}'), request(good), request(b"{"), get]
    async with lines(app) as connect:
        line = await connect()
        one_by_one = [await line.ask(ask) for ask in asks]
        line.writer.write(b"".join(asks))
        assert [await line.answer() for _ in asks] == one_by_one
    assert [int(one[9:12]) for one in one_by_one] == [200, 200, 200, 503, 200, 400, 200]


def connected(app: FastAPI, sink: Sink) -> Requests:
    """Return the server's side of a line."""
    config = uvicorn.Config(app, log_config=None)
    config.load()
    server = Requests(config=config, server_state=ServerState(), app_state={}, direct=app.state.direct)
    server.connection_made(sink)
    server.client = ("127.0.0.1", 50_000)
    return server


async def test_an_idle_line_is_left_after_a_while(app: FastAPI) -> None:
    good, sink = await given(app), Sink()
    server = connected(app, sink)
    server.data_received(request(good))
    timer = server.timeout_keep_alive_task
    server.data_received(request(good))
    assert timer is not None
    assert server.timeout_keep_alive_task is timer
    server._answered = server.loop.time() - server.timeout_keep_alive / 2
    timer.cancel()
    server.timeout_keep_alive_handler()
    later = server.timeout_keep_alive_task
    assert later is not None
    assert 0 < later.when() - server.loop.time() <= server.timeout_keep_alive / 2
    assert not sink.gone
    server.data_received(request(good)[:30])
    assert server.timeout_keep_alive_task is None
    assert later.cancelled()
    server.data_received(request(good)[30:])
    server._answered -= server.timeout_keep_alive
    server.timeout_keep_alive_handler()
    assert sink.gone
    server.connection_lost(None)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
async def test_a_request_may_come_in_pieces(app: FastAPI, size: int) -> None:
    good, sink = await given(app), Sink()
    server = connected(app, sink)
    raw = request(good) + request(b"{") + request(good)
    for at in range(0, len(raw), size):
        server.data_received(raw[at : at + size])
    server.connection_lost(None)
    assert [int(one[9:12]) for one in sink.sent] == [200, 400, 200]
    told = [json.loads(sink.sent[at].partition(b"\r\n\r\n")[2]) | {"latency_ms": 0} for at in (0, 2)]
    assert told[0] == told[1]
    assert server.server_state.total_requests == 3


async def test_what_is_handed_on_counts_once(store: DuckDBStore, settings: Settings) -> None:
    app = create_app(store.reader, Hub(), None, settings.model_copy(update={"rate_limit": 5}), clock=ManualClock(NOW))
    async with lines(app) as connect:
        line = await connect()
        told = [await line.ask(request(b'{"symbol":"BTC-USD.SIM"}')) for _ in range(10)]
        more = [await line.ask(request(b"{")) for _ in range(40)]
    assert {int(one[9:12]) for one in told} == {503}
    assert b"retry-after: 1" in next(one for one in more if one.startswith(b"HTTP/1.1 429 Too Many Requests\r\n"))


@pytest.mark.parametrize(("token", "status"), [("", 401), ("wrong", 401), (TOKEN, 200)])
async def test_another_machine_must_show_the_token(app: FastAPI, settings: Settings, token: str, status: int) -> None:
    good = await given(app)
    headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode())]
    scope: dict[str, Any] = {"type": "http", "headers": headers, "client": ("192.0.2.7", 1)}
    told = app.state.direct.answer(b"/predict/direction", scope, good, [])
    assert int(told[9:12]) == status
    assert (b"www-authenticate: Bearer" in told) == (status == 401)


def test_no_other_machine_is_answered_where_it_may_not(settings: Settings) -> None:
    """A route that fails where it is reached at all."""
    direct = Direct(Rules(settings), {"/x": lambda raw: raw.undefined}, cors=False)  # type: ignore[attr-defined]
    scope: dict[str, Any] = {"type": "http", "headers": [(b"host", b"127.0.0.1")], "client": ("192.0.2.7", 1)}
    assert direct.answer(b"/x", scope, b"", []).startswith(b"HTTP/1.1 401 Unauthorized\r\n")  # type: ignore[union-attr]


async def test_a_bug_is_told_without_its_words(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    await app.state.champions.all()
    monkeypatch.setattr(asked, "read", lambda raw: 1 // 0)
    async with lines(app) as connect:
        line = await connect()
        told = await line.ask(request(b"{}"))
        assert await line.rest() == b""
    assert told.startswith(b"HTTP/1.1 500")
    assert b"division" not in told


async def test_they_are_counted_as_those_of_the_long_way(app: FastAPI, routed: Any) -> None:
    asks = [request(await given(app)), request(b"{"), request(b'{"symbol":"BTC-USD.SIM","features":[1.0]}')]

    def counted() -> list[float]:
        lines = app.state.metrics.text().decode().splitlines()
        return [float(one.split()[-1]) for one in lines if re.match(r"tapeline_inference_\w+_(total|count)", one)]

    before = counted()
    async with lines(app) as connect:
        await answers(connect, asks)
        direct = counted()
        routed()
        await answers(connect, asks)
    assert len(direct) == len(counted()) == 4
    assert sum(direct) - sum(before) == sum(counted()) - sum(direct) == 8
