"""Coinbase: WebSocket of Advanced Trade and of Exchange.

Advanced Trade ``market_trades`` come newest first; they are returned oldest first. ``sequence_num`` counts all messages
of a connection and is kept. Both they and ``match`` of Exchange name the **maker's** side, which is turned into the
aggressor.

Each product is asked for in a message of its own, so that one that is refused spoils no other. What REST answers is
read in `tapeline.exchanges.coinbase_trades` and ``coinbase_candles``.

Source: docs.cdp.coinbase.com, advanced-trade-apis/websocket/websocket-channels (market trades: "each market trade
belongs to a side, which refers to the makers side"), exchange/websocket-feed/channels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import msgspec

from tapeline.errors import MalformedMessage
from tapeline.exchanges import coinbase_candles, coinbase_trades
from tapeline.exchanges.answers import check_answer
from tapeline.exchanges.base import (
    Ack,
    Event,
    Exchange,
    Feed,
    Ignored,
    Limits,
    Rate,
    Span,
    Trade,
    VenueCandles,
    Walk,
)
from tapeline.exchanges.coinbase_trades import Row, trade_of
from tapeline.exchanges.fields import Number, named, pair_of, reading, split_symbol

_ADVANCED = frozenset(
    {"candles", "futures_balance_summary", "heartbeats", "l2_data", "status", "ticker", "ticker_batch"}
)
_EXCHANGE = frozenset(
    {
        "activate",
        "auction",
        "change",
        "done",
        "heartbeat",
        "l2update",
        "open",
        "received",
        "snapshot",
        "status",
        "ticker",
    }
)
_PRODUCT = re.compile(r"\b[A-Z0-9]{1,20}-[A-Z0-9]{2,20}\b", re.ASCII)


class _Group(msgspec.Struct):
    """One of the events of an Advanced Trade message."""

    type: str = ""
    trades: list[Row] | None = None
    subscriptions: dict[str, list[str]] | None = None


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Message(msgspec.Struct):
    """A message of Advanced Trade (``channel``) or of Exchange (``type``)."""

    channel: str = ""
    sequence_num: Number | None = None
    events: msgspec.Raw = msgspec.Raw()
    type: str = ""
    channels: list[_Channel | str] = []
    message: str = ""
    reason: str = ""


_message = msgspec.json.Decoder(_Message)
_groups = msgspec.json.Decoder(list[_Group])
_row = msgspec.json.Decoder(Row)


def parse_message(raw: bytes, ts_init: int) -> list[Event]:
    """Read one WebSocket message.

    Raises:
        MalformedMessage: it is none, or a field is missing or of the wrong type.

    >>> parse_message(b'{"channel":"heartbeats","sequence_num":7,"events":[]}', 0)
    [Ignored(kind='heartbeats', sequence=7)]
    """
    with reading("coinbase message", raw):
        message = _message.decode(raw)
        if message.type in {"match", "last_match"} and not message.channel:
            trade = trade_of(_row.decode(raw), raw)
            name = named(instrument, trade.symbol, raw)
            return [Trade(name, trade, ts_init, snapshot=message.type == "last_match")]
        if message.channel == "market_trades":
            return _market_trades(message, raw, ts_init)
        events = _not_trades(message)
    if not events:
        raise MalformedMessage("coinbase message", "is of no known kind", raw=raw)
    return events


def subscribe(instruments: Sequence[str]) -> list[bytes]:
    """Return the messages that ask Advanced Trade for heartbeats and trades; the first is due within 5 s."""
    products = [symbol(one) for one in instruments]
    asked_for = [("heartbeats", products), *(("market_trades", [product]) for product in products)]
    return [
        msgspec.json.encode({"type": "subscribe", "product_ids": ids, "channel": channel}) for channel, ids in asked_for
    ]


def subscribe_matches(instruments: Sequence[str]) -> list[bytes]:
    """Return the messages that ask Exchange for trades and heartbeats; the first is due within 5 s."""
    channels = ["matches", "heartbeat"]
    return [
        msgspec.json.encode({"type": "subscribe", "product_ids": [symbol(one)], "channels": channels})
        for one in instruments
    ]


def history(instrument: str, span: Span) -> Walk:
    """Walk through the trades of Exchange.

    Raises:
        UsageError: it is no pair.
        InputError: an answer is no body of trades.
    """
    return coinbase_trades.walk(symbol(instrument), span)


def history_advanced(instrument: str, span: Span) -> Walk:
    """Walk through the trades of Advanced Trade; otherwise as `history`."""
    return coinbase_trades.walk_advanced(symbol(instrument), span)


def candles(instrument: str, timeframe: str, span: Span) -> Walk:
    """Walk through the candles of Exchange.

    Raises:
        UsageError: it is no pair.
        MalformedMessage: an answer is no body of candles.
    """
    return coinbase_candles.walk(symbol(instrument), timeframe, span)


def candles_advanced(instrument: str, timeframe: str, span: Span) -> Walk:
    """Walk through the candles of Advanced Trade; otherwise as `candles`."""
    return coinbase_candles.walk_advanced(symbol(instrument), timeframe, span)


def instrument(symbol: str) -> str | None:
    """Return our name of a product, or None where it is no pair.

    >>> instrument("BTC-USD")
    'BTC-USD.COINBASE'
    """
    pair = split_symbol(symbol) if "-" in symbol else None
    return None if pair is None else f"{pair[0]}-{pair[1]}.COINBASE"


def symbol(instrument: str) -> str:
    """Return the product of an instrument.

    Raises:
        UsageError: it is no pair.

    >>> symbol("BTC-USD.COINBASE")
    'BTC-USD'
    """
    return "-".join(pair_of(instrument))


def _market_trades(message: _Message, raw: bytes, ts_init: int) -> list[Event]:
    found: list[Trade] = []
    for group in _groups.decode(message.events):
        if group.trades is None or group.type not in {"snapshot", "update"}:
            raise MalformedMessage("coinbase market_trades", "holds no trades", raw=raw)
        for row in group.trades:
            trade = trade_of(row, raw)
            name = named(instrument, trade.symbol, raw)
            snapshot = group.type == "snapshot"
            found.append(Trade(name, trade, ts_init, snapshot=snapshot, sequence=message.sequence_num))
    return [*sorted(found, key=lambda one: one.raw.trade_id or 0)]


def _not_trades(message: _Message) -> list[Event]:
    number = message.sequence_num
    if message.channel == "subscriptions":
        held = [group.subscriptions or {} for group in _groups.decode(message.events)]
        acks = [_ack(name, products, number) for one in held for name, products in one.items()]
        return [*acks] or [_ack("", [], number)]
    if message.channel:
        return [Ignored(message.channel, number)] if message.channel in _ADVANCED and message.events else []
    if message.type == "subscriptions":
        named_channels = [one for one in message.channels if isinstance(one, _Channel)]
        return [_ack(one.name, one.product_ids, None) for one in named_channels] or [_ack("", [], None)]
    if message.type == "error":
        text = ": ".join(filter(None, [message.message, message.reason]))
        return [Ack("subscribe", "", tuple(_PRODUCT.findall(text)), accepted=False, reason=text)]
    return [Ignored(message.type)] if message.type in _EXCHANGE else []


def _ack(channel: str, products: Sequence[str], sequence: int | None) -> Ack:
    return Ack("subscribe", channel, tuple(products), sequence=sequence)


_MATCHES = Feed(
    name="matches",
    kind="trade",
    contiguous=True,
    ws_url="wss://ws-feed.exchange.coinbase.com",
    rest_url="https://api.exchange.coinbase.com",
    subscribe=subscribe_matches,
    limits=Limits(connects=Rate(8, 1), messages=Rate(8, 1), requests=Rate(8, 1)),
    history=history,
    candles=VenueCandles(coinbase_candles.TIMEFRAMES, candles),
    instruments=("BTC-USD.COINBASE", "ETH-USD.COINBASE", "SOL-USD.COINBASE", "XRP-USD.COINBASE"),
)
_MARKET_TRADES = replace(
    _MATCHES,
    name="market_trades",
    ws_url="wss://advanced-trade-ws.coinbase.com",
    rest_url="https://api.coinbase.com",
    subscribe=subscribe,
    history=history_advanced,
    candles=VenueCandles(coinbase_candles.TIMEFRAMES_ADVANCED, candles_advanced),
)

EXCHANGE = Exchange(
    venue="COINBASE",
    contiguous=True,
    parse=parse_message,
    subscribe=subscribe,
    parse_history=coinbase_trades.parse_history,
    instrument=instrument,
    symbol=symbol,
    bodies={
        "candles": 6,
        "candles_advanced": frozenset({"candles"}),
        "products_advanced": frozenset({"products", "num_products"}),
        "product": frozenset({"product_id", "base_currency_id"}),
        "products": frozenset({"id", "base_currency", "quote_currency"}),
        "product_book": frozenset({"pricebook", "mid_market"}),
    },
    feeds=(_MATCHES, _MARKET_TRADES),
    check=partial(check_answer, "coinbase REST"),
)
