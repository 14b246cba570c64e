"""The walks through Coinbase's past, against a venue of a few lines that answers as Coinbase documents it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tapeline.errors import InputError, VenueBusy, VenueRefused
from tapeline.exchanges.base import Ack, Feed, Request, Response, Span
from tapeline.exchanges.coinbase import EXCHANGE, parse_message
from tapeline.testing.exchange_feeds import walked

START = 1_762_795_433
MATCHES, MARKET_TRADES = EXCHANGE.feeds


class Venue:
    """Trades 1 to ``count``, one a ``step`` of seconds; at most ``rows`` an answer, newest first."""

    def __init__(self, count: int, step: float = 1.0, rows: int = 5, hole: range = range(0)) -> None:
        self.times = {i: START + i * step for i in range(1, count + 1) if i not in hole}
        self.rows = rows
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        params = request.params
        if request.path == "/products/BTC-USD/trades":
            found = [i for i in self.times if i < int(params.get("after", 10**9))]
        else:
            assert request.path == "/api/v3/brokerage/market/products/BTC-USD/ticker"
            found = [i for i, time in self.times.items() if int(params["start"]) <= time <= int(params["end"])]
        rows = [self._row(i) for i in sorted(found, reverse=True)[: min(self.rows, int(params["limit"]))]]
        body: Any = rows if request.path.startswith("/products") else {"trades": rows, "best_bid": "1"}
        return Response(200, {"cb-after": "7"}, json.dumps(body).encode())

    def _row(self, number: int) -> dict[str, object]:
        time = datetime.fromtimestamp(self.times[number], UTC).isoformat().replace("+00:00", "Z")
        return {"trade_id": number, "price": "1.5", "size": "2", "side": "SELL", "time": time}


def found(venue: Venue, span: Span, feed: Feed = MATCHES) -> list[tuple[int | None, int]]:
    assert feed.history is not None
    _, pages = walked(feed.history("BTC-USD.COINBASE", span), venue)
    return [(trade.trade_id, trade.side) for page in pages for trade in page.trades]


def ids(venue: Venue, span: Span, feed: Feed = MATCHES) -> list[int | None]:
    return [number for number, _ in found(venue, span, feed)]


def at(second: float) -> int:
    return int((START + second) * 1_000_000_000)


def test_ids_go_up_although_answers_go_down() -> None:
    venue = Venue(5000, rows=1000)
    assert ids(venue, Span(at(0), at(9999), 1500, 3700)) == list(range(1500, 3701))
    assert [one.params["after"] for one in venue.asked] == ["2500", "3500", "3701"]


def test_the_first_id_of_a_span_of_time_is_searched() -> None:
    venue = Venue(5000, rows=1000)
    assert ids(venue, Span(at(1234), at(1300))) == list(range(1234, 1300))
    assert len(venue.asked) < 20


@pytest.mark.parametrize("start", [-10.0, 1.0, 2.5, 6.0, 6.5, 99.0])
def test_the_search_is_right_wherever_the_span_begins(start: float) -> None:
    assert ids(Venue(7, rows=1000), Span(at(start), at(1000))) == [i for i in range(1, 8) if i >= start]


def test_it_ends_where_the_venue_has_no_more() -> None:
    assert ids(Venue(0), Span(at(0), at(10))) == []
    assert ids(Venue(3, rows=1000), Span(at(0), at(10**6), 2, 9)) == [2, 3]


def test_sides_are_those_of_the_taker() -> None:
    assert found(Venue(1, rows=1000), Span(at(0), at(10))) == [(1, 1)]
    assert found(Venue(1, rows=1000), Span(at(0), at(10)), MARKET_TRADES) == [(1, 1)]


def test_advanced_trade_is_asked_by_windows_that_shrink_and_grow() -> None:
    venue = Venue(200, step=0.5, rows=20)
    assert ids(venue, Span(at(3), at(60)), MARKET_TRADES) == list(range(6, 120))
    widths = [int(one.params["end"]) - int(one.params["start"]) for one in venue.asked]
    assert max(widths) > 4
    assert widths[-1] < 64


def test_advanced_trade_by_id_and_over_a_hole() -> None:
    span = Span(at(10), at(40), 12, 30)
    assert ids(Venue(100), span, MARKET_TRADES) == list(range(12, 31))
    assert ids(Venue(100, hole=range(15, 18)), span, MARKET_TRADES) == [12, 13, 14, *range(18, 31)]


def test_advanced_trade_ends_in_a_long_silence() -> None:
    venue = Venue(2)
    assert ids(venue, Span(at(0), at(86_400 * 30)), MARKET_TRADES) == [1, 2]
    assert len(venue.asked) < 60


def test_a_body_of_another_kind_ends_the_walk_with_the_reason() -> None:
    for feed in EXCHANGE.feeds:
        assert feed.history is not None
        with pytest.raises(InputError):
            walked(feed.history("BTC-USD.COINBASE", Span(0, 1)), lambda request: Response(200, {}, b"{}"))


def test_errors_by_status() -> None:
    with pytest.raises(VenueBusy, match="429"):
        EXCHANGE.check(Response(429, {}, b'{"errors":[{"id":"rate_limit_exceeded"}]}'))
    with pytest.raises(VenueRefused, match=r"404 .*NotFound"):
        EXCHANGE.check(Response(404, {}, b'{"message":"NotFound"}'))
    EXCHANGE.check(Response(200, {}, b"[]"))


def test_each_product_is_asked_for_alone_and_a_refusal_names_it() -> None:
    names = ["BTC-USD.COINBASE", "ETH-EUR.COINBASE"]
    assert [json.loads(one)["product_ids"] for one in MATCHES.subscribe(names)] == [["BTC-USD"], ["ETH-EUR"]]
    asked = [json.loads(one) for one in MARKET_TRADES.subscribe(names)]
    assert [(one["channel"], one["product_ids"]) for one in asked] == [
        ("heartbeats", ["BTC-USD", "ETH-EUR"]),
        ("market_trades", ["BTC-USD"]),
        ("market_trades", ["ETH-EUR"]),
    ]
    text = b'{"type":"error","message":"Failed to subscribe","reason":"FOO-BAR is not a valid product"}'
    assert parse_message(text, 0) == [
        Ack("subscribe", "", ("FOO-BAR",), False, "Failed to subscribe: FOO-BAR is not a valid product")
    ]
