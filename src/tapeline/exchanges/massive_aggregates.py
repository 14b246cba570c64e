"""Candles made by Massive: ``v2/aggs``, none for a quiet period, prices as they were traded (not adjusted).

Longer ones than an hour are left out: those of stocks begin at midnight in New York, which is no grid of ours.

Source: massive.com/docs, v2/aggs.
"""

from __future__ import annotations

import msgspec

from tapeline.clock import parse_duration
from tapeline.errors import MalformedMessage, VenueBusy
from tapeline.exchanges.answers import following
from tapeline.exchanges.bars import within
from tapeline.exchanges.base import Bar, Page, Request, Span, Walk
from tapeline.exchanges.fields import Millis, Number, number_text, reading
from tapeline.exchanges.walks import asked

TIMEFRAMES = {
    "1s": "1/second",
    "1m": "1/minute",
    "3m": "3/minute",
    "5m": "5/minute",
    "15m": "15/minute",
    "30m": "30/minute",
    "1h": "1/hour",
}
_PATH = "/v2/aggs/ticker/"
_PATIENCE = 2
_MS = 1_000_000


class _Bar(msgspec.Struct):
    t: Millis
    o: msgspec.Raw
    h: msgspec.Raw
    l: msgspec.Raw  # noqa: E741  the venue's own field name
    c: msgspec.Raw
    v: msgspec.Raw
    vw: msgspec.Raw = msgspec.Raw()
    n: Number | None = None


class _Body(msgspec.Struct):
    results: list[_Bar] = []
    status: str = ""
    next_url: str = ""
    ticker: str = ""


_bars = msgspec.json.Decoder(_Body)


def walk(ticker: str, timeframe: str, span: Span) -> Walk:
    """Walk through the aggregates of a ticker by the venue's cursor; an empty answer is not believed at once.

    Raises:
        MalformedMessage: an answer is no body of candles.
        VenueBusy: the cursor leads nowhere.
    """
    path = f"{_PATH}{ticker}/range/{TIMEFRAMES[timeframe]}/{-(-span.start // _MS)}/{span.end // _MS - 1}"
    first = Request(path, {"adjusted": "false", "sort": "asc", "limit": "50000"})
    size, reached, idle = parse_duration(timeframe), span.start, 0
    request = first
    while True:
        answer = yield from asked(request)
        found, address = parse_bars(answer.body)
        onward = following(address, _PATH)
        new = within(found, Span(reached, span.end))
        idle = 0 if new else idle + 1
        if new:
            reached = new[-1].open_time + size
            yield Page(bars=new, reached=reached)
        if onward is None and (found or idle >= _PATIENCE):
            break
        if idle >= _PATIENCE:
            raise VenueBusy(f"massive {ticker} {timeframe}", "the cursor leads nowhere", expected="newer candles")
        request = onward or first
    yield Page(reached=span.end)


def parse_bars(body: bytes) -> tuple[list[Bar], str]:
    """Read a body of ``v2/aggs``: its candles, and the address of the next page (empty: none).

    Raises:
        MalformedMessage: it is no such body, or a number in it is none.
    """
    with reading("massive aggregates", body):
        answer = _bars.decode(body)
        bars = [_bar(row) for row in answer.results]
    if not answer.ticker or answer.status not in {"OK", "DELAYED"}:
        raise MalformedMessage("massive aggregates", "is no body of candles", raw=body)
    return bars, answer.next_url


def _bar(row: _Bar) -> Bar:
    prices = (number_text(row.o), number_text(row.h), number_text(row.l), number_text(row.c))
    vwap = number_text(row.vw) if row.vw else None
    return Bar(row.t * _MS, *prices, number_text(row.v), vwap, row.n)
