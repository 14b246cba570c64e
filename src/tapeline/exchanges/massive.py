"""Massive (formerly Polygon.io): WebSocket trades of stocks, options (``T``) and crypto (``XT``), REST ``v3/trades``.

A message is an array of mixed events. Ids are texts, unique only per ticker, exchange and trade reporting facility:
ours is 63 bits of BLAKE2b over (UTC day of the trade, exchange, facility, id), the same from both sources, since
``ts_event`` is the SIP time in both, in ms on the socket and in ns by REST. Ids are not contiguous: completeness cannot
be proven.

What conditions and corrections mean for candles is not decided here, and not yet anywhere: every trade is returned.

Source: the venue's WebSocket and REST specifications (massive.com/docs).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated

import msgspec

from tapeline.clock import DAY
from tapeline.errors import InputError, MalformedMessage, UsageError
from tapeline.exchanges.base import (
    MAX_ID,
    Ack,
    Event,
    Exchange,
    History,
    Ignored,
    RawTrade,
    Trade,
    named,
    number_text,
    reading,
    split_symbol,
)

_Ms = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID // 1_000_000)]
_Ns = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
_OTHERS = frozenset(re.findall(r"\w+", "Q A AM LULD NOI FMV LV C CA CAS V XQ XL2 XA XAS"))
_TICKER = re.compile(r"[A-Z0-9][A-Za-z0-9.:]*", re.ASCII)
_STATUS = re.compile(r"[a-z_]{1,40}")
_SUBSCRIBED = re.compile(r"(un)?subscribed to: (\w+)\.(\S+)")
_CRYPTO_SIDES = {1: -1, 2: 1}


class _Kind(msgspec.Struct):
    ev: str
    status: str = ""
    message: str = ""


class _Stock(msgspec.Struct):
    sym: str
    p: msgspec.Raw
    s: msgspec.Raw
    t: _Ms
    x: int
    i: int | str | None = None
    trfi: int | None = None


class _Crypto(msgspec.Struct):
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


class _Body(msgspec.Struct):
    status: str = ""
    results: list[msgspec.Raw] | None = None
    next_url: str = ""
    error: str = ""
    message: str = ""


_events = msgspec.json.Decoder(list[msgspec.Raw])
_kind = msgspec.json.Decoder(_Kind)
_stock = msgspec.json.Decoder(_Stock)
_crypto = msgspec.json.Decoder(_Crypto)
_body = msgspec.json.Decoder(_Body)
_rest_row = msgspec.json.Decoder(_RestRow)


def parse_message(raw: bytes, ts_init: int) -> list[Event]:
    """Read one WebSocket message.

    Raises:
        MalformedMessage: it is none, or a field is missing or of the wrong type.

    >>> parse_message(b'[{"ev":"AM","sym":"GTE"}]', 0)
    [Ignored(kind='AM', sequence=None)]
    """
    with reading("massive message", raw):
        return [_event(bytes(one), raw, ts_init) for one in _events.decode(raw)]


def authenticate(key: str) -> bytes:
    """Return the message that must come before `subscribe`."""
    return msgspec.json.encode({"action": "auth", "params": key})


def subscribe(instruments: Sequence[str]) -> list[bytes]:
    """Return the message that asks for trades; the venue answers for each of them."""
    symbols = [symbol(one) for one in instruments]
    params = ",".join(f"{'XT' if '-' in one else 'T'}.{one}" for one in symbols)
    return [msgspec.json.encode({"action": "subscribe", "params": params})]


def parse_history(body: bytes, symbol: str) -> History:
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
            history.trades.append(_from_rest(bytes(row), symbol))
        except MalformedMessage as error:
            history.bad.append(error)
    return history


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


def _event(one: bytes, raw: bytes, ts_init: int) -> Event:
    kind = _kind.decode(one)
    if kind.ev == "T":
        row = _stock.decode(one)
        trade = _trade(row.sym, row.t * 1_000_000, (row.x, row.trfi, row.i), (row.p, row.s), 0)
    elif kind.ev == "XT":
        coin = _crypto.decode(one)
        trade = _trade(coin.pair, coin.t * 1_000_000, (coin.x, None, coin.i), (coin.p, coin.s), _side(coin.c))
    elif kind.ev == "status":
        return _status(kind, raw)
    elif kind.ev in _OTHERS:
        return Ignored(kind.ev)
    else:
        raise MalformedMessage("massive message", "is of no known kind", raw=raw, expected="a known ev", was=kind.ev)
    return Trade(named(instrument(trade.symbol), trade.symbol, raw), trade, ts_init)


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


def _from_rest(raw: bytes, ticker: str) -> RawTrade:
    with reading("massive row", raw):
        row = _rest_row.decode(raw)
        stamp = row.participant_timestamp if row.sip_timestamp is None else row.sip_timestamp
        if stamp is None:
            raise MalformedMessage("massive row", "has no time", raw=raw)
        side = _side(row.conditions) if ticker.startswith("X:") else 0
        return _trade(ticker, stamp, (row.exchange, row.trf_id, row.id), (row.price, row.size), side)


def _side(conditions: list[int]) -> int:
    """Return the aggressor of a crypto trade: condition 1 is sell side, 2 is buy side."""
    sides = [_CRYPTO_SIDES[one] for one in conditions if one in _CRYPTO_SIDES]
    return sides[0] if len(sides) == 1 else 0


def _status(kind: _Kind, raw: bytes) -> Event:
    if kind.status in {"auth_success", "auth_failed"}:
        failed = kind.status == "auth_failed"
        return Ack("auth", accepted=not failed, reason=kind.message if failed else "")
    told = _SUBSCRIBED.fullmatch(kind.message)
    if kind.status == "success" and told:
        return Ack("unsubscribe" if told[1] else "subscribe", told[2], (told[3],))
    if kind.status == "error":
        return Ack("", accepted=False, reason=kind.message)
    if not _STATUS.fullmatch(kind.status):
        raise MalformedMessage("massive status", "status", raw=raw, expected="a word", was=kind.status)
    return Ignored(kind.status)


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
)
