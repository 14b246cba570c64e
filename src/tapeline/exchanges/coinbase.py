"""Coinbase: WebSocket of Advanced Trade and of Exchange, and REST bodies of trades.

Advanced Trade ``market_trades`` come newest first; they are returned oldest first. ``sequence_num`` counts all messages
of a connection and is kept. Exchange ``match`` and its REST rows name the **maker's** side, which is turned into the
aggressor. For ``market_trades`` no page of Coinbase says whose side it is: it is taken for the taker's, as by other
clients; ``maker_side=True`` turns it.

Each product is asked for in a message of its own, so that one that is refused spoils no other.

Source: docs.cdp.coinbase.com, advanced-trade/websocket-channels, exchange/websocket-feed/channels, products/trades.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

import msgspec

from tapeline.errors import InputError, MalformedMessage
from tapeline.exchanges import coinbase_candles
from tapeline.exchanges.answers import check_answer
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
from tapeline.exchanges.fields import MAX_ID, named, pair_of, reading, rfc3339_ns, split_symbol
from tapeline.exchanges.walks import Stretch, asked, by_id

_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
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
_SIDES = {"buy": 1, "sell": -1}
_PRODUCT = re.compile(r"\b[A-Z0-9]{1,20}-[A-Z0-9]{2,20}\b", re.ASCII)
_ROWS = 1000
_SECOND = 1_000_000_000
_WIDEST = 86_400


class _Row(msgspec.Struct):
    trade_id: int | str
    price: str
    size: str
    side: str
    time: str
    product_id: str = ""


class _Group(msgspec.Struct):
    """One of the events of an Advanced Trade message."""

    type: str = ""
    trades: list[_Row] | None = None
    subscriptions: dict[str, list[str]] | None = None


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Message(msgspec.Struct):
    """A message of Advanced Trade (``channel``) or of Exchange (``type``)."""

    channel: str = ""
    sequence_num: _Number | None = None
    events: msgspec.Raw = msgspec.Raw()
    type: str = ""
    channels: list[_Channel | str] = []
    message: str = ""
    reason: str = ""


class _Answer(msgspec.Struct):
    trades: list[msgspec.Raw] | None = None
    message: str = ""
    error: str = ""


_message = msgspec.json.Decoder(_Message)
_groups = msgspec.json.Decoder(list[_Group])
_row = msgspec.json.Decoder(_Row)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_answer = msgspec.json.Decoder(_Answer)


def parse_message(raw: bytes, ts_init: int, *, maker_side: bool = False) -> list[Event]:
    """Read one WebSocket message; ``maker_side`` says that ``market_trades`` name the maker's side.

    Raises:
        MalformedMessage: it is none, or a field is missing or of the wrong type.

    >>> parse_message(b'{"channel":"heartbeats","sequence_num":7,"events":[]}', 0)
    [Ignored(kind='heartbeats', sequence=7)]
    """
    with reading("coinbase message", raw):
        message = _message.decode(raw)
        if message.type in {"match", "last_match"} and not message.channel:
            trade = _trade(_row.decode(raw), raw, maker_side=True)
            name = named(instrument, trade.symbol, raw)
            return [Trade(name, trade, ts_init, snapshot=message.type == "last_match")]
        if message.channel == "market_trades":
            return _market_trades(message, raw, ts_init, maker_side)
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


def parse_history(body: bytes, symbol: str) -> History:
    """Read a body of ``products/{id}/trades`` (Exchange), or of ``market/products/{id}/ticker`` (Advanced Trade).

    ``next`` is the oldest id, to be sent as ``after``: pages go back in time.

    Raises:
        MalformedMessage: it is no such body.
        InputError: Coinbase answered with an error.
    """
    with reading("coinbase body", body):
        advanced = body.lstrip()[:1] == b"{"
        answer = _answer.decode(body) if advanced else _Answer(_rows.decode(body))
    if answer.trades is None:
        if answer.message or answer.error:
            raise InputError("coinbase body", f"the venue answered {answer.message or answer.error!r}")
        raise MalformedMessage("coinbase body", "is no body of trades", raw=body)
    history = History()
    for raw in reversed([bytes(row) for row in answer.trades]):
        try:
            with reading("coinbase row", raw):
                trade = _trade(_row.decode(raw), raw, maker_side=not advanced)
            history.trades.append(trade._replace(symbol=trade.symbol or symbol))
        except MalformedMessage as error:
            history.bad.append(error)
    history.next = str(history.trades[0].trade_id) if history.trades else ""
    return history


def history(instrument: str, span: Span) -> Walk:
    """Walk up ``products/{id}/trades`` of Exchange by id: ``after=N`` gives the newest ids below N.

    Exchange cannot be asked by time: the first id of a span of time is searched by halving all ids.

    Raises:
        UsageError: it is no pair.
        InputError: an answer is no body of trades.
    """
    product, number = symbol(instrument), span.first_id
    if number is None:
        number = yield from _first_id(product, span.start)

    def ask(first: int) -> Request:
        after = first + _ROWS if span.last_id is None else min(first + _ROWS, span.last_id + 1)
        return _below(product, after, _ROWS)

    if number is not None:
        yield from by_id(span, number, ask, partial(parse_history, symbol=product))


def _below(product: str, after: int | None, rows: int) -> Request:
    params = {"limit": str(rows)} if after is None else {"limit": str(rows), "after": str(after)}
    return Request(f"/products/{product}/trades", params)


def _first_id(product: str, start: int) -> Generator[Request | Page, Response | None, int | None]:
    """Return the first id whose trade is not before ``start``; None where the venue has no trade."""
    newest = yield from _newest(product, None)
    if newest is None:
        return None
    low, high = 0, (newest.trade_id or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found = yield from _newest(product, middle + 1)
        if found is None or found.ts_event < start:
            low = middle + 1
        else:
            high = min(middle, found.trade_id or 0)
    return low


def _newest(product: str, after: int | None) -> Generator[Request | Page, Response | None, RawTrade | None]:
    """Ask for the newest trade below an id; an empty answer is not believed at once."""
    for _ in range(2):
        answer = yield from asked(_below(product, after, 1))
        trades = parse_history(answer.body, product).trades
        if trades:
            return trades[-1]
    return None


def history_advanced(instrument: str, span: Span) -> Walk:
    """Walk through ``market/products/{id}/ticker`` of Advanced Trade by time: it knows whole seconds and no ids.

    A window whose answer leaves ids out held more than one answer takes, and is halved down to a second; windows
    grow again while all is there.

    Raises:
        UsageError: it is no pair.
        InputError: an answer is no body of trades.
    """
    product, stretch = symbol(instrument), Stretch(span)
    stretch.newest = None if span.first_id is None else span.first_id - 1
    at, width = span.start // _SECOND, 1
    while at * _SECOND <= span.end and not stretch.covered:
        params = {"limit": str(_ROWS), "start": str(at), "end": str(at + width)}
        answer = yield from asked(Request(f"/api/v3/brokerage/market/products/{product}/ticker", params))
        found = parse_history(answer.body, product)
        if stretch.skips(found) and width > 1:
            width //= 2
            continue
        page = stretch.pass_on(found)
        if page.trades or page.bad:
            yield page
        at, width = at + width, min(width * 2, _WIDEST)


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


def check(response: Response) -> None:
    """Judge an answer by its status.

    Raises:
        VenueBusy: over the limit, in trouble, or no JSON.
        VenueRefused: an unknown product, or any other error.
    """
    check_answer("coinbase REST", response)


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


def _trade(row: _Row, raw: bytes, *, maker_side: bool) -> RawTrade:
    side = _SIDES.get(row.side.lower())
    if side is None:
        raise MalformedMessage("coinbase trade", "side", raw=raw, expected="buy or sell", was=row.side)
    text = str(row.trade_id)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_ID):
        raise MalformedMessage("coinbase trade", "trade_id", raw=raw, expected="a number", was=text)
    return RawTrade(row.product_id, int(text), rfc3339_ns(row.time), row.price, row.size, -side if maker_side else side)


def _market_trades(message: _Message, raw: bytes, ts_init: int, maker_side: bool) -> list[Event]:
    found: list[Trade] = []
    for group in _groups.decode(message.events):
        if group.trades is None or group.type not in {"snapshot", "update"}:
            raise MalformedMessage("coinbase market_trades", "holds no trades", raw=raw)
        for row in group.trades:
            trade = _trade(row, raw, maker_side=maker_side)
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
    parse_history=parse_history,
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
    check=check,
)
