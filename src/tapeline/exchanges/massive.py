"""Massive (formerly Polygon.io): WebSocket trades of stocks, options (``T``) and crypto (``XT``).

A message is an array of mixed events. Ids are texts, of which ours are made: see `tapeline.exchanges.massive_trades`,
where what REST answers is read. They are not contiguous: completeness cannot be proven.

Once the venue's conditions have been read (`prepare`), trades that do not update a whole candle are left out: see
`tapeline.exchanges.massive_reference`.

Source: the venue's WebSocket specification (massive.com/docs).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import or_

import msgspec

from tapeline.errors import MalformedMessage, UsageError
from tapeline.exchanges import massive_aggregates, massive_trades
from tapeline.exchanges.base import (
    Ack,
    Event,
    Exchange,
    Feed,
    Ignored,
    Limits,
    Rate,
    Request,
    Response,
    Span,
    Trade,
    VenueCandles,
    Walk,
)
from tapeline.exchanges.fields import Millis, named, pair_of, reading, split_symbol
from tapeline.exchanges.massive_reference import ALL, Conditions, parse_conditions, rules_of
from tapeline.exchanges.massive_trades import Identity, crypto_side, trade_of

_OTHERS = re.findall(r"\w+", "Q A AM LULD NOI FMV LV C CA CAS V XQ XL2 XA XAS")
_TICKER = re.compile(r"[A-Z0-9][A-Za-z0-9.:]*", re.ASCII)
_STATUS = re.compile(r"[a-z_]{1,40}")
_SUBSCRIBED = re.compile(r"(un)?subscribed to: (\w+)\.(\S+)")
_REFUSALS = frozenset({"auth_failed", "auth_timeout", "max_connections"})


class _Status(msgspec.Struct, tag_field="ev", tag="status"):
    status: str = ""
    message: str = ""


class _Traded(msgspec.Struct, kw_only=True):
    p: msgspec.Raw
    s: msgspec.Raw
    t: Millis
    x: int
    c: list[int] = []
    i: int | str | None = None


class _Stock(_Traded, tag_field="ev", tag="T", kw_only=True):
    sym: str
    trfi: int | None = None


class _Crypto(_Traded, tag_field="ev", tag="XT", kw_only=True):
    pair: str


_IGNORED = {msgspec.defstruct(f"_{name}", [], tag_field="ev", tag=name): name for name in _OTHERS}
_events: msgspec.json.Decoder[list[msgspec.Struct]] = msgspec.json.Decoder(
    list[reduce(or_, _IGNORED, _Status | _Stock | _Crypto)],  # type: ignore[misc]
)


def parse_message(raw: bytes, ts_init: int, conditions: Conditions = ALL) -> list[Event]:
    """Read one WebSocket message; of stocks only trades that count by ``conditions``, the others are named.

    Raises:
        MalformedMessage: it is none, or a field is missing or of the wrong type.

    >>> parse_message(b'[{"ev":"AM","sym":"GTE"}]', 0)
    [Ignored(kind='AM', sequence=None)]
    """
    with reading("massive message", raw):
        return [_event(one, raw, ts_init, conditions) for one in _events.decode(raw)]


def authenticate(key: str) -> bytes:
    """Return the message that must come before `subscribe`."""
    return msgspec.json.encode({"action": "auth", "params": key})


def subscribe(instruments: Sequence[str]) -> list[bytes]:
    """Return the message that asks for trades; the venue answers for each of them."""
    symbols = [symbol(one) for one in instruments]
    params = ",".join(f"{'XT' if '-' in one else 'T'}.{one}" for one in symbols)
    return [msgspec.json.encode({"action": "subscribe", "params": params})]


def history(instrument: str, span: Span, conditions: Conditions = ALL) -> Walk:
    """Walk through the trades of an instrument.

    Raises:
        UsageError: it is none of Massive.
        InputError: an answer is no body of trades.
    """
    return massive_trades.walk(_rest_ticker(instrument), span, conditions)


def candles(instrument: str, timeframe: str, span: Span) -> Walk:
    """Walk through the aggregates of an instrument, which leave quiet periods out.

    Raises:
        UsageError: it is none of Massive.
        MalformedMessage: an answer is no body of candles.
    """
    return massive_aggregates.walk(_rest_ticker(instrument), timeframe, span)


def _rest_ticker(instrument: str) -> str:
    ticker = symbol(instrument)
    return "X:" + "".join(pair_of(instrument)) if "-" in ticker else ticker


def authorise(key: str) -> Mapping[str, str]:
    """Return the header that every page wants."""
    return {"authorization": f"Bearer {key}"}


def prepare() -> Generator[Request, Response, Exchange]:
    """Ask what conditions mean, and return the exchange that leaves out trades which do not update a whole candle.

    Raises:
        MalformedMessage: the answer is no body of conditions.
    """
    params = {"asset_class": "stocks", "data_type": "trade", "limit": "1000"}
    response = yield Request("/v3/reference/conditions", params)
    return informed(parse_conditions(response.body))


def informed(conditions: Conditions) -> Exchange:
    """Return the exchange that knows what conditions mean."""
    return replace(
        EXCHANGE,
        parse=partial(parse_message, conditions=conditions),
        parse_history=partial(massive_trades.parse_history, conditions=conditions),
        feeds=tuple(replace(one, history=partial(history, conditions=conditions)) for one in EXCHANGE.feeds),
    )


def instrument(symbol: str) -> str | None:
    """Return our name of a ticker; a small letter in it becomes ``/`` and the capital.

    >>> instrument("AAPL"), instrument("BACpL"), instrument("BTC-USD"), instrument("X:BTCUSD")
    ('AAPL.MASSIVE', 'BAC/PL.MASSIVE', 'BTC-USD.MASSIVE', 'BTC-USD.MASSIVE')
    """
    if symbol.startswith("X:") or "-" in symbol:
        pair = split_symbol(symbol.removeprefix("X:"))
        return None if pair is None else f"{pair[0]}-{pair[1]}.MASSIVE"
    if not _TICKER.fullmatch(symbol):
        return None
    return re.sub(r"[a-z]", lambda small: f"/{small[0].upper()}", symbol) + ".MASSIVE"


def symbol(instrument: str) -> str:
    """Return the ticker of an instrument, as the socket has it.

    Raises:
        UsageError: it is none of Massive.

    >>> symbol("BAC/PL.MASSIVE"), symbol("BTC-USD.MASSIVE")
    ('BACpL', 'BTC-USD')
    """
    name, _, venue = instrument.rpartition(".")
    if venue != "MASSIVE" or not name:
        raise UsageError(f"instrument {instrument}", "is not of Massive", expected="TICKER.MASSIVE", was=instrument)
    return re.sub(r"/([A-Z])", lambda capital: capital[1].lower(), name)


def _event(event: msgspec.Struct, raw: bytes, ts_init: int, conditions: Conditions) -> Event:
    if isinstance(event, _Stock):
        if left_out := rules_of(event.sym, conditions).left_out(event.c):
            return Ignored(left_out)
        identity = Identity(event.x, event.trfi, event.i)
        trade = trade_of(event.sym, event.t * 1_000_000, identity, (event.p, event.s))
    elif isinstance(event, _Crypto):
        identity = Identity(event.x, None, event.i)
        trade = trade_of(event.pair, event.t * 1_000_000, identity, (event.p, event.s), crypto_side(event.c))
    elif isinstance(event, _Status):
        return _status(event, raw)
    else:
        return Ignored(_IGNORED[type(event)])
    return Trade(named(instrument, trade.symbol, raw), trade, ts_init)


def _status(kind: _Status, raw: bytes) -> Event:
    if kind.status == "auth_success":
        return Ack("auth")
    if kind.status in _REFUSALS:
        return Ack("auth", accepted=False, reason=kind.message or kind.status)
    told = _SUBSCRIBED.fullmatch(kind.message)
    if kind.status == "success" and told:
        return Ack("unsubscribe" if told[1] else "subscribe", told[2], (told[3],))
    if kind.status == "error":
        return Ack("", accepted=False, reason=kind.message)
    if not _STATUS.fullmatch(kind.status):
        raise MalformedMessage("massive status", "status", raw=raw, expected="a word", was=kind.status)
    return Ignored(kind.status)


_STOCKS = Feed(
    name="stocks",
    kind="trade",
    contiguous=False,
    ws_url="wss://socket.massive.com/stocks",
    rest_url="https://api.massive.com",
    subscribe=subscribe,
    limits=Limits(connects=Rate(10, 60), messages=Rate(10, 1), requests=Rate(50, 1)),
    history=history,
    candles=VenueCandles(massive_aggregates.TIMEFRAMES, candles),
    login=authenticate,
    authorise=authorise,
    prepare=prepare,
    silence=7 * 86_400.0,
    max_instruments=1000,
    instruments=("AAPL.MASSIVE", "MSFT.MASSIVE", "NVDA.MASSIVE", "SPY.MASSIVE"),
)
_CRYPTO = replace(
    _STOCKS,
    name="crypto",
    ws_url="wss://socket.massive.com/crypto",
    prepare=None,
    silence=300.0,
    instruments=("BTC-USD.MASSIVE", "ETH-USD.MASSIVE", "SOL-USD.MASSIVE"),
)


def _on_old_host(feed: Feed) -> Feed:
    """Return a feed by the venue's former name, whose hosts still answer."""
    hosts = (address.replace("massive.com", "polygon.io") for address in (feed.ws_url, feed.rest_url))
    return replace(feed, name=f"{feed.name}-polygon", ws_url=next(hosts), rest_url=next(hosts))


EXCHANGE = Exchange(
    venue="MASSIVE",
    contiguous=False,
    parse=parse_message,
    subscribe=subscribe,
    parse_history=massive_trades.parse_history,
    instrument=instrument,
    symbol=symbol,
    bodies={
        "quotes": frozenset({"bid_price", "ask_price"}),
        "aggs": frozenset({"o", "h", "l", "c", "v", "t"}),
        "last_trade": frozenset({"T", "i", "p", "s", "t", "x"}),
        "conditions": frozenset({"id", "type", "data_types"}),
        "exchanges": frozenset({"id", "type", "locale"}),
        "marketstatus": frozenset({"market", "serverTime", "exchanges"}),
    },
    feeds=(_STOCKS, _CRYPTO, _on_old_host(_STOCKS), _on_old_host(_CRYPTO)),
    check=massive_trades.check,
)
