"""The contract of exchanges, and what their parsers share: a trade as the venue wrote it, its time and symbol.

An exchange does no I/O: it says what to send and reads what came. `tapeline.ingest` drives it.

A parser checks the shape of a message. It does not judge numbers: price and quantity stay text, so that whoever
judges them can keep what was written.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import NamedTuple

import msgspec

from tapeline.errors import MalformedMessage, UsageError

MAX_ID = 2**63 - 1

_NAME = re.compile(r"[A-Z0-9][A-Z0-9._:/-]*\.[A-Z0-9]+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)", re.ASCII)

QUOTES = tuple(
    re.findall(
        r"\w+",
        "FDUSD USDT USDC BUSD TUSD USDP DAI USD EUR GBP JPY TRY BRL AUD CAD CHF RUB UAH NGN ZAR IDRT BIDR PLN RON ARS "
        "MXN CZK COP BTC XBT ETH BNB SOL TRX XRP DOGE DOT VAI PAX",
    )
)
"""Quote currencies, longest first where one ends with another."""


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


def split_symbol(symbol: str, quotes: Iterable[str] = QUOTES) -> tuple[str, str] | None:
    """Split a venue's symbol into base and quote, or return None where it has no known quote.

    >>> split_symbol("BTCUSDT"), split_symbol("XRP/ETH"), split_symbol("SPY")
    (('BTC', 'USDT'), ('XRP', 'ETH'), None)
    """
    name = symbol.upper()
    for mark in "/-_":
        base, found, quote = name.partition(mark)
        if found:
            return (base, quote) if base.isalnum() and quote.isalnum() else None
    for quote in quotes:
        if name.endswith(quote) and len(name) > len(quote) and name.isalnum():
            return name.removesuffix(quote), quote
    return None


def seconds_ns(seconds: Decimal) -> int:
    """Return ns of a number of seconds, exactly; -1 where no int64 can hold it.

    >>> from decimal import Decimal
    >>> seconds_ns(Decimal("1762795433.9717445"))
    1762795433971744500
    """
    if not seconds.is_finite() or seconds.adjusted() > 9 or seconds < 0:
        return -1
    ns = int(seconds.scaleb(9))
    return ns if ns <= MAX_ID else -1


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

    ``kind`` tells whose ids the trades have, as in `Trade`.
    """

    kind: str = "trade"
    trades: list[RawTrade] = field(default_factory=list)
    bad: list[MalformedMessage] = field(default_factory=list)
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


class Page(NamedTuple):
    """Trades of one answer, oldest first, and rows that could not be read."""

    trades: Sequence[RawTrade]
    bad: Sequence[MalformedMessage] = ()


Walk = Generator[Request | Page, Response | None, None]
"""The way through a venue's past, in ascending order: it yields a request and is sent its (checked) response, and
yields pages in between (then it is sent None). It ends when the span is covered or the venue has no more."""


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
        login: returns the message with the user's key that comes before all others, its answer is the `Ack` of
            ``auth``; None where no key is needed.
        authorise: returns the headers that carry the user's key on every REST request.
        silence: seconds without any message after which the connection is stale.
        keepalive: a message to send every ``keepalive_every`` seconds; empty where none is needed.
        goodbyes: kinds of `Ignored` by which the venue says that it will close.
        max_instruments: how many one connection takes.
    """

    name: str
    kind: str
    contiguous: bool
    ws_url: str
    rest_url: str
    subscribe: Callable[[Sequence[str]], list[bytes]]
    limits: Limits
    history: Callable[[str, Span], Walk] | None = None
    login: Callable[[str], bytes] | None = None
    authorise: Callable[[str], Mapping[str, str]] | None = None
    silence: float = 10.0
    keepalive: bytes = b""
    keepalive_every: float = 0.0
    goodbyes: frozenset[str] = frozenset()
    max_instruments: int = 200


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


@cache
def exchanges() -> Mapping[str, Exchange]:
    """Return every exchange, by venue: each module of `tapeline.exchanges` with an ``EXCHANGE`` is one."""
    package = import_module("tapeline.exchanges")
    modules = (import_module(f"{package.__name__}.{item.name}") for item in pkgutil.iter_modules(package.__path__))
    found: list[Exchange] = [module.EXCHANGE for module in modules if hasattr(module, "EXCHANGE")]
    return {item.venue: item for item in sorted(found, key=lambda item: item.venue)}


@contextmanager
def reading(where: str, raw: bytes) -> Iterator[None]:
    """Turn what a decoder refuses into `MalformedMessage` with the bytes."""
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise MalformedMessage(where, f"cannot be read ({str(error)[:120]})", raw=raw) from error


def pair_of(instrument: str) -> tuple[str, str]:
    """Return base and quote of an instrument.

    Raises:
        UsageError: it is no pair.

    >>> pair_of("BTC-USD.KRAKEN")
    ('BTC', 'USD')
    """
    base, found, quote = instrument.rpartition(".")[0].partition("-")
    if not (found and base.isalnum() and quote.isalnum()):
        raise UsageError(f"instrument {instrument}", "is no pair", expected="BASE-QUOTE.VENUE", was=instrument)
    return base, quote


def named(instrument: str | None, symbol: str, raw: bytes) -> str:
    """Return an instrument that is known, or refuse the message.

    Raises:
        MalformedMessage: the symbol could not be named.
    """
    if instrument is None or not _NAME.fullmatch(instrument):
        raise MalformedMessage("symbol", "cannot be named", raw=raw, expected="a known quote currency", was=symbol)
    return instrument


def number_text(value: msgspec.Raw) -> str:
    """Return a JSON number, bare or as text, as it was written.

    Raises:
        ValueError: it is no number.
    """
    text = bytes(value).decode().strip('"')
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"not a number: {text[:40]!r}")
    return text


def rfc3339_ns(text: str) -> int:
    """Return ns of an RFC 3339 time in UTC, exactly.

    Raises:
        ValueError: it is not one.

    >>> rfc3339_ns("2021-04-17T16:43:37.089723Z")
    1618677817089723000
    """
    match = _RFC3339.fullmatch(text)
    if not match:
        raise ValueError(f"not an RFC 3339 time in UTC: {text[:40]!r}")
    seconds = int(datetime.fromisoformat(f"{match[1].replace(' ', 'T')}+00:00").timestamp())
    return seconds * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))


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
