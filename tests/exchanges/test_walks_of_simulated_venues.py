"""Every walk through the past of the simulated venues, which were written by others from the venues' documents."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tapeline.clock import HOUR, SECOND
from tapeline.exchanges.base import Exchange, Feed, RawTrade, Request, Response, Span, exchanges
from tapeline.simulator import venue as simulated
from tapeline.simulator.market import JANUARY_2024
from tapeline.simulator.sources import MarketSource
from tapeline.simulator.tape import Tape
from tapeline.testing.exchange_feeds import walked
from tapeline.types import Frame

NOW = JANUARY_2024
KEY = "a key"
FEEDS = [
    pytest.param(exchange, feed, id=f"{exchange.venue}-{feed.name}")
    for exchange in exchanges().values()
    for feed in exchange.feeds
    if feed.kind == "trade" and "polygon" not in feed.name and exchange.venue.lower() in simulated.venue_names()
]


class Asked:
    """A simulated venue with the trades of one instrument, of an hour or of ``history`` ns."""

    def __init__(self, exchange: Exchange, feed: Feed, rate: float, history: int = HOUR) -> None:
        kind = simulated.find_venue(exchange.venue.lower())
        source = MarketSource(feed.instruments[0], 1, now=NOW, history=history, rate=rate, resolution=kind.resolution)
        tape = Tape(source.listing)
        tape.append(source.until(NOW))
        self.venue = kind({feed.instruments[0]: tape}, limited=False)
        self.truth = tape.whole()
        self.exchange = exchange
        self.headers = dict(feed.authorise(KEY)) if feed.authorise else {}

    def __call__(self, request: Request) -> Response:
        headers = {**self.headers, **request.headers}
        asked = simulated.Request(request.path, request.params, headers)
        answer = self.venue.rest(asked, self.venue.tapes, NOW)
        response = Response(answer.status, answer.headers, answer.body)
        self.exchange.check(response)
        return response


@cache
def asked(venue: str, name: str, rate: float = 5.0) -> Asked:
    exchange = exchanges()[venue]
    return Asked(exchange, next(one for one in exchange.feeds if one.name == name), rate)


def walk(exchange: Exchange, feed: Feed, span: Span, rate: float = 5.0) -> tuple[list[RawTrade], int, Frame]:
    assert feed.history is not None
    venue = asked(exchange.venue, feed.name, rate)
    requests, pages = walked(feed.history(feed.instruments[0], span), venue)
    assert not [bad for page in pages for bad in page.bad]
    return [trade for page in pages for trade in page.trades], len(requests), venue.truth


def same(trades: list[RawTrade], truth: Frame, feed: Feed) -> None:
    assert len(trades) == len(truth)
    if feed.contiguous:
        assert [one.trade_id for one in trades] == truth.trade_id.tolist()
    assert [float(one.price) for one in trades] == truth.price.tolist()
    assert [float(one.qty) for one in trades] == truth.qty.tolist()
    assert [one.side for one in trades] == ([0] * len(truth) if feed.name == "stocks" else truth.side.tolist())
    assert (np.abs(np.array([one.ts_event for one in trades]) - truth.ts_event) < 1_000_000).all()


@pytest.mark.parametrize(("exchange", "feed"), FEEDS)
def test_a_span_of_time(exchange: Exchange, feed: Feed) -> None:
    span = Span(NOW - 40 * 60 * SECOND + 7, NOW - 10 * 60 * SECOND)
    trades, requests, truth = walk(exchange, feed, span)
    inside = (truth.ts_event >= span.start) & (truth.ts_event < span.end)
    same(trades, truth.take(inside), feed)
    assert 3_000 < len(trades) < 15_000
    assert requests < 60


@pytest.mark.parametrize(("exchange", "feed"), FEEDS)
def test_the_newest_trades_of_a_busy_and_of_a_quiet_market(exchange: Exchange, feed: Feed) -> None:
    for rate in (5.0, 0.003):
        span = Span(NOW - 10 * 60 * SECOND, NOW + 60 * SECOND)
        trades, _, truth = walk(exchange, feed, span, rate)
        same(trades, truth.take(truth.ts_event >= span.start), feed)


@pytest.mark.parametrize(("exchange", "feed"), [one for one in FEEDS if one.values[1].contiguous])  # type: ignore[union-attr]
@pytest.mark.parametrize(("first", "last"), [(3_000, 3_000), (3_000, 7_500), (1, 10)])
def test_a_span_of_ids(exchange: Exchange, feed: Feed, first: int, last: int) -> None:
    truth = asked(exchange.venue, feed.name).truth
    at, until = np.searchsorted(truth.trade_id, [first, last + 1])
    before, after = max(int(at) - 1, 0), min(int(until), len(truth) - 1)
    span = Span(int(truth.ts_event[before]), int(truth.ts_event[after]) + SECOND, first, last)
    trades, requests, _ = walk(exchange, feed, span)
    same(trades, truth.take(slice(int(at), int(until))), feed)
    assert requests < 30
