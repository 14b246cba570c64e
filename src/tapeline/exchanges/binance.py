"""Binance, spot and USD-M futures: WebSocket frames of trades, combined (``{"stream", "data"}``) or bare.

Source: binance-spot-api-docs, web-socket-streams. ``m`` says that the buyer was the maker, so the taker sold. All
times are ms, or us on a connection with ``timeUnit=MICROSECOND``; the magnitude tells which.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from tapeline.errors import MalformedMessage
from tapeline.exchanges.base import MAX_ID, RawTrade, split_symbol

_Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
_NAME = re.compile(r"[A-Za-z0-9]{1,40}")
_MICROSECONDS_FROM = 10**14


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


class _AggTrade(msgspec.Struct):
    s: str
    a: _Id
    p: str
    q: str
    f: _Id
    l: _Id  # noqa: E741  the venue's own field name
    T: _Id
    m: bool


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


_envelope = msgspec.json.Decoder(_Envelope)
_trade = msgspec.json.Decoder(_Trade)
_agg_trade = msgspec.json.Decoder(_AggTrade)
_other = msgspec.json.Decoder(_Other)


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
            return _from_agg_trade(_agg_trade.decode(payload), frame)
        name = kind or _name_of(_other.decode(payload), envelope.stream)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("binance frame", _brief(error), raw=frame) from error
    if not _NAME.fullmatch(name):
        raise MalformedMessage("binance frame", "is of no known kind", raw=frame)
    return name


def instrument(symbol: str, *, futures: bool = False) -> str | None:
    """Return our name of a symbol, or None where its quote currency is not known.

    >>> instrument("BTCUSDT"), instrument("ethusdt", futures=True)
    ('BTC-USDT.BINANCE', 'ETH-USDT-PERP.BINANCE')
    """
    pair = split_symbol(symbol)
    return None if pair is None else f"{pair[0]}-{pair[1]}{'-PERP' if futures else ''}.BINANCE"


def _from_trade(row: _Trade) -> Event | str:
    if row.X and row.X != "MARKET":
        return f"trade{row.X.replace('_', '')}"
    trade = RawTrade(row.s, row.t, _ns(row.T), row.p, row.q, -1 if row.m else 1)
    return Event("trade", trade, bool(row.X))


def _from_agg_trade(row: _AggTrade, frame: bytes) -> Event:
    count = row.l - row.f + 1
    if not 1 <= count < 2**31:
        raise MalformedMessage("binance aggTrade", "last id before first id", raw=frame, expected="l >= f", was=row.l)
    return Event("aggTrade", RawTrade(row.s, row.a, _ns(row.T), row.p, row.q, -1 if row.m else 1, count))


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
