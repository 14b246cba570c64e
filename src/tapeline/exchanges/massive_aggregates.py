"""Candles made by Massive: ``v2/aggs``, none for a quiet period, prices as they were traded (not adjusted).

Longer ones than an hour are left out: those of stocks begin at midnight in New York, which is no grid of ours.

Source: massive.com/docs, v2/aggs.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from tapeline.clock import parse_duration
from tapeline.errors import VenueBusy
from tapeline.exchanges.bars import within
from tapeline.exchanges.base import Page, Request, Span, Walk
from tapeline.exchanges.massive_reference import parse_bars
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


def walk(ticker: str, timeframe: str, span: Span) -> Walk:
    """Walk through the aggregates of a ticker by the venue's cursor; an empty answer is not believed at once.

    Of the address of the next page only path and query are followed, so that the key goes to no other host.

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
        following = _next(address)
        new = within(found, Span(reached, span.end))
        idle = 0 if new else idle + 1
        if new:
            reached = new[-1].open_time + size
            yield Page(bars=new, reached=reached)
        if following is None and (found or idle >= _PATIENCE):
            break
        if idle >= _PATIENCE:
            raise VenueBusy(f"massive {ticker} {timeframe}", "the cursor leads nowhere", expected="newer candles")
        request = following or first
    yield Page(reached=span.end)


def _next(address: str) -> Request | None:
    parts = urlsplit(address)
    params = dict(parse_qsl(parts.query))
    return Request(parts.path, params) if parts.path.startswith(_PATH) and params else None
