"""A simulated venue on a port of this machine: WebSocket and REST, with the true tape at hand.

It binds to the loopback only, and its numbers are never real ones.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, TypedDict, Unpack
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakKeyDictionary

import websockets
from websockets.asyncio.server import ServerConnection

from tapeline.clock import HOUR, SECOND, Clock, SystemClock
from tapeline.simulator.connection import Connection
from tapeline.simulator.faults import Faults
from tapeline.simulator.rest import Rest, as_http
from tapeline.simulator.sources import MarketSource, Source, listed
from tapeline.simulator.tape import Tape
from tapeline.simulator.venue import Request, Response, Session, Venue, find_venue
from tapeline.types import Frame

_HOST = "127.0.0.1"
_MOST_SKEW = 5 * SECOND


class Options(TypedDict, total=False):
    """How to serve.

    Attributes:
        faults: what goes wrong.
        port: where to listen; 0: a free one.
        every: seconds between looks at what has happened; None: only `Server.pump` looks.
        limited: whether the venue's limits hold.
        on_trades: is told what truly happens, before any client.
        tls: serve ``wss`` and ``https`` with it.
    """

    faults: Faults
    port: int
    every: float | None
    limited: bool
    on_trades: Callable[[Frame], None]
    tls: ssl.SSLContext | None


class Server:
    """Serve a venue: ``async with Server(...) as server`` listens inside.

    Args:
        kind: which venue.
        sources: what is traded there, and what happens.
        clock: tells the time; None: the machine's.
        options: as in `Options`.

    Attributes:
        venue: the venue.
        port: where it listens.
    """

    def __init__(
        self,
        kind: type[Venue],
        sources: Sequence[Source],
        *,
        clock: Clock | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._clock = clock or SystemClock()
        self._faults = options.get("faults") or Faults()
        self._sources = sources
        tapes = {source.listing.instrument: Tape(source.listing) for source in sources}
        self.venue = kind(tapes, hit=self._hit, limited=options.get("limited", True))
        self.port = options.get("port", 0)
        self._every = options.get("every", 0.01)
        self._on_trades = options.get("on_trades")
        self._tls = options.get("tls")
        self._skew = self._drawn_skew()
        self._connections: list[Connection] = []
        self._opened: WeakKeyDictionary[ServerConnection, tuple[Session, int]] = WeakKeyDictionary()
        self._numbered = 0
        self._stopped = asyncio.Event()
        self._rest = Rest(self.venue, self._faults, self._stopped)

    def now(self) -> int:
        """Return what the venue's own clock shows, ns UTC."""
        return self._clock.now() + self._skew

    @property
    def rest_url(self) -> str:
        """Return the address of REST, without the paths of its requests."""
        return f"{'https' if self._tls else 'http'}://{_HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Return the address of the venue's default feed."""
        return self.feed_url(next(iter(self.venue.paths)))

    @property
    def connections(self) -> int:
        """Return how many clients are connected."""
        return len(self._connections)

    def feed_url(self, feed: str) -> str:
        """Return the address of a feed."""
        return f"{'wss' if self._tls else 'ws'}://{_HOST}:{self.port}{self.venue.paths[feed]}"

    def truth(self, instrument: str) -> Frame:
        """Return what truly happened, as far as it is kept."""
        return self.venue.tapes[instrument].whole()

    async def __aenter__(self) -> Self:
        self._advance(self.now())
        self._server = await websockets.serve(
            self._handle,
            _HOST,
            self.port,
            process_request=self._route,
            ssl=self._tls,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            open_timeout=None,
            server_header=None,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._pumping = asyncio.get_running_loop().create_task(self._pump_on())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.close()
        for connection in self._connections:
            if connection.stalled:
                connection.abort()
        await self._server.wait_closed()
        await self._pumping

    async def wait(self) -> None:
        """Wait until the server fails; it does not end by itself."""
        await asyncio.shield(self._pumping)

    def pump(self) -> None:
        """Let happen what has happened by now, and tell it."""
        now = self.now()
        frames = self._advance(now)
        for connection in list(self._connections):
            connection.pump(frames, now)

    async def _pump_on(self) -> None:
        while not self._stopped.is_set():
            if self._every is not None:
                self.pump()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), self._every)

    def _advance(self, now: int) -> list[Frame]:
        frames = [frame for source in self._sources if len(frame := source.until(now))]
        for frame in frames:
            self.venue.tapes[frame.instrument].append(frame)
            if self._on_trades is not None:
                self._on_trades(frame)
        return frames

    def _drawn_skew(self) -> int:
        now = self._clock.now()
        if not self._faults.strikes("clock-skew", now):
            return 0
        return self._faults.random("clock-skew").randint(-_MOST_SKEW, _MOST_SKEW)

    def _hit(self, fault: str, subject: str) -> bool:
        return self._faults.strikes(fault, self.now(), subject=subject)

    async def _route(self, socket: ServerConnection, request: websockets.Request) -> websockets.Response | None:
        """Let a WebSocket through, or answer a request of REST."""
        address = urlsplit(request.path)
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        asked = Request(address.path, dict(parse_qsl(address.query, keep_blank_values=True)), headers)
        if headers.get("upgrade", "").lower() != "websocket":
            return await self._rest.answer(asked, self.now())
        self._numbered += 1
        session = self.venue.open(asked, self._numbered, self.now())
        if isinstance(session, Response):
            return as_http(session, self.now())
        self._opened[socket] = (session, self._numbered)
        return None

    async def _handle(self, socket: ServerConnection) -> None:
        session, number = self._opened.pop(socket)
        if self._faults.strikes("fight", self.now(), connection=number):
            for other in self._connections:
                other.abort()
        connection = Connection(socket, session, self.venue, number, self, self._faults)
        self.venue.sessions.append(session)
        self._connections.append(connection)
        try:
            await connection.run()
        finally:
            self._connections.remove(connection)
            self.venue.closed(session)
            self._faults.forget(number)


def serve(
    name: str,
    instruments: Sequence[str] = (),
    *,
    seed: int = 0,
    rate: float = 5.0,
    edge: float = 0.0,
    steady: bool = False,
    history: int = HOUR,
    clock: Clock | None = None,
    **options: Unpack[Options],
) -> Server:
    """Return a server of a venue with simulated markets.

    Args:
        name: which venue, such as ``kraken``.
        instruments: what it lists, such as ``BTC-USD``, whatever venue they are said to be of; none: its own choice.
        seed: picks the paths of the markets.
        rate: mean trades per second of each instrument.
        edge: how much of each market can be predicted, as in `Market`.
        steady: whether the rate is the same at every hour.
        history: how long the markets have gone on when it opens, ns.
        clock: tells the time; None: the machine's.
        options: as in `Options`.

    Raises:
        UnknownName: there is no such venue.
        UsageError: an argument is out of its range.
    """
    kind, clock = find_venue(name), clock or SystemClock()
    now, resolution = clock.now(), kind.resolution
    sources = [
        MarketSource(one, seed, now=now, history=history, rate=rate, edge=edge, steady=steady, resolution=resolution)
        for one in dict.fromkeys(listed(one, kind.name) for one in instruments or kind.instruments)
    ]
    return Server(kind, sources, clock=clock, **options)
