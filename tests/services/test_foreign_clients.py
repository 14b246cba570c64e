"""Fidelity: clients that no one here wrote talk to the simulated venues and read the true tape.

Each is told another address and nothing else, but for what stands in its test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pytest

from tapeline.clock import MINUTE, SystemClock
from tapeline.simulator.server import Server
from tapeline.simulator.sources import MarketSource
from tapeline.simulator.venue import find_venue

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

MANY = 40
PATIENCE = 60
MS = 1_000_000


class Told(NamedTuple):
    """A trade as a client gave it; ``time`` is in the client's unit, ``side`` 1 for buy."""

    trade_id: int
    price: float
    qty: float
    time: int
    side: int


@asynccontextmanager
async def serving(name: str, *instruments: str) -> AsyncIterator[Server]:
    kind, now = find_venue(name), SystemClock().now()
    sources = [
        MarketSource(one, 7, now=now, history=10 * MINUTE, rate=60.0, resolution=kind.resolution) for one in instruments
    ]
    async with Server(kind, sources) as server:
        yield server


def check(told: Iterable[Told], server: Server, instrument: str, unit: int = MS, *, sides: bool = True) -> None:
    """Compare what a client read with the true tape: no trade missing, doubled, out of order or other."""
    read = list(told)
    true = server.truth(instrument)
    columns = (true.trade_id, true.price, true.qty, true.ts_event // unit, true.side if sides else 0 * true.side)
    rows = dict(zip(true.trade_id.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True))
    assert len(read) >= 5
    assert [one.trade_id for one in read] == list(range(read[0].trade_id, read[0].trade_id + len(read)))
    assert [tuple(one) for one in read] == [rows[one.trade_id] for one in read]


def of_ccxt(row: Mapping[str, Any]) -> Told:
    return Told(int(row["id"]), row["price"], row["amount"], row["timestamp"], {"buy": 1, "sell": -1}[row["side"]])


async def fetched(client: Any, symbol: str, **params: Any) -> list[Any]:
    """Ask for trades; the client sorts them, and those of one millisecond by their ids as texts: 10000 before 9999."""
    rows = await asyncio.to_thread(client.fetch_trades, symbol, **params)
    return sorted(rows, key=lambda row: (row["timestamp"], int(row["id"])))


async def watched(client: Any, symbol: str) -> list[Told]:
    """Read trades as they come until there are enough."""
    read: list[Told] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while len(read) < MANY:
                read += [of_ccxt(row) for row in await client.watch_trades(symbol)]
    finally:
        await client.close()
    return read


class Heard:
    """What a client in a thread of its own was told, up to ``count``."""

    def __init__(self, wanted: Callable[[dict[str, Any]], list[Any]], count: int = MANY) -> None:
        self._loop = asyncio.get_running_loop()
        self._wanted = wanted
        self._count = count
        self._full = asyncio.Event()
        self.messages: list[dict[str, Any]] = []
        self.rows: list[Any] = []

    def take(self, raw: str) -> None:
        message = json.loads(raw)
        self.messages.append(message)
        self.rows += self._wanted(message)
        if len(self.rows) >= self._count:
            self._loop.call_soon_threadsafe(self._full.set)

    async def full(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._full.wait()


# ccxt


async def test_ccxt_reads_kraken() -> None:
    import ccxt.pro

    async with serving("kraken", "BTC-USD.KRAKEN") as server:
        rows = await fetched(ccxt.kraken({"urls": {"api": {"public": server.rest_url}}}), "BTC/USD")
        assert len(rows) == 1000
        check(map(of_ccxt, rows), server, "BTC-USD.KRAKEN")
        addresses = {"public": server.rest_url, "ws": {"publicV2": server.ws_url}}
        check(await watched(ccxt.pro.kraken({"urls": {"api": addresses}}), "BTC/USD"), server, "BTC-USD.KRAKEN")


def ccxt_binance(server: Server) -> dict[str, Any]:
    """Return the addresses, and that only the spot venue exists: else it asks two others for futures first."""
    addresses = {"public": f"{server.rest_url}/api/v3", "ws": {"spot": server.ws_url.replace("/stream", "/ws")}}
    return {"urls": {"api": addresses}, "options": {"fetchMarkets": {"types": ["spot"]}}}


async def test_ccxt_reads_binance() -> None:
    import ccxt.pro

    async with serving("binance", "BTC-USDT.BINANCE", "ETH-USDT.BINANCE") as server:
        rows = await fetched(ccxt.binance(ccxt_binance(server)), "BTC/USDT", limit=1000)
        check_aggregates([row["info"] for row in rows], server, "BTC-USDT.BINANCE")
        read = await watched(ccxt.pro.binance(ccxt_binance(server)), "ETH/USDT")
        check(read, server, "ETH-USDT.BINANCE")


async def test_ccxt_reads_coinbase_exchange() -> None:
    import ccxt.pro

    async with serving("coinbase", "BTC-USD.COINBASE", "ETH-USD.COINBASE") as server:
        addresses = {"public": server.rest_url, "ws": server.feed_url("matches")}
        rows = await fetched(ccxt.coinbaseexchange({"urls": {"api": addresses}}), "BTC/USD", limit=1000)
        assert len(rows) == 1000
        check(map(of_ccxt, rows), server, "BTC-USD.COINBASE")
        read = await watched(ccxt.pro.coinbaseexchange({"urls": {"api": addresses}}), "ETH/USD")
        check(read, server, "ETH-USD.COINBASE")


def turned(told: Told) -> Told:
    """Return a trade with the taker's side: ccxt passes on what Advanced Trade says, which is the maker's."""
    return told._replace(side=-told.side)


async def test_ccxt_reads_coinbase_advanced_trade() -> None:
    import ccxt.pro

    async with serving("coinbase", "BTC-USD.COINBASE", "ETH-USD.COINBASE") as server:
        addresses = {"rest": server.rest_url, "ws": server.feed_url("market_trades")}
        rows = await fetched(ccxt.coinbase({"urls": {"api": addresses}}), "BTC/USD", limit=1000)
        assert len(rows) == 1000
        check(map(turned, map(of_ccxt, rows)), server, "BTC-USD.COINBASE")
        read = await watched(ccxt.pro.coinbase({"urls": {"api": addresses}}), "ETH/USD")
        check(sorted(map(turned, read)), server, "ETH-USD.COINBASE")


# binance-connector


def check_aggregates(rows: list[Any], server: Server, instrument: str, unit: int = MS) -> None:
    """Compare aggregated trades with the true trades that they say they are made of."""
    true = server.truth(instrument)
    at = {trade_id: row for row, trade_id in enumerate(true.trade_id.tolist())}
    assert [int(row["a"]) for row in rows] == list(range(int(rows[0]["a"]), int(rows[0]["a"]) + len(rows)))
    assert any(int(row["l"]) > int(row["f"]) for row in rows)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        parts = true.take(slice(at[int(row["f"])], at[int(row["l"])] + 1))
        assert following is None or int(following["f"]) == int(row["l"]) + 1
        assert set(parts.price.tolist()) == {float(row["p"])}
        assert set((parts.ts_event // unit).tolist()) == {int(row["T"])}
        assert set(parts.side.tolist()) == {-1 if row["m"] else 1}
        assert float(row["q"]) == pytest.approx(parts.qty.sum(), rel=1e-12)


def of_binance(row: Mapping[str, Any]) -> Told:
    return Told(row["t"], float(row["p"]), float(row["q"]), row["T"], -1 if row["m"] else 1)


def of_binance_rest(row: Mapping[str, Any]) -> Told:
    return Told(row["id"], float(row["price"]), float(row["qty"]), row["time"], -1 if row["isBuyerMaker"] else 1)


async def test_binance_connector_reads_the_raw_and_the_combined_stream() -> None:
    from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

    async with serving("binance", "BTC-USDT.BINANCE", "ETH-USDT.BINANCE") as server:
        address = server.ws_url.removesuffix("/stream")
        raw = Heard(lambda event: [event] if event.get("e") == "trade" else [])
        combined = Heard(lambda event: [event["data"]] if event.get("stream") == "ethusdt@aggTrade" else [])

        def connect(heard: Heard, **options: Any) -> Any:
            return SpotWebsocketStreamClient(address, on_message=lambda _, text: heard.take(text), **options)

        first = await asyncio.to_thread(connect, raw)
        second = await asyncio.to_thread(connect, combined, is_combined=True, time_unit="microsecond")
        await asyncio.to_thread(first.trade, "btcusdt", 1)
        await asyncio.to_thread(second.agg_trade, "ethusdt", 2)
        await raw.full()
        await combined.full()
        for client in (first, second):
            await asyncio.to_thread(client.stop)
            client.socket_manager.ws.shutdown()
        assert (raw.messages[0], combined.messages[0]) == ({"result": None, "id": 1}, {"result": None, "id": 2})
        check(map(of_binance, raw.rows), server, "BTC-USDT.BINANCE")
        check_aggregates(combined.rows, server, "ETH-USDT.BINANCE", unit=1_000)


async def test_binance_connector_reads_rest() -> None:
    """It is also told a key: it asks nobody for older trades without one."""
    from binance.error import ClientError
    from binance.spot import Spot

    async with serving("binance", "BTC-USDT.BINANCE") as server:
        client = Spot(api_key="any", base_url=server.rest_url)
        assert await asyncio.to_thread(client.ping) == {}
        newest = await asyncio.to_thread(client.trades, "BTCUSDT", limit=1000)
        check(map(of_binance_rest, newest), server, "BTC-USDT.BINANCE")
        older = await asyncio.to_thread(client.historical_trades, "BTCUSDT", fromId=17, limit=500)
        check(map(of_binance_rest, older), server, "BTC-USDT.BINANCE")
        assert (older[0]["id"], len(older)) == (17, 500)
        rows = await asyncio.to_thread(client.agg_trades, "BTCUSDT", fromId=3, limit=400)
        check_aggregates(rows, server, "BTC-USDT.BINANCE")
        bars = await asyncio.to_thread(client.klines, "BTCUSDT", "1m", limit=3)
        check_bar(bars[0][0], [*bars[0][1:6], bars[0][8]], server, "BTC-USDT.BINANCE")
        with pytest.raises(ClientError) as refused:
            await asyncio.to_thread(client.trades, "NOTHING")
        assert (refused.value.status_code, refused.value.error_code) == (400, -1121)


def check_bar(ms: int, values: list[Any], server: Server, instrument: str) -> None:
    """Compare open, high, low, close, volume and count of a minute with the true trades in it."""
    true = server.truth(instrument)
    part = true.take((true.ts_event >= ms * MS) & (true.ts_event < ms * MS + MINUTE))
    price = part.price
    expected = [price[0], price.max(), price.min(), price[-1], part.qty.sum(), len(part)]
    assert np.array(values, float) == pytest.approx(np.array(expected, float), rel=1e-9)


# coinbase-advanced-py


@pytest.fixture
def legacy_websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the client the interface of websockets that it was written for, which websockets keeps as ``legacy``."""
    import websockets
    from websockets.legacy.client import connect

    monkeypatch.setattr(websockets, "connect", connect)


def of_advanced(row: Mapping[str, Any]) -> Told:
    micro = datetime.fromisoformat(row["time"])
    time = int(micro.timestamp()) * 1_000_000 + micro.microsecond
    side = {"BUY": -1, "SELL": 1}[row["side"]]
    return Told(int(row["trade_id"]), float(row["price"]), float(row["size"]), time, side)


@pytest.mark.usefixtures("legacy_websockets")
async def test_coinbase_advanced_py_reads_the_socket() -> None:
    """Its REST half cannot be tried: it sends a body with GET, which the simulator's server does not read."""
    from coinbase.websocket import WSClient

    async with serving("coinbase", "BTC-USD.COINBASE") as server:
        heard = Heard(trades_in_market_trades)
        client = WSClient(on_message=heard.take, base_url=server.feed_url("market_trades"), retry=False)
        await asyncio.to_thread(client.open)
        await asyncio.to_thread(client.subscribe, ["BTC-USD"], ["heartbeats", "market_trades"])
        await heard.full()
        await asyncio.to_thread(client.close)
    numbers = [message["sequence_num"] for message in heard.messages]
    assert numbers == list(range(len(numbers)))
    assert {"subscriptions", "market_trades"} <= {message["channel"] for message in heard.messages}
    check(sorted(map(of_advanced, heard.rows)), server, "BTC-USD.COINBASE", unit=1_000)


def trades_in_market_trades(message: dict[str, Any]) -> list[Any]:
    events = message["events"] if message["channel"] == "market_trades" else []
    return [row for event in events if event["type"] == "update" for row in event["trades"]]


# massive


async def test_massive_reads_the_socket() -> None:
    """It is told not to speak TLS. A stock's trade has no side."""
    from massive import WebSocketClient

    async with serving("massive", "AAPL.MASSIVE", "BTC-USD.MASSIVE") as server:
        stocks = await massive_trades(WebSocketClient, server, "stocks", "T.AAPL")
        read = [Told(int(one.id), one.price, one.size, one.timestamp, 0) for one in stocks]
        check(read, server, "AAPL.MASSIVE", sides=False)
        coins = await massive_trades(WebSocketClient, server, "crypto", "XT.*")
        sides = {(1,): -1, (2,): 1}
        told = [Told(one.id, one.price, one.size, one.timestamp, sides[tuple(one.conditions)]) for one in coins]
        check(told, server, "BTC-USD.MASSIVE")


async def massive_trades(kind: Any, server: Server, market: str, item: str) -> list[Any]:
    address = server.rest_url.removeprefix("http://")
    client = kind(api_key="any", feed=address, market=market, subscriptions=[item], secure=False)
    read: list[Any] = []

    async def take(messages: list[Any]) -> None:
        read.extend(messages)
        if len(read) >= MANY:
            await client.close()

    async with asyncio.timeout(PATIENCE):
        await client.connect(take)
    return read


async def test_massive_refuses_an_empty_key_and_closes_the_older_of_two_connections() -> None:
    from massive import WebSocketClient
    from massive.exceptions import AuthError
    from websockets.exceptions import ConnectionClosedError

    async with serving("massive", "AAPL.MASSIVE") as server:
        told = {"feed": server.rest_url.removeprefix("http://"), "market": "stocks", "secure": False}
        reading = asyncio.Event()

        async def note(messages: list[Any]) -> None:
            reading.set()

        with pytest.raises(AuthError, match="authentication failed"):
            await WebSocketClient(api_key="", **told).connect(note)
        first = WebSocketClient(api_key="any", subscriptions=["T.AAPL"], max_reconnects=0, **told)
        older = asyncio.create_task(first.connect(note))
        async with asyncio.timeout(PATIENCE):
            await reading.wait()
        assert len(await massive_trades(WebSocketClient, server, "stocks", "T.*")) >= MANY
        with pytest.raises(ConnectionClosedError, match="1008"):
            await older


async def test_massive_reads_rest() -> None:
    from massive import RESTClient
    from massive.exceptions import BadResponse

    async with serving("massive", "AAPL.MASSIVE", "BTC-USD.MASSIVE") as server:
        client = RESTClient(api_key="any", base=server.rest_url)
        true = server.truth("AAPL.MASSIVE")
        bounds = {"timestamp_gte": int(true.ts_event[100]), "timestamp_lt": int(true.ts_event[400])}

        def listed(ticker: str, **options: Any) -> list[Any]:
            return list(client.list_trades(ticker, **bounds, limit=70, **options))

        stocks = await asyncio.to_thread(listed, "AAPL", order="asc")
        read = [Told(int(one.id), one.price, one.size, one.sip_timestamp, 0) for one in stocks]
        check(read, server, "AAPL.MASSIVE", unit=1, sides=False)
        inside = (true.ts_event >= bounds["timestamp_gte"]) & (true.ts_event < bounds["timestamp_lt"])
        assert len(read) == inside.sum() > 3 * 70
        coins = await asyncio.to_thread(listed, "X:BTCUSD")
        sides = {(1,): -1, (2,): 1}
        told = [Told(int(o.id), o.price, o.size, o.participant_timestamp, sides[tuple(o.conditions)]) for o in coins]
        check(told[::-1], server, "BTC-USD.MASSIVE", unit=1)
        bars = await asyncio.to_thread(massive_minutes, client, true.ts_event)
        values = [bars[1].open, bars[1].high, bars[1].low, bars[1].close, bars[1].volume, bars[1].transactions]
        check_bar(bars[1].timestamp, values, server, "AAPL.MASSIVE")
        rules = await asyncio.to_thread(lambda: list(client.list_conditions("stocks", limit=4)))
        assert {one.id: one.update_rules.consolidated.updates_volume for one in rules}[15] is False
        with pytest.raises(BadResponse, match="API Key was not provided"):
            await asyncio.to_thread(RESTClient(api_key="", base=server.rest_url).get_aggs, "AAPL", 1, "minute", 0, 1)


def massive_minutes(client: Any, stamps: Any) -> list[Any]:
    return list(client.list_aggs("AAPL", 1, "minute", int(stamps[0]) // MS, int(stamps[-1]) // MS, limit=2))
