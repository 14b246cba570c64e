"""Kraken: WebSocket v2, and recordings of v1.

Trades of v1 come without a trade id, their seconds with up to nine decimals, read from their text, never through a
float. The side is the taker's. What REST answers is read in `tapeline.exchanges.kraken_trades` and ``kraken_ohlc``.

Source: docs.kraken.com, spot-websocket-v2/trade, websockets v1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal

import msgspec

from tapeline.errors import MalformedMessage
from tapeline.exchanges import kraken_ohlc, kraken_trades
from tapeline.exchanges.base import (
    Ack,
    Columns,
    Event,
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
from tapeline.exchanges.fields import (
    Number,
    named,
    number_text,
    pair_of,
    reading,
    rfc3339_column,
    rfc3339_ns,
    seconds_ns,
    side_of,
    split_symbol,
)

_LEGACY = re.compile(r"[XZ]([A-Z]{3})[XZ]([A-Z]{3})")
_QUOTES = re.findall(
    r"\w+", "ZUSD ZEUR ZGBP ZCAD ZJPY ZAUD XXBT XETH USDT USDC DAI USD EUR GBP CAD JPY AUD CHF XBT BTC ETH"
)
_LEGACY_BASES = set(
    re.findall(r"\w+", "XXBT XETH XXRP XLTC XETC XXLM XXMR XZEC XREP XMLN XXDG ZUSD ZEUR ZGBP ZCAD ZJPY ZAUD")
)
_OUR_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
_THEIR_NAMES = {ours: theirs for theirs, ours in _OUR_NAMES.items()}
_SIDES = {"buy": 1, "sell": -1}
_CHANNELS = frozenset({"book", "executions", "heartbeat", "instrument", "level3", "ohlc", "status", "ticker"})
_OLD_CHANNELS = frozenset({"book", "ohlc", "spread", "ticker"})


class _WsTrade(msgspec.Struct):
    symbol: str
    side: str
    price: msgspec.Raw
    qty: msgspec.Raw
    trade_id: Number
    timestamp: str


class _PlainTrade(msgspec.Struct, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: float
    qty: float
    trade_id: Number
    timestamp: str


class _PlainMessage(msgspec.Struct, gc=False):
    channel: Literal["trade"]
    type: Literal["update"]
    data: list[_PlainTrade]


class _OldWsTrade(msgspec.Struct, array_like=True):
    price: str
    qty: str
    time: str
    side: str


class _Subject(msgspec.Struct):
    channel: str = ""
    symbol: str = ""
    name: str = ""


class _Message(msgspec.Struct):
    """A message of v2 (``channel`` or ``method``) or of v1 (``event``)."""

    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw()
    method: str = ""
    success: bool | None = None
    result: _Subject | None = None
    symbol: str = ""
    error: str = ""
    event: str = ""
    status: str = ""
    pair: str = ""
    subscription: _Subject | None = None
    error_message: str = msgspec.field(name="errorMessage", default="")


_parts = msgspec.json.Decoder(list[msgspec.Raw])
_message = msgspec.json.Decoder(_Message)
_plain_message = msgspec.json.Decoder(_PlainMessage)
_ws_trades = msgspec.json.Decoder(list[_WsTrade])
_old_ws_trades = msgspec.json.Decoder(list[_OldWsTrade])
_text = msgspec.json.Decoder(str)


def parse_message(raw: bytes, ts_init: int) -> list[Event]:
    """Read one WebSocket message of v2 or v1.

    Raises:
        MalformedMessage: it is none, or a field is missing or of the wrong type.

    >>> parse_message(b'{"channel":"heartbeat"}', 0)
    [Ignored(kind='heartbeat', sequence=None)]
    """
    with reading("kraken message", raw):
        if raw.lstrip()[:1] == b"[":
            return _from_old(_parts.decode(raw), raw, ts_init)
        message = _message.decode(raw)
        if message.channel == "trade" and message.type in {"snapshot", "update"}:
            snapshot = message.type == "snapshot"
            return [_from_ws(row, raw, ts_init, snapshot) for row in _ws_trades.decode(message.data)]
        event = _not_a_trade(message)
    if event is None:
        raise MalformedMessage("kraken message", "is of no known kind", raw=raw)
    return [event]


def parse_plain(messages: Sequence[bytes]) -> Columns | None:
    """Read messages of v2 that tell new trades, numbers bare, as nearly all are; None where one is another.

    >>> parse_plain([b'{"channel":"heartbeat"}']) is None
    True
    """
    try:
        told = [_plain_message.decode(raw) for raw in messages]
        trades = [trade for message in told for trade in message.data]
        stamps = rfc3339_column([trade.timestamp for trade in trades]) if trades else None
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    if stamps is None:
        return None
    return Columns(
        [trade.symbol for trade in trades],
        [trade.trade_id for trade in trades],
        stamps,
        [trade.price for trade in trades],
        [trade.qty for trade in trades],
        [_SIDES[trade.side] for trade in trades],
        [len(message.data) for message in told],
    )


def subscribe(instruments: Sequence[str]) -> list[bytes]:
    """Return the message of v2 that asks for trades, the newest ones at once; the venue answers for each symbol."""
    params = {"channel": "trade", "symbol": [symbol(one) for one in instruments], "snapshot": True}
    return [msgspec.json.encode({"method": "subscribe", "params": params, "req_id": 1})]


def symbol(instrument: str) -> str:
    """Return the symbol of v2.

    Raises:
        UsageError: it is no pair.

    >>> symbol("BTC-USD.KRAKEN")
    'BTC/USD'
    """
    return "/".join(pair_of(instrument))


def _from_ws(row: _WsTrade, raw: bytes, ts_init: int, snapshot: bool) -> Trade:
    side, stamp = side_of("kraken trade", row.side, _SIDES, raw), rfc3339_ns(row.timestamp)
    trade = RawTrade(row.symbol, row.trade_id, stamp, number_text(row.price), number_text(row.qty), side)
    return Trade(named(instrument, row.symbol, raw), trade, ts_init, snapshot=snapshot)


def _from_old(parts: list[msgspec.Raw], raw: bytes, ts_init: int) -> list[Event]:
    """Read a message of v1: [channel id, data, ..., name of the channel, pair]."""
    if len(parts) < 4:
        raise MalformedMessage("kraken message", "is of no known kind", raw=raw)
    kind, pair = _text.decode(parts[-2]).partition("-")[0], _text.decode(parts[-1])
    if kind in _OLD_CHANNELS:
        return [Ignored(kind)]
    if kind != "trade":
        raise MalformedMessage("kraken message", "is of no known kind", raw=raw)
    name = named(instrument, pair, raw)
    return [Trade(name, _from_old_row(pair, row, raw), ts_init) for row in _old_ws_trades.decode(parts[1])]


def _from_old_row(pair: str, row: _OldWsTrade, raw: bytes) -> RawTrade:
    try:
        stamp = seconds_ns(Decimal(row.time))
    except InvalidOperation as error:
        raise MalformedMessage("kraken trade", "time", raw=raw, expected="seconds", was=row.time) from error
    return RawTrade(pair, None, stamp, row.price, row.qty, side_of("kraken trade", row.side, kraken_trades.SIDES, raw))


def _not_a_trade(message: _Message) -> Event | None:
    if message.channel in _CHANNELS:
        return Ignored(message.channel)
    if message.method in {"subscribe", "unsubscribe"} and message.success is not None:
        subject = message.result or _Subject()
        symbols = tuple(filter(None, [subject.symbol or message.symbol]))
        return Ack(message.method, subject.channel, symbols, message.success, message.error)
    if message.method == "pong" or message.event in {"pong", "heartbeat"}:
        return Ignored(message.method or message.event)
    if message.event == "systemStatus":
        return Ignored("status")
    if message.event == "subscriptionStatus" and message.status:
        channel = message.subscription.name if message.subscription else ""
        request = "unsubscribe" if message.status == "unsubscribed" else "subscribe"
        accepted = message.status != "error"
        return Ack(request, channel, tuple(filter(None, [message.pair])), accepted, message.error_message)
    return Ignored("error") if message.method and message.error else None


def history(instrument: str, span: Span) -> Walk:
    """Walk through the trades of an instrument.

    Raises:
        UsageError: it is no pair.
        InputError: an answer is no body of ``Trades``.
    """
    return kraken_trades.walk(_rest_pair(instrument), span)


def candles(instrument: str, timeframe: str, span: Span) -> Walk:
    """Give the newest candles of ``OHLC``.

    Raises:
        UsageError: it is no pair.
        MalformedMessage: an answer is no body of OHLC.
        VenueRefused: the span begins before what Kraken gives.
    """
    return kraken_ohlc.walk(_rest_pair(instrument), timeframe, span)


def _rest_pair(instrument: str) -> str:
    return "".join(_THEIR_NAMES.get(one, one) for one in pair_of(instrument))


def instrument(pair: str) -> str | None:
    """Return our name of a Kraken pair, or None where its quote currency is not known.

    >>> instrument("XXBTZUSD"), instrument("XBTUSDT"), instrument("XBT/EUR")
    ('BTC-USD.KRAKEN', 'BTC-USDT.KRAKEN', 'BTC-EUR.KRAKEN')
    """
    legacy = _LEGACY.fullmatch(pair)
    names = (legacy[1], legacy[2]) if legacy else split_symbol(pair, _QUOTES)
    return None if names is None else f"{_our(names[0])}-{_our(names[1])}.KRAKEN"


def _our(name: str) -> str:
    short = name[1:] if name in _LEGACY_BASES else name
    return _OUR_NAMES.get(short, short)


_FEED = Feed(
    name="trade",
    kind="trade",
    contiguous=True,
    ws_url="wss://ws.kraken.com/v2",
    rest_url="https://api.kraken.com",
    subscribe=subscribe,
    limits=Limits(connects=Rate(120, 600), messages=Rate(20, 1), requests=Rate(1, 1)),
    history=history,
    candles=VenueCandles(kraken_ohlc.TIMEFRAMES, candles),
    silence=10.0,
    keepalive=b'{"method":"ping"}',
    keepalive_every=30.0,
    instruments=("BTC-USD.KRAKEN", "ETH-USD.KRAKEN", "SOL-USD.KRAKEN", "XRP-USD.KRAKEN"),
)

EXCHANGE = Exchange(
    venue="KRAKEN",
    contiguous=True,
    parse=parse_message,
    subscribe=subscribe,
    parse_history=kraken_trades.parse_history,
    instrument=instrument,
    symbol=symbol,
    bodies={
        "OHLC": 8,
        "Assets": frozenset({"aclass", "altname"}),
        "AssetPairs": frozenset({"altname", "wsname"}),
        "Depth": frozenset({"asks", "bids"}),
        "Ticker": frozenset({"a", "b", "c", "v", "p"}),
        "Time": frozenset({"unixtime", "rfc1123"}),
        "SystemStatus": frozenset({"status", "timestamp"}),
    },
    feeds=(_FEED,),
    check=kraken_trades.check,
    parse_plain=parse_plain,
)
