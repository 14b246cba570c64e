"""The way through candles that a venue made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from tapeline.errors import MalformedMessage
from tapeline.exchanges.base import Bar, Page, Request, Span, Walk
from tapeline.exchanges.fields import number_text
from tapeline.exchanges.walks import asked

Read = tuple[list[Bar], list[MalformedMessage]]


class Row(Protocol):
    """The numbers that every row of a candle has."""

    open: msgspec.Raw
    high: msgspec.Raw
    low: msgspec.Raw
    close: msgspec.Raw
    volume: msgspec.Raw


def numbers(row: Row) -> tuple[str, str, str, str, str]:
    """Return open, high, low, close and volume as they were written.

    Raises:
        ValueError: one is no number.
    """
    prices = number_text(row.open), number_text(row.high), number_text(row.low), number_text(row.close)
    return *prices, number_text(row.volume)


def by_window(
    span: Span, size: int, most: int, ask: Callable[[int, int], Request], read: Callable[[bytes], Read]
) -> Walk:
    """Walk by windows of at most ``most`` candles; an empty answer is not believed at once.

    Args:
        span: times only.
        size: of a candle, ns.
        most: how many candles an answer holds.
        ask: returns the request for the candles whose open_time is in [start, end), ns UTC.
        read: gives an answer's candles in any order, and the rows that could not be read.

    Raises:
        MalformedMessage: an answer is no body of candles.
    """
    at, doubted = -(-span.start // size) * size, False
    while at < span.end:
        end = min(at + most * size, span.end)
        answer = yield from asked(ask(at, end))
        found, bad = read(answer.body)
        inside = within(found, Span(at, end))
        if not inside and not bad and not doubted:
            doubted = True
            continue
        at, doubted = end, False
        yield Page(bars=inside, bad=bad, reached=end)


def within(bars: Iterable[Bar], span: Span) -> list[Bar]:
    """Return the candles whose open_time is in a span, oldest first, each once."""
    known = {bar.open_time: bar for bar in bars if span.start <= bar.open_time < span.end}
    return [known[one] for one in sorted(known)]
