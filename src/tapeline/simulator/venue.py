"""The contract of a simulated venue: what a connection says and hears, and what REST answers. No socket, no clock.

`tapeline.simulator.server` drives it: it owns the sockets, tells the time, and damages what is sent where a fault is
asked for. A venue only ever tells the truth in its own words, and keeps its own rules: limits, refusals, closes.
"""

from __future__ import annotations

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from random import Random
from typing import ClassVar, NamedTuple

from tapeline.errors import UnknownName
from tapeline.simulator.tape import Tapes
from tapeline.types import Frame

GOING_AWAY = 1001
JSON: Mapping[str, str] = {"content-type": "application/json"}


class Request(NamedTuple):
    """A HTTP request: ``path`` without its query; the names of ``headers`` are in lower case."""

    path: str
    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


class Response(NamedTuple):
    """What REST answers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = JSON


class Ping(NamedTuple):
    """A ping frame of the WebSocket protocol; the pong that answers it comes to `Session.ponged`."""

    payload: bytes


class Close(NamedTuple):
    """The end of a connection, ``after`` ns from now; what stands behind it is not sent."""

    code: int = GOING_AWAY
    reason: str = ""
    after: int = 0


Out = bytes | Ping | Close
"""What a connection sends: a text message, a ping, or the end."""

Hit = Callable[[str, str], bool]
"""Whether a fault (its name, what it would hit) strikes now."""


def never(fault: str, subject: str) -> bool:
    """Strike nothing."""
    return False


class Fields(NamedTuple):
    """The keys of a trade in the venue's messages, so that faults can damage them."""

    trade_id: str
    price: str
    qty: str
    time: str


class Session(ABC):
    """One connection of a client.

    Attributes:
        instruments: what it is subscribed to: the server calls `trades` for these alone.
        last_pong: when the client last answered a ping, ns UTC.
    """

    def __init__(self) -> None:
        self.instruments: set[str] = set()
        self.last_pong: int | None = None

    def connected(self, now: int) -> list[Out]:
        """Return what the venue says first."""
        return []

    @abstractmethod
    def received(self, raw: bytes, now: int) -> list[Out]:
        """Return the answer to a message of the client, whatever it is."""

    @abstractmethod
    def trades(self, frame: Frame, now: int) -> list[bytes]:
        """Return the messages that tell new trades of a subscribed instrument, grouped as the venue does.

        The rows may be doubled, missing or out of order where a fault is asked for: they are told as they come. What
        the venue gathers for a while may be kept and told by a later `tick`.
        """

    def tick(self, now: int) -> list[Out]:
        """Return what is due by time: heartbeats, pings, gathered trades, the end. It is asked many times a second."""
        return []

    def ponged(self, payload: bytes, now: int) -> None:
        """Take the pong that answers a ping."""
        self.last_pong = now

    def goodbye(self, now: int) -> list[Out]:
        """Return what the venue says before it shuts down, the `Close` with it."""
        return [Close()]


class Venue(ABC):
    """A venue: made once for a server, with the true tapes of what it lists.

    Attributes:
        name: the venue of our instruments, such as ``KRAKEN``.
        paths: where its feeds are, by the name of the feed, the default one first.
        instruments: what it lists where the user names nothing.
        fields: the keys of a trade in its messages.
        resolution: how finely its WebSocket tells time, ns; the true tape is no finer.
        lifetime: how long a connection may live, ns; None: for ever.
        sessions: the connections that are open.

    Args:
        tapes: what truly happened, by instrument; they grow while the venue is open.
        hit: whether a refusal asked for as a fault strikes now: ``refuse-symbol`` or ``refuse-auth``.
        limited: whether its limits on requests, messages and connections hold.
    """

    name: ClassVar[str]
    paths: ClassVar[Mapping[str, str]]
    instruments: ClassVar[tuple[str, ...]]
    fields: ClassVar[Fields]
    resolution: ClassVar[int] = 1_000
    lifetime: ClassVar[int | None] = None

    def __init__(self, tapes: Tapes, *, hit: Hit = never, limited: bool = True) -> None:
        self.tapes = tapes
        self.hit = hit
        self.limited = limited
        self.sessions: list[Session] = []

    @abstractmethod
    def open(self, request: Request, number: int, now: int) -> Session | Response:
        """Return the session of a new connection (the ``number``-th), or the answer that refuses it."""

    @abstractmethod
    def rest(self, request: Request, tapes: Tapes, now: int) -> Response:
        """Answer a GET request from ``tapes``: what truly happened, or, as a fault, nothing at all."""

    @abstractmethod
    def failure(self, status: int) -> Response:
        """Return the venue's own answer when it is over its limits (429, 418) or in trouble (5xx)."""

    def wrong_cursor(self, response: Response, random: Random) -> Response:
        """Return a page that tells wrongly where the next one begins; a venue without cursors has none."""
        return response

    def closed(self, session: Session) -> None:
        """Forget a connection that ended."""
        self.sessions.remove(session)


def venue_names() -> list[str]:
    """Return the names of all simulated venues."""
    package = import_module("tapeline.simulator.venues")
    return sorted(item.name for item in pkgutil.iter_modules(package.__path__) if not item.name.startswith("_"))


def find_venue(name: str) -> type[Venue]:
    """Return the venue of a name: the ``VENUE`` of its module.

    Raises:
        UnknownName: there is none.

    >>> find_venue("kraken").name
    'KRAKEN'
    """
    known = venue_names()
    if name not in known:
        raise UnknownName("simulated venue", "is not known", expected=f"one of: {', '.join(known)}", was=name)
    found: type[Venue] = import_module(f"tapeline.simulator.venues.{name}").VENUE
    return found
