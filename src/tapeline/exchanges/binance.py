"""Binance, spot and USD-M futures: WebSocket frames, combined (``{"stream", "data"}``) or bare.

``m`` says that the buyer was the maker, so the taker sold. All times are ms, or us on a connection with
``timeUnit=MICROSECOND``; the magnitude tells which. Ids of trades are contiguous, those of aggregated trades too, but
they are other ids. What REST answers is read in `tapeline.exchanges.binance_trades` and ``binance_klines``.

Source: binance-spot-api-docs, web-socket-streams.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import msgspec

from tapeline.errors import MalformedMessage
from tapeline.exchanges import base, binance_klines, binance_trades
from tapeline.exchanges.base import (
    Ack,
    Exchange,
    Feed,
    Ignored,
    Limits,
    Rate,
    RawTrade,
    Span,
    Trade,
    VenueCandles,
    Walk,
)
from tapeline.exchanges.binance_trades import AggTrade, Refusal, from_agg_trade, ns
from tapeline.exchanges.fields import Number, named, pair_of, reading, split_symbol

_NAME = re.compile(r"[A-Za-z0-9]{1,40}")
_STREAMS = 100  # in a message: few messages, since Binance takes five a second, and none too long
_COINS = ("BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "AVAX", "DOT", "LINK")


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    e: str = ""


class _Trade(msgspec.Struct):
    s: str
    t: Number
    p: str
    q: str
    T: Number
    m: bool
    X: str = ""


class _AggTrade(AggTrade, kw_only=True):
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


class _Answer(Refusal):
    """An answer to a request; newer ones have the refusal under ``error``."""

    error: Refusal | None = None
    id: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()


_envelope = msgspec.json.Decoder(_Envelope)
_trade = msgspec.json.Decoder(_Trade)
_agg_trade = msgspec.json.Decoder(_AggTrade)
_other = msgspec.json.Decoder(_Other)
_answer = msgspec.json.Decoder(_Answer)


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
    with reading("binance frame", frame):
        envelope = _envelope.decode(frame)
        payload = envelope.data or frame
        kind = envelope.e or (_envelope.decode(payload).e if envelope.data else "")
        if kind == "trade":
            return _from_trade(_trade.decode(payload))
        if kind == "aggTrade":
            row = _agg_trade.decode(payload)
            return Event("aggTrade", from_agg_trade(row, row.s, frame))
        name = kind or _name_of(_other.decode(payload), envelope.stream)
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
        answer = _answer.decode(raw)
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


def history(instrument: str, span: Span) -> Walk:
    """Walk through the trades of an instrument.

    Raises:
        UsageError: it is no pair of spot.
        InputError: an answer is no body of trades.
    """
    return binance_trades.walk(symbol(instrument), span)


def history_aggregated(instrument: str, span: Span) -> Walk:
    """Walk through its aggregated trades; otherwise as `history`."""
    return binance_trades.walk_aggregated(symbol(instrument), span)


def candles(instrument: str, timeframe: str, span: Span) -> Walk:
    """Walk through ``klines``.

    Raises:
        UsageError: it is no pair of spot.
        MalformedMessage: an answer is no body of klines.
    """
    return binance_klines.walk(symbol(instrument), timeframe, span)


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
    trade = RawTrade(row.s, row.t, ns(row.T), row.p, row.q, -1 if row.m else 1)
    return Event("trade", trade, bool(row.X))


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
    lifetime=86_400.0,
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
    parse_history=binance_trades.parse_history,
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
    check=binance_trades.check,
)
