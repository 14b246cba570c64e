"""Candles made by Coinbase, of Exchange and of Advanced Trade: newest first, none for a quiet period.

Source: docs.cdp.coinbase.com, exchange-api products/candles, advanced-trade-api products/candles.
"""

from __future__ import annotations

import msgspec

from tapeline.clock import SECOND, format_time, parse_duration
from tapeline.exchanges.answers import read_rows
from tapeline.exchanges.bars import Read, by_window, numbers
from tapeline.exchanges.base import Bar, Request, Span, Walk
from tapeline.exchanges.fields import Seconds, reading

TIMEFRAMES = {"1m": "60", "5m": "300", "15m": "900", "1h": "3600", "6h": "21600", "1d": "86400"}
TIMEFRAMES_ADVANCED = {
    "1m": "ONE_MINUTE",
    "5m": "FIVE_MINUTE",
    "15m": "FIFTEEN_MINUTE",
    "30m": "THIRTY_MINUTE",
    "1h": "ONE_HOUR",
    "2h": "TWO_HOUR",
    "6h": "SIX_HOUR",
    "1d": "ONE_DAY",
}
_ROWS = 300


class _Row(msgspec.Struct, array_like=True):
    """The order of the prices is the venue's own."""

    time: Seconds
    low: msgspec.Raw
    high: msgspec.Raw
    open: msgspec.Raw
    close: msgspec.Raw
    volume: msgspec.Raw


class _Candle(msgspec.Struct):
    start: str
    low: msgspec.Raw
    high: msgspec.Raw
    open: msgspec.Raw
    close: msgspec.Raw
    volume: msgspec.Raw


class _Answer(msgspec.Struct):
    candles: list[msgspec.Raw]


_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(_Row)
_answer = msgspec.json.Decoder(_Answer)
_candle = msgspec.json.Decoder(_Candle)


def walk(product: str, timeframe: str, span: Span) -> Walk:
    """Walk through the candles of Exchange.

    Raises:
        MalformedMessage: an answer is no body of candles.
    """
    size = parse_duration(timeframe)

    def ask(start: int, end: int) -> Request:
        times = {"start": format_time(start), "end": format_time(end - size)}
        return Request(f"/products/{product}/candles", {"granularity": TIMEFRAMES[timeframe], **times})

    return by_window(span, size, _ROWS, ask, parse_candles)


def walk_advanced(product: str, timeframe: str, span: Span) -> Walk:
    """Walk through the candles of Advanced Trade.

    Raises:
        MalformedMessage: an answer is no body of candles.
    """
    size = parse_duration(timeframe)

    def ask(start: int, end: int) -> Request:
        times = {"start": str(start // SECOND), "end": str((end - size) // SECOND)}
        path = f"/api/v3/brokerage/market/products/{product}/candles"
        return Request(path, {"granularity": TIMEFRAMES_ADVANCED[timeframe], **times})

    return by_window(span, size, _ROWS, ask, parse_candles)


def parse_candles(body: bytes) -> Read:
    """Read a body of candles of either kind; rows that cannot be read are kept as bad.

    Raises:
        MalformedMessage: it is no such body.
    """
    with reading("coinbase candles", body):
        if body.lstrip()[:1] == b"{":
            return read_rows(_answer.decode(body).candles, _from_advanced)
        rows = _rows.decode(body)
    return read_rows(rows, _from_exchange)


def _from_exchange(raw: bytes) -> Bar:
    with reading("coinbase candle", raw):
        row = _row.decode(raw)
        return Bar(row.time * SECOND, *numbers(row))


def _from_advanced(raw: bytes) -> Bar:
    with reading("coinbase candle", raw):
        row = _candle.decode(raw)
        if not (row.start.isascii() and row.start.isdigit() and len(row.start) < 11):
            raise ValueError(f"start: expected seconds, was {row.start[:40]!r}")
        return Bar(int(row.start) * SECOND, *numbers(row))
