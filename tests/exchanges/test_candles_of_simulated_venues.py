"""Candles of the simulated venues, which were written by others from the venues' documents, against their true tape."""

from __future__ import annotations

from collections import defaultdict

import pytest
from tests.exchanges.test_walks_of_simulated_venues import Asked

from tapeline.clock import HOUR, MINUTE
from tapeline.exchanges.base import Bar, Exchange, Feed, Span, exchanges
from tapeline.simulator.market import JANUARY_2024
from tapeline.simulator.venue import venue_names
from tapeline.testing.exchange_feeds import walked
from tapeline.types import Frame

NOW = JANUARY_2024
SPAN = Span(NOW - 8 * HOUR, NOW - HOUR)
FEEDS = [
    pytest.param(exchange, feed, id=f"{exchange.venue}-{feed.name}")
    for exchange in exchanges().values()
    for feed in exchange.feeds
    if feed.kind == "trade" and "polygon" not in feed.name and exchange.venue.lower() in venue_names()
]


def minutes(truth: Frame) -> dict[int, list[tuple[float, float]]]:
    """Return the price and the quantity of each trade of a span, by minute, in order."""
    found = defaultdict(list)
    for row in sorted(zip(*(column.tolist() for column in truth.columns()), strict=True)):
        if SPAN.start <= row[1] < SPAN.end:
            found[row[1] // MINUTE * MINUTE].append((row[3], row[4]))
    return found


def fits(bar: Bar, trades: list[tuple[float, float]]) -> bool:
    prices, volume = [price for price, _ in trades], sum(qty for _, qty in trades)
    told = [float(one) for one in (bar.open, bar.high, bar.low, bar.close)]
    close = abs(float(bar.volume) - volume) < 1e-6 * max(volume, 1.0)
    return told == [prices[0], max(prices), min(prices), prices[-1]] and close and bar.trades in {None, len(trades)}


@pytest.mark.parametrize(("exchange", "feed"), FEEDS)
def test_seven_hours_of_minutes_of_a_thin_market(exchange: Exchange, feed: Feed) -> None:
    venue = Asked(exchange, feed, rate=0.02, history=9 * HOUR)
    assert feed.candles is not None
    requests, pages = walked(feed.candles.history(feed.instruments[0], "1m", SPAN), venue)
    bars = [bar for page in pages for bar in page.bars]
    truth = minutes(venue.truth)
    assert [bar.open_time for bar in bars] == sorted({bar.open_time for bar in bars})
    assert {bar.open_time for bar in bars if float(bar.volume)} == truth.keys()
    assert all(fits(bar, truth[bar.open_time]) for bar in bars if float(bar.volume))
    assert 100 < len(truth) < 420
    assert (pages[-1].reached, len(requests) <= 4) == (SPAN.end, True)
    assert not [bad for page in pages for bad in page.bad]
