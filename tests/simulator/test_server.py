"""The server over real sockets of this machine: what it tells is the true tape, and each fault does what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tapeline.clock import HOUR, MINUTE, SECOND, ManualClock
from tapeline.errors import UnknownName
from tapeline.exchanges import kraken
from tapeline.exchanges.base import Trade
from tapeline.simulator.faults import Faults, Strike
from tapeline.simulator.market import JANUARY_2024
from tapeline.simulator.server import Server, serve
from tapeline.simulator.venue import venue_names

BTC = "BTC-USD.KRAKEN"


class Sim:
    """A server whose time is moved by hand."""

    def __init__(self, server: Server, clock: ManualClock) -> None:
        self.server = server
        self.clock = clock

    def go_on(self, seconds: float = 1.0) -> None:
        self.clock.advance(int(seconds * SECOND))
        self.server.pump()

    async def get(self, path: str, **params: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=5) as client:
            return await client.get(self.server.rest_url + path, params=params)

    @asynccontextmanager
    async def client(self, *symbols: str) -> AsyncIterator[ClientConnection]:
        async with websockets.connect(self.server.ws_url, max_size=None, max_queue=None) as socket:
            for raw in kraken.subscribe([f"{one}-USD.KRAKEN" for one in symbols or ("BTC",)]):
                await socket.send(raw.decode())
            for _ in range(1 + 2 * len(symbols or ("BTC",))):
                await socket.recv()
            yield socket


@asynccontextmanager
async def simulated(chances: dict[str, float] | None = None, log: list[Strike] | None = None) -> AsyncIterator[Sim]:
    clock = ManualClock(JANUARY_2024)
    faults = Faults(chances, log=(log if log is not None else []).append)
    server = serve(
        "kraken",
        ["BTC-USD", "ETH-USD"],
        rate=20.0,
        history=2 * MINUTE,
        clock=clock,
        every=None,
        limited=False,
        faults=faults,
    )
    async with server:
        yield Sim(server, clock)


async def ids_of(socket: ClientConnection, last: int) -> list[int]:
    """Return the ids told, in order, up to the one that is the last."""
    ids: list[int] = []
    while last not in ids:
        raw = await asyncio.wait_for(socket.recv(), 5)
        ids += [one["trade_id"] for one in json.loads(raw).get("data", [])]
    return ids


def last_id(sim: Sim, instrument: str = BTC) -> int:
    return int(sim.server.truth(instrument).trade_id[-1])


async def closed_with(socket: ClientConnection) -> int | None:
    await asyncio.wait_for(socket.wait_closed(), 5)
    return socket.close_code


async def test_what_is_told_is_what_truly_happened() -> None:
    async with simulated() as sim, sim.client("BTC", "ETH") as socket:
        before = {name: len(tape.whole()) for name, tape in sim.server.venue.tapes.items()}
        for seconds in [1] * 30 + [120]:
            sim.go_on(seconds)
        told: dict[str, list[tuple[Any, ...]]] = {name: [] for name in before}
        while any(len(told[name]) < len(sim.server.truth(name)) - before[name] for name in told):
            for event in kraken.parse_message(str(await asyncio.wait_for(socket.recv(), 5)).encode(), 0):
                if isinstance(event, Trade):
                    raw = event.raw
                    told[event.instrument].append(
                        (raw.trade_id, raw.ts_event, float(raw.price), float(raw.qty), raw.side)
                    )
        for name, count in before.items():
            truth = sim.server.truth(name).take(slice(count, None))
            columns = (truth.trade_id, truth.ts_event, truth.price, truth.qty, truth.side)
            assert told[name] == list(zip(*(column.tolist() for column in columns), strict=True))
            assert len(told[name]) > 1000


async def test_rest_and_websocket_share_one_port_and_one_truth() -> None:
    async with simulated() as sim:
        sim.go_on()
        response = await sim.get("/0/public/Trades", pair="XBTUSD", count="5")
        assert [row[6] for row in response.json()["result"]["XXBTZUSD"]] == (
            sim.server.truth(BTC).trade_id[-5:].tolist()
        )
        assert response.headers["content-type"] == "application/json"
        assert sim.server.ws_url.removeprefix("ws") == sim.server.rest_url.removeprefix("http") + "/v2"
        assert (await sim.get("/nowhere")).json() == {"error": ["EGeneral:Unknown method"]}


async def test_two_clients_are_told_the_same() -> None:
    async with simulated() as sim, sim.client() as one, sim.client() as two:
        assert sim.server.connections == 2
        sim.go_on(10)
        first, second = await ids_of(one, last_id(sim)), await ids_of(two, last_id(sim))
        assert first == second


async def test_on_trades_is_told_everything_from_the_beginning() -> None:
    told: list[int] = []
    clock = ManualClock(JANUARY_2024)
    server = serve(
        "kraken", ["BTC-USD"], clock=clock, every=None, on_trades=lambda frame: told.extend(frame.trade_id.tolist())
    )
    async with server:
        clock.advance(MINUTE)
        server.pump()
    assert told == server.truth(BTC).trade_id.tolist() == list(range(1, len(told) + 1))


async def test_the_same_seed_and_time_give_the_same_truth() -> None:
    truths = []
    for seed in (5, 5, 6):
        server = serve("kraken", ["BTC-USD"], seed=seed, history=HOUR, clock=ManualClock(JANUARY_2024), every=None)
        async with server:
            truths.append(server.truth(BTC).qty.tolist())
    assert truths[0] == truths[1] != truths[2]


async def test_it_looks_by_itself_when_told_how_often() -> None:
    server = serve("kraken", ["BTC-USD"], rate=500.0, history=SECOND, every=0.001)
    async with server:
        sim = Sim(server, ManualClock())
        async with sim.client() as socket:
            assert "update" in str(await asyncio.wait_for(socket.recv(), 5))


async def test_a_client_that_does_not_read_is_closed() -> None:
    async with simulated({"slow-reader": 1.0}) as sim, sim.client() as socket:
        socket.transport.pause_reading()
        for _ in range(10_000):
            sim.go_on(60)
            await asyncio.sleep(0)
            if not sim.server.connections:
                break
        socket.transport.resume_reading()
        assert await closed_with(socket) == 1006


async def test_a_broken_connection_says_nothing() -> None:
    async with simulated({"disconnect": 1.0}) as sim, sim.client() as socket:
        sim.go_on()
        assert await closed_with(socket) == 1006


async def test_a_stalled_connection_stays_open_and_silent() -> None:
    async with simulated({"stall": 1.0}) as sim, sim.client() as socket:
        sim.go_on(0.001)
        sim.go_on(30)
        pong = asyncio.ensure_future(await socket.ping())
        assert sim.server.connections == 1
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.05)
        assert not pong.done()
        sim.go_on(5 * 60)
        assert await closed_with(socket) == 1006
        assert isinstance(pong.exception(), websockets.ConnectionClosed)


async def test_a_shutdown_is_announced() -> None:
    async with simulated({"shutdown": 1.0}) as sim, sim.client() as socket:
        sim.go_on()
        assert "maintenance" in str(await asyncio.wait_for(socket.recv(), 5))
        sim.go_on()
        assert await closed_with(socket) == 1006


async def test_a_connection_may_live_for_seconds_only() -> None:
    async with simulated({"daily-close": 1.0}) as sim, sim.client() as socket:
        sim.go_on(4.9)
        assert sim.server.connections == 1
        sim.go_on(26)
        assert await closed_with(socket) == 1001


async def test_two_connections_fight() -> None:
    async with simulated({"fight": 1.0}) as sim, sim.client() as older, sim.client() as newer:
        assert await closed_with(older) == 1006
        sim.go_on(10)
        assert await ids_of(newer, last_id(sim))


async def test_garbage_and_huge_messages_come_between_the_good_ones() -> None:
    async with simulated({"huge": 1.0}) as sim, sim.client() as socket:
        sim.go_on()
        assert len(await asyncio.wait_for(socket.recv(), 10)) > 20_000_000
    async with simulated({"garbage": 1.0}) as sim, sim.client() as socket:
        sim.go_on()
        garbage = await asyncio.wait_for(socket.recv(decode=False), 5)
        assert isinstance(garbage, bytes)
        with pytest.raises(ValueError):
            json.loads(garbage)


async def test_a_dropped_batch_is_lost_on_the_socket_and_had_from_rest() -> None:
    log: list[Strike] = []
    async with simulated({"drop": 0.5}, log) as sim, sim.client() as socket:
        first = last_id(sim)
        while len(log) < 5 or log[-1].at == sim.clock.now():
            sim.go_on()
        told = await ids_of(socket, last_id(sim))
        missing = set(range(first + 1, last_id(sim) + 1)) - set(told)
        said = set[int]()
        for strike in log:
            low, _, high = strike.subject.removeprefix(f"{BTC} ").partition("-")
            said |= set(range(int(low), int(high or low) + 1))
        assert missing == said
        rows = (await sim.get("/0/public/Trades", pair="XBTUSD")).json()["result"]["XXBTZUSD"]
        assert missing <= {row[6] for row in rows}


async def test_a_refused_symbol_is_refused_alone() -> None:
    async with simulated({"refuse-symbol": 0.5}) as sim, websockets.connect(sim.server.ws_url) as socket:
        await socket.send(kraken.subscribe(["BTC-USD.KRAKEN", "ETH-USD.KRAKEN"] * 10)[0].decode())
        answers = [json.loads(await socket.recv()) for _ in range(21)]
        errors = [one["error"] for one in answers if one.get("success") is False]
        assert any("not supported" in error for error in errors)
        assert any(one.get("success") for one in answers)


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [("rest-429", {200}), ("rest-418", {200}), ("rest-5xx", {200, 500, 502, 504, 520}), ("rest-html", {200})],
)
async def test_rest_fails_as_the_venue_does(fault: str, statuses: set[int]) -> None:
    async with simulated({fault: 1.0}) as sim:
        answers = [await sim.get("/0/public/Trades", pair="XBTUSD") for _ in range(6)]
    assert {one.status_code for one in answers} <= statuses
    for one in answers:
        if one.headers["content-type"].startswith("text/html"):
            assert b"html" in one.content
        else:
            assert one.json()["error"][0] in {"EAPI:Rate limit exceeded", "EService:Unavailable"}


async def test_rest_may_tell_no_rows_or_a_wrong_cursor() -> None:
    async with simulated({"rest-empty": 1.0}) as sim:
        result = (await sim.get("/0/public/Trades", pair="XBTUSD", since="1")).json()["result"]
        assert result == {"XXBTZUSD": [], "last": str(SECOND)}
    async with simulated({"rest-cursor": 1.0}) as sim:
        result = (await sim.get("/0/public/Trades", pair="XBTUSD")).json()["result"]
        off = abs(int(result["last"]) - int(sim.server.truth(BTC).ts_event[-1]))
        assert SECOND <= off <= MINUTE


async def test_rest_may_be_cut_off_or_never_answer() -> None:
    async with simulated({"rest-truncated": 1.0}) as sim:
        with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
            await sim.get("/0/public/Trades", pair="XBTUSD")
    async with simulated({"rest-timeout": 1.0}) as sim, httpx.AsyncClient(timeout=0.05) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(sim.server.rest_url + "/0/public/Time")


async def test_a_skewed_clock_is_skewed_everywhere() -> None:
    async with simulated({"clock-skew": 1.0}) as sim:
        skew = sim.server.now() - sim.clock.now()
        assert 0 < abs(skew) <= 5 * SECOND
        time = (await sim.get("/0/public/Time")).json()["result"]["unixtime"]
        assert time == (sim.clock.now() + skew) // SECOND
        sim.go_on(60)
        assert sim.clock.now() + skew - SECOND < sim.server.truth(BTC).ts_event[-1] <= sim.clock.now() + skew


async def test_faults_are_the_same_for_the_same_seed() -> None:
    logs: list[list[Strike]] = [[], []]
    for log in logs:
        async with simulated({"drop": 0.2, "duplicate": 0.2}, log) as sim, sim.client():
            for _ in range(50):
                sim.go_on()
    assert logs[0] == logs[1]
    assert {strike.fault for strike in logs[0]} == {"drop", "duplicate"}


def test_a_venue_that_is_not_simulated_is_named() -> None:
    assert "kraken" in venue_names()
    with pytest.raises(UnknownName, match=r"simulated venue: is not known: expected one of: .*kraken.*, was 'nasdaq'"):
        serve("nasdaq")
