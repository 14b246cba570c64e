"""A Kraken of our own on loopback that does what a test tells it, and a sink that keeps all in memory."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Set
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import websockets
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers

from tapeline.clock import SECOND, format_time
from tapeline.errors import StoreUnavailable
from tapeline.exchanges.base import Limits, Rate, exchanges
from tapeline.ingest.base import Delivery, Missing, Place, Standing
from tapeline.ingest.bounds import Bounds
from tapeline.ledger import Ledger
from tapeline.types import DeadLetter, Frame

NOW = 1_760_000_000 * SECOND
BTC, ETH = "BTC-USD.KRAKEN", "ETH-USD.KRAKEN"
FREE = Rate(1e9, 1.0)
BOUNDS = Bounds(
    open=2.0,
    answer=2.0,
    proof=0.01,
    settle=0.05,
    linger=0.0,
    backoff=0.005,
    backoff_cap=0.02,
    steady=60.0,
    gap_timeout=20.0,
    backfill=3600.0,
    rest=1.0,
    tries=2,
)
IMPATIENT = replace(BOUNDS, gap_timeout=0.2)


@dataclass
class MemorySink:
    """Keep trades by id, as the ledger says; ``down`` makes it refuse, and ``refused`` counts how often it did."""

    contiguous: bool = True
    down: bool = False
    refused: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    given_up: list[Missing] = field(default_factory=list)
    kept: dict[str, dict[int, tuple[object, ...]]] = field(default_factory=dict)
    order: dict[str, list[int]] = field(default_factory=dict)
    late: dict[str, list[int]] = field(default_factory=dict)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    _ledgers: dict[str, Ledger] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.room.set()

    def ledger(self, instrument: str) -> Ledger:
        return self._ledgers.setdefault(instrument, Ledger(instrument, contiguous=self.contiguous))

    def _check(self) -> None:
        if self.down:
            self.refused += 1
            raise StoreUnavailable("store", "disk full")

    async def take(self, delivery: Delivery) -> None:
        await self.room.wait()
        self._check()
        self.deliveries.append(delivery)
        self.dead += delivery.dead
        for frame in delivery.frames:
            admission = self.ledger(frame.instrument).admit(frame)
            self.late.setdefault(frame.instrument, []).extend(admission.late.trade_id.tolist())
            for part in admission.released:
                self.order.setdefault(frame.instrument, []).extend(part.frame.trade_id.tolist())
            rows = self.kept.setdefault(frame.instrument, {})
            accepted = admission.accepted
            for trade_id, *row in zip(*(column.tolist() for column in accepted.columns()), strict=True):
                rows[trade_id] = (row[0], *row[2:])

    async def standing(self, instrument: str) -> Standing:
        self._check()
        rows = self.kept.get(instrument, {})
        if not rows:
            return Standing(instrument, None, None)
        newest = max(rows)
        missing = tuple(
            Missing(instrument, a, b, _stamp(rows, a - 1), _stamp(rows, b + 1))
            for a, b in (self.ledger(instrument).awaited() if self.contiguous else [])
        )
        return Standing(instrument, newest, _stamp(rows, newest), missing)

    async def drained(self) -> None:
        """All is committed at once."""

    async def give_up(self, *missing: Missing) -> None:
        self._check()
        self.given_up += missing
        for gap in missing:
            for part in self.ledger(gap.instrument).give_up(gap.first, gap.last).released:
                self.order.setdefault(gap.instrument, []).extend(part.frame.trade_id.tolist())

    def ids(self, instrument: str = BTC) -> list[int]:
        return sorted(self.kept.get(instrument, {}))


def _stamp(rows: dict[int, tuple[object, ...]], trade_id: int) -> int:
    stamp = rows[trade_id][0]
    assert isinstance(stamp, int)
    return stamp


class FakeKraken:
    """Trades by symbol of the WebSocket, and hooks by which a test misbehaves."""

    def __init__(self) -> None:
        self.tape: dict[str, list[tuple[int, int, str, str, int]]] = {"BTC/USD": [], "ETH/USD": []}
        self.sockets: set[ServerConnection] = set()
        self.subscribed: dict[str, set[ServerConnection]] = {}
        self.connects = 0
        self.snapshot = 2
        self.heartbeat = True
        self.refuse: dict[str, str] = {}
        self.mute: set[str] = set()
        self.rest: Callable[[str, dict[str, str]], tuple[int, bytes] | None] = lambda path, params: None
        self.asked: list[dict[str, str]] = []
        self.page = 1000
        self.url = ""

    def trade(self, symbol: str = "BTC/USD", count: int = 1, *, first: int | None = None) -> list[int]:
        """Let trades happen, without telling."""
        tape = self.tape[symbol]
        start = first if first is not None else (tape[-1][0] + 1 if tape else 100)
        made = [(start + n, NOW - 1800 * SECOND + (start + n) * 1_000_000, "60000.5", "0.25", 1) for n in range(count)]
        tape += made
        return [one[0] for one in made]

    async def tell(self, ids: list[int], symbol: str = "BTC/USD", *, kind: str = "update") -> None:
        rows = [one for one in self.tape[symbol] if one[0] in set(ids)]
        await self.say(self.message(symbol, rows, kind), symbol)

    async def push(self, symbol: str = "BTC/USD", count: int = 1) -> list[int]:
        """Let trades happen, and tell."""
        ids = self.trade(symbol, count)
        await self.tell(ids, symbol)
        return ids

    async def say(self, message: str | bytes, symbol: str = "BTC/USD") -> None:
        for socket in list(self.subscribed.get(symbol, ())):
            with suppress(websockets.ConnectionClosed):
                await socket.send(message, text=True)

    async def heard(self) -> None:
        """Wait until all that was said has reached the other end: it answers a ping after what came before."""
        for socket in list(self.sockets):
            with suppress(websockets.ConnectionClosed):
                await (await socket.ping())

    @staticmethod
    def message(symbol: str, rows: list[tuple[int, int, str, str, int]], kind: str = "update") -> str:
        data = ",".join(
            f'{{"symbol":"{symbol}","side":"buy","price":{price},"qty":{qty},"ord_type":"market","trade_id":{number},'
            f'"timestamp":"{format_time(stamp)}"}}'
            for number, stamp, price, qty, _ in rows
        )
        return f'{{"channel":"trade","type":"{kind}","data":[{data}]}}'

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        async with websockets.serve(
            self.handle, "127.0.0.1", 0, process_request=self.route, ping_interval=None
        ) as server:
            self.url = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self

    @contextmanager
    def serving_beside(self) -> Iterator[Self]:
        """Serve from another thread, for what runs a loop of its own."""
        ready, done = threading.Event(), asyncio.Event()
        loop = asyncio.new_event_loop()

        async def serve() -> None:
            async with self.serving():
                ready.set()
                await done.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        ready.wait(5)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(done.set)
            thread.join(5)
            loop.close()

    async def handle(self, socket: ServerConnection) -> None:
        self.connects += 1
        self.sockets.add(socket)
        try:
            async for raw in socket:
                request = json.loads(raw)
                if request["method"] == "subscribe":
                    for symbol in request["params"]["symbol"]:
                        await self._subscribe(socket, symbol)
        except websockets.ConnectionClosed:
            pass
        finally:
            self.sockets.discard(socket)
            for sockets in self.subscribed.values():
                sockets.discard(socket)

    async def _subscribe(self, socket: ServerConnection, symbol: str) -> None:
        if symbol in self.mute:
            return
        error = self.refuse.get(symbol)
        answer: dict[str, object] = {"method": "subscribe", "success": error is None}
        answer |= {"symbol": symbol, "error": error} if error else {"result": {"channel": "trade", "symbol": symbol}}
        await socket.send(json.dumps(answer))
        if error is None:
            newest = self.tape[symbol][-self.snapshot :] if self.snapshot else []
            if newest:
                await socket.send(self.message(symbol, newest, "snapshot"))
            self.subscribed.setdefault(symbol, set()).add(socket)

    def route(self, connection: ServerConnection, request: websockets.Request) -> websockets.Response | None:
        parts = urlsplit(request.path)
        if parts.path == "/v2":
            return None
        params = dict(parse_qsl(parts.query))
        self.asked.append(params)
        status, body = self.rest(parts.path, params) or (200, self.trades(params))
        headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        return websockets.Response(status, "said", headers, body)

    def trades(self, params: dict[str, str], skip: Set[int] = frozenset()) -> bytes:
        symbol = {"XBTUSD": "BTC/USD", "ETHUSD": "ETH/USD"}[params["pair"]]
        since = int(params["since"])
        rows = [one for one in self.tape[symbol] if one[1] > since and one[0] not in skip][: self.page]
        shown = ",".join(
            f'["{price}","{qty}",{stamp // SECOND}.{stamp % SECOND:09d},"b","m","",{number}]'
            for number, stamp, price, qty, _ in rows
        )
        last = rows[-1][1] if rows else since
        return f'{{"error":[],"result":{{"{params["pair"]}":[{shown}],"last":"{last}"}}}}'.encode()


def place(fake: FakeKraken, *, venue: str = "KRAKEN", silence: float = 5.0, contiguous: bool = True) -> Place:
    exchange = exchanges()["KRAKEN"]
    feed = replace(
        exchange.feeds[0],
        limits=Limits(FREE, FREE, FREE),
        silence=silence,
        contiguous=contiguous,
        keepalive=b"",
        goodbyes=frozenset({"status"}),
    )
    return Place(exchange, feed, f"ws://{fake.url}/v2", f"http://{fake.url}", venue)


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail after a while.

    It looks every 2 ms, for much of what is waited for is state of the ingest, which tells nobody when it changes.
    """
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def frame(ids: list[int], instrument: str = BTC) -> Frame:
    stamps = [NOW + one for one in ids]
    return Frame.of(instrument, trade_id=ids, ts_event=stamps, price=[1.0] * len(ids), qty=[1.0] * len(ids))
