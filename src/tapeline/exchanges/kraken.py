"""Kraken: WebSocket v2, recordings of v1, and bodies of the REST ``Trades`` call.

Rows of ``Trades`` have 7 fields today; older ones had 6, and v1 has none either: they come without a trade id. REST
and v1 give seconds with up to nine decimals, read from their text, never through a float. The side is the taker's.

Source: docs.kraken.com, spot-websocket-v2/trade, websockets v1, rest-api/get-recent-trades.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated

import msgspec

from tapeline.errors import InputError, MalformedMessage, VenueBusy, VenueRefused
from tapeline.exchanges import kraken_ohlc
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
from tapeline.exchanges.fields import MAX_ID, named, number_text, pair_of, reading, rfc3339_ns, seconds_ns, split_symbol
from tapeline.exchanges.walks import Stretch, asked

_LEGACY = re.compile(r"[XZ]([A-Z]{3})[XZ]([A-Z]{3})")
_QUOTES = re.findall(
    r"\w+", "ZUSD ZEUR ZGBP ZCAD ZJPY ZAUD XXBT XETH USDT USDC DAI USD EUR GBP CAD JPY AUD CHF XBT BTC ETH"
)
_LEGACY_BASES = set(
    re.findall(r"\w+", "XXBT XETH XXRP XLTC XETC XXLM XXMR XZEC XREP XMLN XXDG ZUSD ZEUR ZGBP ZCAD ZJPY ZAUD")
)
_OUR_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
_THEIR_NAMES = {ours: theirs for theirs, ours in _OUR_NAMES.items()}
_SIDES = {"b": 1, "s": -1}
_PASSES = re.compile(r"EAPI:Rate limit|EGeneral:(Too many requests|Temporary lockout|Internal error)|EService:")
_MARGIN = 1_000_000  # rows tell their time with 4 to 7 decimals, sockets with 6: a ms more is asked for
_ROUNDING = 1_000


class _Row(msgspec.Struct, array_like=True):
    price: str
    qty: str
    time: Decimal
    side: str
    order_kind: str
    misc: str
    trade_id: Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)] | None = None


class _WsTrade(msgspec.Struct):
    symbol: str
    side: str
    price: msgspec.Raw
    qty: msgspec.Raw
    trade_id: Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
    timestamp: str


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


class _Body(msgspec.Struct):
    error: list[str] = []
    result: dict[str, msgspec.Raw] = {}


_body = msgspec.json.Decoder(_Body)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(_Row)
_message = msgspec.json.Decoder(_Message)
_ws_trades = msgspec.json.Decoder(list[_WsTrade])
_old_ws_trades = msgspec.json.Decoder(list[_OldWsTrade])
_text = msgspec.json.Decoder(str)

_CHANNELS = frozenset({"book", "executions", "heartbeat", "instrument", "level3", "ohlc", "status", "ticker"})
_OLD_CHANNELS = frozenset({"book", "ohlc", "spread", "ticker"})
_TAKER = {"buy": 1, "sell": -1}


def parse_message(raw: bytes, ts_init: int) -> list[Event]:
    """Read one WebSocket message of v2 or v1.

    Raises:
        MalformedMessage: it is none, or a field is missing or of the wrong type.

    >>> parse_message(b'{"channel":"heartbeat"}', 0)
    [Ignored(kind='heartbeat', sequence=None)]
    """
    with reading("kraken message", raw):
        if raw.lstrip()[:1] == b"[":
            return _from_old(_rows.decode(raw), raw, ts_init)
        message = _message.decode(raw)
        if message.channel == "trade" and message.type in {"snapshot", "update"}:
            snapshot = message.type == "snapshot"
            return [_from_ws(row, raw, ts_init, snapshot) for row in _ws_trades.decode(message.data)]
        event = _not_a_trade(message)
    if event is None:
        raise MalformedMessage("kraken message", "is of no known kind", raw=raw)
    return [event]


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
    if row.side not in _TAKER:
        raise MalformedMessage("kraken trade", "side", raw=raw, expected="buy or sell", was=row.side)
    stamp = rfc3339_ns(row.timestamp)
    trade = RawTrade(row.symbol, row.trade_id, stamp, number_text(row.price), number_text(row.qty), _TAKER[row.side])
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
    if row.side not in _SIDES:
        raise MalformedMessage("kraken trade", "side", raw=raw, expected="b or s", was=row.side)
    return RawTrade(pair, None, stamp, row.price, row.qty, _SIDES[row.side])


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


def parse_history(body: bytes, symbol: str = "") -> History:
    """Read a body of ``/0/public/Trades``; it names its pair itself, so that ``symbol`` is not needed.

    Raises:
        MalformedMessage: it is no such body.
        InputError: Kraken answered with an error.
    """
    try:
        answer = _body.decode(body)
        if answer.error:
            raise InputError("kraken Trades", f"the venue answered {answer.error[0]!r}", next_step="ask again")
        history = History()
        for pair, raw in answer.result.items():
            if bytes(raw).startswith(b"["):
                for row in _rows.decode(raw):
                    _add(history, pair, bytes(row))
            elif pair == "last":
                history.next = bytes(raw).decode().strip('"')
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("kraken Trades", f"cannot be read ({str(error)[:120]})", raw=body) from error
    if not answer.result:
        raise MalformedMessage("kraken Trades", "has no result", raw=body)
    return history


def _add(history: History, pair: str, raw: bytes) -> None:
    try:
        history.trades.append(parse_row(pair, raw))
    except MalformedMessage as error:
        history.bad.append(error)


def parse_row(pair: str, raw: bytes) -> RawTrade:
    """Read one row of a body.

    Raises:
        MalformedMessage: a field is missing or of the wrong type.
    """
    try:
        row = _row.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("kraken trade", f"cannot be read ({str(error)[:120]})", raw=raw) from error
    if row.side not in _SIDES:
        raise MalformedMessage("kraken trade", "side", raw=raw, expected="b or s", was=row.side)
    return RawTrade(pair, row.trade_id, seconds_ns(row.time), row.price, row.qty, _SIDES[row.side])


def history(instrument: str, span: Span) -> Walk:
    """Walk through ``Trades`` by the venue's own ns: ``since`` is exclusive, ``last`` is where the next page begins.

    A ``last`` that is not the time of the newest row is not followed: that row's time is, less what its decimals may
    hide. Where a page leaves ids out, the ns before it is asked for once more, for more trades than a page holds may
    bear one stamp; what is still missing then cannot be had.

    Raises:
        UsageError: it is no pair.
        InputError: an answer is no body of ``Trades``.
    """
    pair = _rest_pair(instrument)
    since = max(span.start - (1 if span.first_id is None else _MARGIN), 0)
    stretch = Stretch(span)
    while not stretch.over:
        answer = yield from _trades(pair, since)
        if stretch.skips(answer):
            again = yield from _trades(pair, max(since - 1, 0))
            answer.trades += again.trades
            answer.bad += again.bad
        page = stretch.pass_on(answer)
        if page.trades or page.bad:
            yield page
        since = max(_cursor(answer), since)


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


def _trades(pair: str, since: int) -> Generator[Request | Page, Response | None, History]:
    answer = yield from asked(Request("/0/public/Trades", {"pair": pair, "since": str(since)}))
    return parse_history(answer.body)


def _cursor(answer: History) -> int:
    """Return the ns after which the next page begins; -1 for a page without rows, whatever it says."""
    newest = max((one.ts_event for one in answer.trades), default=-1)
    told = int(answer.next) if re.fullmatch(r"\d{1,19}", answer.next, re.ASCII) else -1
    return told if abs(told - newest) <= _ROUNDING else newest - _MARGIN


def check(response: Response) -> None:
    """Judge an answer: Kraken tells errors inside status 200.

    Raises:
        VenueBusy: over the limit, out of service, or no JSON.
        VenueRefused: an unknown pair, or any other error.
    """
    check_answer("kraken REST", response)
    errors = read_or(_body, response.body, _Body()).error
    if errors:
        kind = VenueBusy if any(map(_PASSES.match, errors)) else VenueRefused
        raise kind("kraken REST", f"the venue answered {', '.join(errors)[:120]!r}")


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
    parse_history=parse_history,
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
    check=check,
)
