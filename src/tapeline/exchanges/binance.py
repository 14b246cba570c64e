"""Binance, spot and USD-M futures: WebSocket frames, combined (``{"stream", "data"}``) or bare, and REST bodies.

``m`` says that the buyer was the maker, so the taker sold. All times are ms, or us on a connection with
``timeUnit=MICROSECOND``; the magnitude tells which. Ids of trades are contiguous, those of aggregated trades too, but
they are other ids.

Source: binance-spot-api-docs, web-socket-streams and rest-api (trades, historicalTrades, aggTrades); none of these
calls wants a key.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

import msgspec

from tapeline.errors import InputError, MalformedMessage, VenueBusy
from tapeline.exchanges import base, binance_klines
from tapeline.exchanges.answers import check_answer, read_or, retry_after
from tapeline.exchanges.base import (
    Ack,
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
from tapeline.exchanges.fields import MAX_ID, named, pair_of, reading, split_symbol
from tapeline.exchanges.walks import asked, by_id

_Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
_NAME = re.compile(r"[A-Za-z0-9]{1,40}")
_MICROSECONDS_FROM = 10**14
_STREAMS = 100  # in a message: few messages, since Binance takes five a second, and none too long
_COINS = ("BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "AVAX", "DOT", "LINK")
_ROWS = "1000"
_BEFORE = 500  # ids: a span may begin inside an aggregated trade
_PASSES = frozenset({-1000, -1001, -1003, -1007, -1008, -1016})


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    e: str = ""


class _Trade(msgspec.Struct):
    s: str
    t: _Id
    p: str
    q: str
    T: _Id
    m: bool
    X: str = ""


class _RestAggTrade(msgspec.Struct):
    a: _Id
    p: str
    q: str
    f: _Id
    l: _Id  # noqa: E741  the venue's own field name
    T: _Id
    m: bool


class _AggTrade(_RestAggTrade, kw_only=True):
    s: str


class _Other(msgspec.Struct):
    """Fields by which a message without an event name is known."""

    last_update: msgspec.Raw = msgspec.field(name="lastUpdateId", default=msgspec.Raw())
    id: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    code: msgspec.Raw = msgspec.Raw()
    msg: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    u: msgspec.Raw = msgspec.Raw()
    B: msgspec.Raw = msgspec.Raw()
    A: msgspec.Raw = msgspec.Raw()


class _RestTrade(msgspec.Struct):
    id: _Id
    price: str
    qty: str
    time: _Id
    maker_bought: bool = msgspec.field(name="isBuyerMaker")


class _RestRow(msgspec.Struct):
    """Fields by which a row tells its kind."""

    id: msgspec.Raw = msgspec.Raw()
    a: msgspec.Raw = msgspec.Raw()


class _Refusal(msgspec.Struct):
    """``{"code", "msg"}``, on REST and on sockets; newer socket answers have it under ``error``."""

    code: int | None = None
    msg: str = ""
    error: _Refusal | None = None
    id: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()


_envelope = msgspec.json.Decoder(_Envelope)
_trade = msgspec.json.Decoder(_Trade)
_agg_trade = msgspec.json.Decoder(_AggTrade)
_other = msgspec.json.Decoder(_Other)
_refusal = msgspec.json.Decoder(_Refusal)
_rest_rows = msgspec.json.Decoder(list[msgspec.Raw])
_rest_row = msgspec.json.Decoder(_RestRow)
_rest_trade = msgspec.json.Decoder(_RestTrade)
_rest_agg_trade = msgspec.json.Decoder(_RestAggTrade)
_rest_agg_trades = msgspec.json.Decoder(list[_RestAggTrade])


class Event(msgspec.Struct, frozen=True):
    """One trade event: ``kind`` is ``trade`` or ``aggTrade``; ``futures`` where the frame itself says so."""

    kind: str
    trade: RawTrade
    futures: bool = False


def parse(frame: bytes) -> Event | str:
    """Read one frame: a trade event, or the name of a known kind that is not a trade.

    Raises:
        MalformedMessage: it is not JSON, or not a frame of Binance, or a field is missing or of the wrong type.

    >>> parse(b'{"result":null,"id":1}')
    'ack'
    """
    try:
        envelope = _envelope.decode(frame)
        payload = bytes(envelope.data) or frame
        kind = envelope.e or (_envelope.decode(payload).e if envelope.data else "")
        if kind == "trade":
            return _from_trade(_trade.decode(payload))
        if kind == "aggTrade":
            row = _agg_trade.decode(payload)
            return Event("aggTrade", _from_agg_trade(row, row.s, frame))
        name = kind or _name_of(_other.decode(payload), envelope.stream)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("binance frame", _brief(error), raw=frame) from error
    if not _NAME.fullmatch(name):
        raise MalformedMessage("binance frame", "is of no known kind", raw=frame)
    return name


def parse_message(raw: bytes, ts_init: int) -> list[base.Event]:
    """Read one WebSocket message, as `Exchange.parse` has it.

    Raises:
        MalformedMessage: as `parse`, or its symbol has no known quote currency.

    >>> parse_message(b'{"result":null,"id":1}', 0)
    [Ack(request='1', channel='', symbols=(), accepted=True, reason='', sequence=None)]
    """
    event = parse(raw)
    if isinstance(event, Event):
        symbol = event.trade.symbol
        name = named(_perpetual if event.futures else instrument, symbol, raw)
        return [Trade(name, event.trade, ts_init, event.kind)]
    if event not in {"ack", "error"}:
        return [Ignored(event)]
    with reading("binance answer", raw):
        answer = _refusal.decode(raw)
    if bytes(answer.result).startswith(b"["):
        return [Ignored("subscriptions")]
    refusal = answer.error or answer
    return [Ack(bytes(answer.id).decode(), accepted=event == "ack", reason=refusal.msg)]


def subscribe(instruments: Sequence[str], stream: str = "trade") -> list[bytes]:
    """Return the messages that ask for a stream of instruments; Binance answers each once, whatever it names."""
    streams = [f"{symbol(one).lower()}@{stream}" for one in instruments]
    parts = [streams[i : i + _STREAMS] for i in range(0, len(streams), _STREAMS)]
    return [
        msgspec.json.encode({"method": "SUBSCRIBE", "params": part, "id": number})
        for number, part in enumerate(parts, 1)
    ]


def symbol(instrument: str) -> str:
    """Return the symbol of a spot instrument; streams have it in small letters.

    Raises:
        UsageError: it is no pair.

    >>> symbol("BTC-USDT.BINANCE")
    'BTCUSDT'
    """
    return "".join(pair_of(instrument))


def parse_history(body: bytes, symbol: str) -> History:
    """Read a body of ``trades``, ``historicalTrades`` or ``aggTrades``; ``next`` is the ``fromId`` that follows it.

    Raises:
        MalformedMessage: it is no such body.
        InputError: Binance answered with an error.
    """
    history = History()
    with reading("binance body", body):
        if body.lstrip()[:1] == b"{" and _refusal.decode(body).code is not None:
            raise InputError("binance body", f"the venue answered {_refusal.decode(body).msg!r}")
        rows = [bytes(row) for row in _rest_rows.decode(body)]
        kinds = {_kind_of(row) for row in rows if row.startswith(b"{")}
    if (rows and not kinds) or "" in kinds or len(kinds) > 1:
        raise MalformedMessage("binance body", "is no body of trades", raw=body)
    history.kind = next(iter(kinds), "trade")
    for row in rows:
        try:
            history.trades.append(_from_row(row, symbol))
        except MalformedMessage as error:
            history.bad.append(error)
    newest = max((trade.trade_id for trade in history.trades if trade.trade_id is not None), default=None)
    history.next = "" if newest is None else str(newest + 1)
    return history


def history(instrument: str, span: Span) -> Walk:
    """Walk through ``historicalTrades`` by id; by time, from a little before the first aggregated trade on.

    Raises:
        UsageError: it is no pair of spot.
        InputError: an answer is no body of trades.
    """
    name, number = symbol(instrument), span.first_id
    if number is None:
        first = yield from _first(name, span)
        number = None if first is None else max(first.f - _BEFORE, 0)
    if number is not None:
        ask = partial(_from_id, "/api/v3/historicalTrades", name, 25)
        yield from by_id(span, number, ask, partial(parse_history, symbol=name))


def history_aggregated(instrument: str, span: Span) -> Walk:
    """Walk through ``aggTrades`` by their own ids.

    Raises:
        UsageError: it is no pair of spot.
        InputError: an answer is no body of trades.
    """
    name, number = symbol(instrument), span.first_id
    if number is None:
        first = yield from _first(name, span)
        number = None if first is None else first.a
    if number is not None:
        ask = partial(_from_id, "/api/v3/aggTrades", name, 4)
        yield from by_id(span, number, ask, partial(parse_history, symbol=name))


def candles(instrument: str, timeframe: str, span: Span) -> Walk:
    """Walk through ``klines``.

    Raises:
        UsageError: it is no pair of spot.
        MalformedMessage: an answer is no body of klines.
    """
    return binance_klines.walk(symbol(instrument), timeframe, span)


def _first(name: str, span: Span) -> Generator[Request | Page, Response | None, _RestAggTrade | None]:
    """Ask for the first aggregated trade of a span; an empty answer is not believed at once."""
    params = {"symbol": name, "startTime": str(span.start // 1_000_000), "limit": "1"}
    for _ in range(2):
        answer = yield from asked(Request("/api/v3/aggTrades", params, weight=4))
        with reading("binance body", answer.body):
            found = _rest_agg_trades.decode(answer.body)
        if found:
            return found[0]
    return None


def _from_id(path: str, name: str, weight: float, number: int) -> Request:
    return Request(path, {"symbol": name, "fromId": str(number), "limit": _ROWS}, weight=weight)


def check(response: Response) -> None:
    """Judge an answer by its status and its code.

    Raises:
        VenueBusy: over the limit (429), banned for a while (418), in trouble, or no JSON.
        VenueRefused: an unknown symbol, or any other error.
    """
    told = read_or(_refusal, response.body, _Refusal())
    if told.code in _PASSES:
        raise VenueBusy("binance REST", f"the venue answered {told.msg[:120]!r}", retry_after=retry_after(response))
    check_answer("binance REST", response)


def _kind_of(row: bytes) -> str:
    keys = _rest_row.decode(row)
    return "aggTrade" if keys.a else "trade" if keys.id else ""


def _from_row(raw: bytes, symbol: str) -> RawTrade:
    with reading("binance row", raw):
        if _kind_of(raw) == "aggTrade":
            return _from_agg_trade(_rest_agg_trade.decode(raw), symbol, raw)
        row = _rest_trade.decode(raw)
        return RawTrade(symbol, row.id, _ns(row.time), row.price, row.qty, -1 if row.maker_bought else 1)


def instrument(symbol: str, *, futures: bool = False) -> str | None:
    """Return our name of a symbol, or None where its quote currency is not known.

    >>> instrument("BTCUSDT"), instrument("ethusdt", futures=True)
    ('BTC-USDT.BINANCE', 'ETH-USDT-PERP.BINANCE')
    """
    pair = split_symbol(symbol)
    return None if pair is None else f"{pair[0]}-{pair[1]}{'-PERP' if futures else ''}.BINANCE"


_perpetual = partial(instrument, futures=True)


def _from_trade(row: _Trade) -> Event | str:
    if row.X and row.X != "MARKET":
        return f"trade{row.X.replace('_', '')}"
    trade = RawTrade(row.s, row.t, _ns(row.T), row.p, row.q, -1 if row.m else 1)
    return Event("trade", trade, bool(row.X))


def _from_agg_trade(row: _RestAggTrade, symbol: str, frame: bytes) -> RawTrade:
    count = row.l - row.f + 1
    if not 1 <= count < 2**31:
        raise MalformedMessage("binance aggTrade", "last id before first id", raw=frame, expected="l >= f", was=row.l)
    return RawTrade(symbol, row.a, _ns(row.T), row.p, row.q, -1 if row.m else 1, count)


def _ns(stamp: int) -> int:
    ns = stamp * (1_000 if stamp >= _MICROSECONDS_FROM else 1_000_000)
    return min(ns, MAX_ID)


def _name_of(other: _Other, stream: str) -> str:
    if stream:
        return stream.rpartition("!")[2].partition("@")[2].partition("@")[0] or stream.lstrip("!").partition("@")[0]
    if other.last_update:
        return "depthSnapshot"
    if other.u and other.A and other.B:
        return "bookTicker"
    if other.error or (other.code and other.msg):
        return "error"
    return "ack" if other.id and other.result else ""


def _brief(error: Exception) -> str:
    return f"cannot be read ({str(error)[:120]})"


_FEED = Feed(
    name="trade",
    kind="trade",
    contiguous=True,
    ws_url="wss://stream.binance.com:9443/stream",
    rest_url="https://api.binance.com",
    subscribe=subscribe,
    limits=Limits(connects=Rate(300, 300), messages=Rate(4, 1), requests=Rate(6000, 60)),
    history=history,
    candles=VenueCandles(binance_klines.TIMEFRAMES, candles),
    silence=45.0,
    keepalive=b'{"method":"LIST_SUBSCRIPTIONS","id":"alive"}',
    keepalive_every=15.0,
    goodbyes=frozenset({"serverShutdown"}),
    max_instruments=1024,
    instruments=tuple(f"{coin}-USDT.BINANCE" for coin in _COINS),
)
_AGGREGATED = replace(
    _FEED,
    name="aggTrade",
    kind="aggTrade",
    subscribe=partial(subscribe, stream="aggTrade"),
    history=history_aggregated,
)

EXCHANGE = Exchange(
    venue="BINANCE",
    contiguous=True,
    parse=parse_message,
    subscribe=subscribe,
    parse_history=parse_history,
    instrument=instrument,
    symbol=symbol,
    bodies={
        "klines": 12,
        "exchangeInfo": frozenset({"timezone", "serverTime", "symbols"}),
        "time": frozenset({"serverTime"}),
        "avgPrice": frozenset({"mins", "price"}),
        "ping": frozenset(),
    },
    feeds=(_FEED, _AGGREGATED),
    check=check,
)
