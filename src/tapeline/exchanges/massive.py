"""Massive (formerly Polygon.io): WebSocket trades of stocks, options (``T``) and crypto (``XT``), REST ``v3/trades``.

A message is an array of mixed events. Ids are texts, unique only per ticker, exchange and trade reporting facility:
ours is 63 bits of BLAKE2b over (UTC day of the trade, exchange, facility, id), the same from both sources, since
``ts_event`` is the SIP time in both, in ms on the socket and in ns by REST. Ids are not contiguous: completeness cannot
be proven.

Rows of trades that were cancelled or corrected away are left out, and so are, once the venue's conditions have been
read (`prepare`), trades that do not update a whole candle: see `tapeline.exchanges.massive_reference`.

Source: the venue's WebSocket and REST specifications (massive.com/docs).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from hashlib import blake2b
from operator import or_
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tapeline.clock import DAY
from tapeline.errors import InputError, MalformedMessage, UsageError, VenueRefused
from tapeline.exchanges import massive_aggregates
from tapeline.exchanges.answers import check_answer, read_or
from tapeline.exchanges.base import (
    Ack,
    Event,
    Exchange,
    Feed,
    History,
    Ignored,
    Limits,
    Page,
    Rate,
    RawTrade,
    Request,
    Response,
    Span,
    Trade,
    VenueCandles,
    Walk,
)
from tapeline.exchanges.fields import MAX_ID, named, number_text, pair_of, reading, split_symbol
from tapeline.exchanges.massive_reference import Conditions, parse_conditions
from tapeline.exchanges.walks import asked

_Ms = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID // 1_000_000)]
_Ns = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
_OTHERS = re.findall(r"\w+", "Q A AM LULD NOI FMV LV C CA CAS V XQ XL2 XA XAS")
_TICKER = re.compile(r"[A-Z0-9][A-Za-z0-9.:]*", re.ASCII)
_STATUS = re.compile(r"[a-z_]{1,40}")
_SUBSCRIBED = re.compile(r"(un)?subscribed to: (\w+)\.(\S+)")
_CRYPTO_SIDES = {1: -1, 2: 1}
_REFUSALS = frozenset({"auth_failed", "auth_timeout", "max_connections"})
_TRADES = "/v3/trades/"
_ALL = Conditions()
_PATIENCE = 5


class _Status(msgspec.Struct, tag_field="ev", tag="status"):
    status: str = ""
    message: str = ""


class _Stock(msgspec.Struct, tag_field="ev", tag="T"):
    sym: str
    p: msgspec.Raw
    s: msgspec.Raw
    t: _Ms
    x: int
    c: list[int] = []
    i: int | str | None = None
    trfi: int | None = None


class _Crypto(msgspec.Struct, tag_field="ev", tag="XT"):
    pair: str
    p: msgspec.Raw
    s: msgspec.Raw
    t: _Ms
    x: int
    c: list[int] = []
    i: int | str | None = None


class _RestRow(msgspec.Struct):
    price: msgspec.Raw
    size: msgspec.Raw
    exchange: int
    participant_timestamp: _Ns | None = None
    sip_timestamp: _Ns | None = None
    id: int | str | None = None
    trf_id: int | None = None
    conditions: list[int] = []
    correction: int = 0


class _Body(msgspec.Struct):
    status: str = ""
    results: list[msgspec.Raw] | None = None
    next_url: str = ""
    error: str = ""
    message: str = ""


_IGNORED = {msgspec.defstruct(f"_{name}", [], tag_field="ev", tag=name): name for name in _OTHERS}
_events: msgspec.json.Decoder[list[msgspec.Struct]] = msgspec.json.Decoder(
    list[reduce(or_, _IGNORED, _Status | _Stock | _Crypto)],  # type: ignore[misc]
)
_body = msgspec.json.Decoder(_Body)
_rest_row = msgspec.json.Decoder(_RestRow)


def parse_message(raw: bytes, ts_init: int, conditions: Conditions = _ALL) -> list[Event]:
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


def parse_history(body: bytes, symbol: str, conditions: Conditions = _ALL) -> History:
    """Read a body of ``v3/trades/{symbol}``; ``next`` is the address of the next page, which wants the key again.

    Raises:
        MalformedMessage: it is no such body.
        InputError: Massive answered with an error.
    """
    with reading("massive body", body):
        answer = _body.decode(body)
    if answer.status == "ERROR" or answer.error:
        raise InputError("massive body", f"the venue answered {answer.error or answer.message!r}")
    if answer.results is None and answer.status not in {"OK", "DELAYED"}:
        raise MalformedMessage("massive body", "is no body of trades", raw=body)
    history = History(next=answer.next_url)
    for row in answer.results or []:
        try:
            _add(history, bytes(row), symbol, conditions)
        except MalformedMessage as error:
            history.bad.append(error)
    return history


def history(instrument: str, span: Span, conditions: Conditions = _ALL) -> Walk:
    """Walk through ``v3/trades`` by time and the venue's cursor; ids are no help, they ascend for nobody.

    Of the address of the next page only path and query are followed, so that the key goes to no other host.

    Raises:
        UsageError: it is none of Massive.
        InputError: an answer is no body of trades.
    """
    ticker = _rest_ticker(instrument)
    bounds = {"timestamp.gte": str(span.start), "timestamp.lt": str(span.end)}
    request: Request | None = Request(_TRADES + ticker, {**bounds, "order": "asc", "limit": "50000"})
    newest, idle = -1, 0
    while request is not None and idle < _PATIENCE:
        answer = yield from asked(request)
        found = parse_history(answer.body, ticker, conditions)
        inside = (one for one in found.trades if span.start <= one.ts_event < span.end)
        wanted = sorted(inside, key=lambda one: one.ts_event)
        if wanted or found.bad or found.ignored:
            yield Page(wanted, tuple(found.bad), found.ignored)
        reached = max((one.ts_event for one in found.trades), default=-1)
        newest, idle = max(newest, reached), 0 if reached > newest else idle + 1
        request = _next(found.next)


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


def _next(address: str) -> Request | None:
    parts = urlsplit(address)
    params = dict(parse_qsl(parts.query))
    return Request(parts.path, params) if parts.path.startswith(_TRADES) and params else None


def authorise(key: str) -> Mapping[str, str]:
    """Return the header that every page wants."""
    return {"authorization": f"Bearer {key}"}


def check(response: Response) -> None:
    """Judge an answer by its status and by the word in it.

    Raises:
        VenueBusy: over the limit, in trouble, or no JSON.
        VenueRefused: a wrong key, what the key does not pay for, an unknown ticker.
    """
    check_answer("massive REST", response)
    told = read_or(_body, response.body, _Body())
    if told.status == "ERROR" or told.error:
        raise VenueRefused("massive REST", f"the venue answered {(told.error or told.message)[:120]!r}")


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
        parse_history=partial(parse_history, conditions=conditions),
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


def trade_id(ts_event: int, exchange: int, facility: int | None, written: str) -> int:
    """Return our id of a trade, 0 to 2**63 - 1; ids may come again on another day, hence the day is in it.

    >>> trade_id(0, 4, None, "12345") == trade_id(86_399_000_000_000, 4, None, "12345")
    True
    """
    text = f"{ts_event // DAY}|{exchange}|{'' if facility is None else facility}|{written}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def _event(event: msgspec.Struct, raw: bytes, ts_init: int, conditions: Conditions) -> Event:
    if isinstance(event, _Stock):
        if left_out := _rules_of(event.sym, conditions).left_out(event.c):
            return Ignored(left_out)
        identity = (event.x, event.trfi, event.i)
        trade = _trade(event.sym, event.t * 1_000_000, identity, (event.p, event.s), 0)
    elif isinstance(event, _Crypto):
        identity = (event.x, None, event.i)
        trade = _trade(event.pair, event.t * 1_000_000, identity, (event.p, event.s), _side(event.c))
    elif isinstance(event, _Status):
        return _status(event, raw)
    else:
        return Ignored(_IGNORED[type(event)])
    return Trade(named(instrument, trade.symbol, raw), trade, ts_init)


def _trade(
    ticker: str,
    ts_event: int,
    identity: tuple[int, int | None, int | str | None],
    numbers: tuple[msgspec.Raw, msgspec.Raw],
    side: int,
) -> RawTrade:
    exchange, facility, written = identity
    known = None if written is None else trade_id(ts_event, exchange, facility, str(written))
    return RawTrade(ticker, known, ts_event, number_text(numbers[0]), number_text(numbers[1]), side)


def _add(history: History, raw: bytes, ticker: str, conditions: Conditions) -> None:
    with reading("massive row", raw):
        row = _rest_row.decode(raw)
        stamp = row.participant_timestamp if row.sip_timestamp is None else row.sip_timestamp
        if stamp is None:
            raise MalformedMessage("massive row", "has no time", raw=raw)
        if left_out := _rules_of(ticker, conditions).left_out(row.conditions, row.correction):
            history.ignored[left_out] += 1
            return
        side = _side(row.conditions) if ticker.startswith("X:") else 0
        identity = (row.exchange, row.trf_id, row.id)
        history.trades.append(_trade(ticker, stamp, identity, (row.price, row.size), side))


def _rules_of(ticker: str, conditions: Conditions) -> Conditions:
    """Return the conditions of stocks for a stock; options (``O:``) and crypto (``X:``) number theirs otherwise."""
    return _ALL if ticker[1:2] == ":" else conditions


def _side(conditions: list[int]) -> int:
    """Return the aggressor of a crypto trade: condition 1 is sell side, 2 is buy side."""
    sides = [_CRYPTO_SIDES[one] for one in conditions if one in _CRYPTO_SIDES]
    return sides[0] if len(sides) == 1 else 0


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
    parse_history=parse_history,
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
    check=check,
)
