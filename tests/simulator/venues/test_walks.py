"""The way of each of our exchanges through its simulated venue's past: it finds the true trades, all of them."""

from __future__ import annotations

import pytest
from tests.simulator.venues.tools import NOW, tapes

from tapeline.exchanges.base import Feed, Page, RawTrade, Response, Span, exchanges
from tapeline.simulator.venue import Request, Venue, find_venue
from tapeline.types import Frame

INSTRUMENTS = {
    "KRAKEN": ("BTC-USD.KRAKEN",),
    "BINANCE": ("BTC-USDT.BINANCE",),
    "COINBASE": ("BTC-USD.COINBASE",),
    "MASSIVE": ("AAPL.MASSIVE", "BTC-USD.MASSIVE"),
}
WAYS = [
    (feed, instrument)
    for venue, instruments in INSTRUMENTS.items()
    for feed in exchanges()[venue].feeds
    for instrument in instruments
    if feed.history is not None and (venue != "MASSIVE" or ("-" in instrument) is feed.name.startswith("crypto"))
]
WAYS_BY_ID = [(feed, instrument) for feed, instrument in WAYS if feed.contiguous and feed.kind == "trade"]


def named(value: Feed | str) -> str:
    return value if isinstance(value, str) else value.name


def walked(venue: Venue, feed: Feed, instrument: str, span: Span) -> list[RawTrade]:
    """Return the trades that a walk yields when the venue answers its requests."""
    assert feed.history is not None
    key = feed.authorise("any") if feed.authorise else {}
    walk = feed.history(instrument, span)
    found: list[RawTrade] = []
    answer: Response | None = None
    while True:
        try:
            step = walk.send(answer)
        except StopIteration:
            return found
        answer = None
        if isinstance(step, Page):
            assert not step.bad
            found += step.trades
            continue
        headers = {name.lower(): value for name, value in {**step.headers, **key}.items()}
        told = venue.rest(Request(step.path, step.params, headers), venue.tapes, NOW)
        answer = Response(told.status, told.headers, told.body)
        exchanges()[venue.name].check(answer)


def venue_of(instrument: str) -> Venue:
    kind = find_venue(instrument.rpartition(".")[2].lower())
    return kind(tapes(kind, instrument, rate=4.0), limited=False)


def check(found: list[RawTrade], wanted: Frame) -> None:
    assert [one.trade_id for one in found] == wanted.trade_id.tolist()
    assert [(float(one.price), float(one.qty), one.side) for one in found] == [
        *zip(wanted.price.tolist(), wanted.qty.tolist(), wanted.side.tolist(), strict=True)
    ]


@pytest.mark.parametrize(("feed", "instrument"), WAYS, ids=named)
def test_a_walk_by_time_finds_all_trades(feed: Feed, instrument: str) -> None:
    venue = venue_of(instrument)
    true = venue.tapes[instrument].whole()
    span = Span(int(true.ts_event[100]), int(true.ts_event[4000]))
    wanted = true.take((true.ts_event >= span.start) & (true.ts_event < span.end))
    found = [one for one in walked(venue, feed, instrument, span) if span.start <= one.ts_event < span.end]
    assert sum(one.stands_for for one in found) == len(wanted)
    assert sum(float(one.qty) for one in found) == pytest.approx(wanted.qty.sum(), rel=1e-12)
    if feed.contiguous and feed.kind == "trade":
        check(found, wanted)


@pytest.mark.parametrize(("feed", "instrument"), WAYS_BY_ID, ids=named)
def test_a_walk_by_id_finds_all_trades(feed: Feed, instrument: str) -> None:
    venue = venue_of(instrument)
    true = venue.tapes[instrument].whole()
    span = Span(int(true.ts_event[100]), int(true.ts_event[4000]), 101, 3900)
    found = [one for one in walked(venue, feed, instrument, span) if 101 <= (one.trade_id or 0) <= 3900]
    check(found, true.take(slice(100, 3900)))
