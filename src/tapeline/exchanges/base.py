"""The contract of exchanges: a trade as the venue wrote it, the ways to get it live, and the way through the past.

An exchange does no I/O: it says what to send and reads what came. `tapeline.ingest` drives it.

A parser checks the shape of a message. It does not judge numbers: price and quantity stay text, so that whoever
judges them can keep what was written.
"""

from __future__ import annotations

import pkgutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tapeline.errors import MalformedMessage
from tapeline.exchanges.fields import reading


class RawTrade(NamedTuple):
    """A trade as the venue wrote it.

    ``trade_id`` is None where the venue gives none; ``ts_event`` is ns UTC; ``side`` is a `Side` value; ``stands_for``
    is how many venue trades it is: 1, but for aggregated trades.
    """

    symbol: str
    trade_id: int | None
    ts_event: int
    price: str
    qty: str
    side: int
    stands_for: int = 1


class Trade(NamedTuple):
    """A trade in a message: ``ts_init`` is when we had the message (ns UTC).

    ``kind`` is the venue's name of the event; ``snapshot`` says that it was sent on subscribing, hence may be known
    already; ``sequence`` is the number of the message on its connection, None where the venue counts none.
    """

    instrument: str
    raw: RawTrade
    ts_init: int
    kind: str = "trade"
    snapshot: bool = False
    sequence: int | None = None


class Columns(NamedTuple):
    """Trades of several messages by column, in the order in which they came; ``counts``: how many each message holds.

    ``ts_event`` is ns UTC, ``side`` a `Side` value.
    """

    symbol: list[str]
    trade_id: list[int]
    ts_event: NDArray[np.int64]
    price: list[float]
    qty: list[float]
    side: list[int]
    counts: list[int]


class Ack(NamedTuple):
    """An answer of the venue to a request of ours; ``reason`` where it was refused.

    ``request`` is what the answer says of the request: its name, such as ``subscribe``, or its id.
    """

    request: str
    channel: str = ""
    symbols: tuple[str, ...] = ()
    accepted: bool = True
    reason: str = ""
    sequence: int | None = None


class Ignored(NamedTuple):
    """A message that holds no trade, by the name of its kind."""

    kind: str
    sequence: int | None = None


Event = Trade | Ack | Ignored


@dataclass(slots=True)
class History:
    """Trades of one REST body, rows that could not be read, and where the next body begins (empty: not said).

    ``kind`` tells whose ids the trades have, as in `Trade`; ``ignored`` counts rows that are no trades to us, by the
    name of their kind.
    """

    kind: str = "trade"
    trades: list[RawTrade] = field(default_factory=list)
    bad: list[MalformedMessage] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    next: str = ""


class Rate(NamedTuple):
    """At most ``most`` (in number or weight) in any ``seconds``."""

    most: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a venue lets one client do: attempts to connect, messages sent on a connection, weight of REST requests."""

    connects: Rate
    messages: Rate
    requests: Rate


class Request(NamedTuple):
    """A REST request: GET ``path`` with ``params``; ``weight`` is what it costs of the venue's limit."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str] = {}
    weight: float = 1


