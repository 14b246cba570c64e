"""Candles made by Binance: ``klines``, 1000 an answer, with a flat candle for each quiet period.

Source: binance-spot-api-docs, rest-api, klines. Intervals whose candles are not of one length (1M), or do not divide a
day (3d, 1w), are none of our timeframes.
"""

from __future__ import annotations

import msgspec

from tapeline.clock import parse_duration
from tapeline.exchanges.answers import read_rows
from tapeline.exchanges.bars import Read, by_window, numbers
from tapeline.exchanges.base import Bar, Request, Span, Walk
from tapeline.exchanges.fields import Millis, Number, number_text, reading

TIMEFRAMES = {name: name for name in ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]}
_ROWS = 1000
_MS = 1_000_000


class _Row(msgspec.Struct, array_like=True):
    open_time: Millis
    open: msgspec.Raw
    high: msgspec.Raw
    low: msgspec.Raw
    close: msgspec.Raw
    volume: msgspec.Raw
    close_time: int
    quote_volume: msgspec.Raw
    trades: Number
    buy_volume: msgspec.Raw


_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(_Row)


def walk(symbol: str, timeframe: str, span: Span) -> Walk:
    """Walk through the candles of a symbol.

    Raises:
        MalformedMessage: an answer is no body of klines.
    """

    def ask(start: int, end: int) -> Request:
        times = {"startTime": str(start // _MS), "endTime": str(end // _MS - 1), "limit": str(_ROWS)}
        return Request("/api/v3/klines", {"symbol": symbol, "interval": TIMEFRAMES[timeframe], **times}, weight=2)

    return by_window(span, parse_duration(timeframe), _ROWS, ask, parse_klines)


def parse_klines(body: bytes) -> Read:
    """Read a body of ``klines``; rows that cannot be read are kept as bad.

    Raises:
        MalformedMessage: it is no such body.
    """
    with reading("binance klines", body):
        rows = _rows.decode(body)
    return read_rows(rows, _bar)


def _bar(raw: bytes) -> Bar:
    with reading("binance kline", raw):
        row = _row.decode(raw)
        quote, bought = number_text(row.quote_volume), number_text(row.buy_volume)
        return Bar(row.open_time * _MS, *numbers(row), trades=row.trades, quote_volume=quote, buy_volume=bought)
