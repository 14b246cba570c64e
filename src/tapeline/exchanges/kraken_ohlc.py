"""Candles made by Kraken: ``OHLC``, the last 720 of them and the running one, with flat ones for quiet periods.

Source: docs.kraken.com, rest-api/get-ohlc-data. Whatever ``since`` says, nothing older is given.
"""

from __future__ import annotations

import msgspec

from tapeline.clock import SECOND, format_time, parse_duration
from tapeline.errors import MalformedMessage, VenueRefused
from tapeline.exchanges.answers import read_rows
from tapeline.exchanges.bars import Read, numbers, within
from tapeline.exchanges.base import Bar, Page, Request, Span, Walk
from tapeline.exchanges.fields import Number, Seconds, number_text, reading
from tapeline.exchanges.walks import asked

TIMEFRAMES = {"1m": "1", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "4h": "240", "1d": "1440"}
_ROWS = 720


class _Row(msgspec.Struct, array_like=True):
    time: Seconds
    open: msgspec.Raw
    high: msgspec.Raw
    low: msgspec.Raw
    close: msgspec.Raw
    vwap: msgspec.Raw
    volume: msgspec.Raw
    trades: Number


class _Body(msgspec.Struct):
    result: dict[str, msgspec.Raw]


_body = msgspec.json.Decoder(_Body)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(_Row)
_last = msgspec.json.Decoder(Seconds)


def walk(pair: str, timeframe: str, span: Span) -> Walk:
    """Ask once for all that Kraken gives; an empty answer is not believed at once.

    Raises:
        MalformedMessage: an answer is no body of OHLC.
        VenueRefused: the span begins before what Kraken gives; what it gives has been yielded.
    """
    bars: list[Bar] = []
    bad: list[MalformedMessage] = []
    for _ in range(2):
        answer = yield from asked(Request("/0/public/OHLC", {"pair": pair, "interval": TIMEFRAMES[timeframe]}))
        bars, bad = parse_ohlc(answer.body)
        if bars or bad:
            break
    oldest = min((bar.open_time for bar in bars), default=span.start)
    cut = len(bars) >= _ROWS - 1 and oldest - span.start >= parse_duration(timeframe)
    yield Page(bars=within(bars, span), bad=bad, reached=None if cut else span.end)
    if cut:
        raise VenueRefused(
            f"kraken {pair} {timeframe}",
            f"only the last {_ROWS} candles can be had",
            expected=f"--start at or after {format_time(oldest)}",
            was=format_time(span.start),
            next_step="take a longer timeframe, or the trades: without --timeframe",
        )


def parse_ohlc(body: bytes) -> Read:
    """Read a body of ``OHLC``, without the running candle: those up to ``last`` are closed.

    Raises:
        MalformedMessage: it is no such body.
    """
    with reading("kraken OHLC", body):
        result = _body.decode(body).result
        last = _last.decode(result.pop("last", b"null")) * SECOND
        rows = [row for raw in result.values() for row in _rows.decode(raw)]
    bars, bad = read_rows(rows, _bar)
    return [bar for bar in bars if bar.open_time <= last], bad


def _bar(raw: bytes) -> Bar:
    with reading("kraken candle", raw):
        row = _row.decode(raw)
        return Bar(row.time * SECOND, *numbers(row), vwap=number_text(row.vwap), trades=row.trades)