class Response(NamedTuple):
    """What a venue answered; the names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """What is asked of a venue's past: trades of [start, end) in ts_event (ns UTC).

    Where ids are given only those from ``first_id`` to ``last_id`` are wanted, and the times are hints: ``start`` is
    the ts_event of a trade before them, ``end`` is later than any of them.
    """

    start: int
    end: int
    first_id: int | None = None
    last_id: int | None = None


class Bar(NamedTuple):
    """A candle made by the venue, numbers as written, ``open_time`` in ns UTC; None where the venue does not say."""

    open_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    vwap: str | None = None
    trades: int | None = None
    quote_volume: str | None = None
    buy_volume: str | None = None


class Page(NamedTuple):
    """Trades of one answer, oldest first, rows that could not be read, and the count of rows ignored by kind.

    A walk through candles gives ``bars`` instead, and ``reached``: up to when (ns UTC) it has all that the venue has.
    """

    trades: Sequence[RawTrade] = ()
    bad: Sequence[MalformedMessage] = ()
    ignored: Mapping[str, int] = {}
    bars: Sequence[Bar] = ()
    reached: int | None = None


Walk = Generator[Request | Page, Response | None, None]
"""The way through a venue's past, in ascending order: it yields a request and is sent its (checked) response, and
yields pages in between (then it is sent None). It ends when the span is covered or the venue has no more."""


@dataclass(frozen=True, slots=True)
class VenueCandles:
    """Candles that a venue makes itself.

    Attributes:
        timeframes: the venue's own word for each of our timeframes that it has.
        history: returns the way through them: (instrument, timeframe, span) -> pages of bars, oldest first, whose
            open_time is in the span; a period that the venue leaves out is left out.
    """

    timeframes: Mapping[str, str]
    history: Callable[[str, str, Span], Walk]


@dataclass(frozen=True)
class Feed:
    """One way to get a venue's trades: a WebSocket, and REST for what was missed.

    Attributes:
        name: how the user chooses it, such as ``trade``.
        kind: whose ids its trades have, as in `Trade`; trades of another kind are not its own.
        contiguous: whether a missing trade id is a missing trade.
        ws_url: the venue's own address, path included.
        rest_url: the venue's own address, without the paths of its requests.
        subscribe: returns the messages that ask for the trades of instruments.
        limits: what the venue allows.
        history: returns the way through an instrument's past; None where the venue has none that is free to ask.
        candles: candles made by the venue; None where it has none that are free to ask.
        login: returns the message with the user's key that comes before all others, its answer is the `Ack` of
            ``auth``; None where no key is needed.
        authorise: returns the headers that carry the user's key on every REST request.
        prepare: asks what the venue's messages mean before the first of them, and returns the exchange that knows
            (with a feed of the same name); None where there is nothing to ask.
        silence: seconds without any message after which the connection is stale.
        keepalive: a message to send every ``keepalive_every`` seconds; empty where none is needed.
        goodbyes: kinds of `Ignored` by which the venue says that it will close.
        lifetime: seconds after which the venue closes a connection; 0: it may live for ever.
        max_instruments: how many one connection takes.
        instruments: what is followed where the user names none.
    """

    name: str
    kind: str
    contiguous: bool
    ws_url: str
    rest_url: str
    subscribe: Callable[[Sequence[str]], list[bytes]]
    limits: Limits
    history: Callable[[str, Span], Walk] | None = None
    candles: VenueCandles | None = None
    login: Callable[[str], bytes] | None = None
    authorise: Callable[[str], Mapping[str, str]] | None = None
    prepare: Callable[[], Generator[Request, Response, Exchange]] | None = None
    silence: float = 10.0
    keepalive: bytes = b""
    keepalive_every: float = 0.0
    goodbyes: frozenset[str] = frozenset()
    lifetime: float = 0.0
    max_instruments: int = 200
    instruments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exchange:
    """What a module of a venue declares as ``EXCHANGE``: pure functions, no socket, no clock, no shared state.

    Attributes:
        venue: its name in our instruments, such as ``KRAKEN``.
        contiguous: whether a missing trade id is a missing trade.
        parse: reads one WebSocket message, whole or not at all: (message, ts_init in ns) -> events, trades oldest
            first; anything but a known message raises `MalformedMessage` with the bytes.
        subscribe: returns the messages that ask for the trades of instruments.
        parse_history: reads a REST body of trades of a symbol; a row that cannot be read is kept as bad, anything
            but such a body raises `MalformedMessage`, an error told by the venue `InputError`.
        instrument: returns our name of the venue's symbol, None where it cannot be known.
        symbol: returns the venue's symbol of an instrument; `instrument` takes it back.
        bodies: other REST bodies by name, each known by keys that it has (a single one: it has no other), or by the
            number of columns of its rows.
        feeds: ways to get its trades live, the default one first.
        check: judges a REST response before it is read: raises `VenueBusy` where asking again (after
            ``retry_after`` seconds) may help, `VenueRefused` where it never will, and returns otherwise.
        parse_plain: reads messages that tell new trades of the default feed and nothing else, all at once, with the
            same outcome as ``parse`` of each; None where it is not sure of one, and ``parse`` is to say what it is.
    """

    venue: str
    contiguous: bool
    parse: Callable[[bytes, int], list[Event]]
    subscribe: Callable[[Sequence[str]], list[bytes]]
    parse_history: Callable[[bytes, str], History]
    instrument: Callable[[str], str | None]
    symbol: Callable[[str], str]
    bodies: Mapping[str, frozenset[str] | int] = field(default_factory=dict)
    feeds: tuple[Feed, ...] = ()
    check: Callable[[Response], None] = lambda response: None
    parse_plain: Callable[[Sequence[bytes]], Columns | None] = lambda messages: None


@cache
def exchanges() -> Mapping[str, Exchange]:
    """Return every exchange, by venue: each ``EXCHANGE`` of a module of `tapeline.exchanges`, or of an entry point.

    An entry point of the group ``tapeline.exchanges`` names a module with an ``EXCHANGE``, or the exchange itself.
    """
    package = import_module("tapeline.exchanges")
    shipped = (import_module(f"{package.__name__}.{item.name}") for item in pkgutil.iter_modules(package.__path__))
    found: list[Exchange] = [module.EXCHANGE for module in shipped if hasattr(module, "EXCHANGE")]
    for entry in entry_points(group="tapeline.exchanges"):
        loaded = entry.load()
        found.append(getattr(loaded, "EXCHANGE", loaded))
    return {item.venue: item for item in sorted(found, key=lambda item: item.venue)}


def body_kind(exchange: Exchange, body: bytes) -> str:
    """Return the name of a REST body that is not one of trades, or an empty text."""
    with reading(f"{exchange.venue.lower()} body", body):
        document = msgspec.json.decode(body)
    inner = document.get("result", document.get("results")) if isinstance(document, dict) else document
    parts = (document, inner, _first(inner), _first(_first(inner)))
    for name, mark in exchange.bodies.items():
        if any(_bears(part, mark) for part in parts):
            return name
    return ""


def _first(value: object) -> object:
    """Return the first of a list's items or of an object's values."""
    items = value.values() if isinstance(value, dict) else value
    return next(iter(items), None) if isinstance(items, Iterable) and not isinstance(items, str) else None


def _bears(value: object, mark: frozenset[str] | int) -> bool:
    if isinstance(mark, int):
        return isinstance(value, list) and len(value) == mark and not isinstance(value[0], list | dict)
    return isinstance(value, dict) and (mark <= value.keys() if len(mark) > 1 else mark == value.keys())
