"""The walk through Binance's past, against a venue of a few lines that answers as Binance documents it."""

from __future__ import annotations

import json
from itertools import accumulate

import pytest

from tapeline.errors import MalformedMessage, UsageError, VenueBusy, VenueRefused
from tapeline.exchanges.base import Ack, Feed, Ignored, Request, Response, Span
from tapeline.exchanges.binance import EXCHANGE, history, history_aggregated, parse_message
from tapeline.exchanges.binance_trades import check
from tapeline.testing.exchange_feeds import walked

START_MS = 1_762_795_433_000
TRADES, AGGREGATED = EXCHANGE.feeds


class Venue:
    """Trades 1000, 1001, ... one a ``step`` of ms; aggregated trades take three of them each."""

    def __init__(self, count: int, step: int = 10, rows: int = 4) -> None:
        self.times = {1000 + i: START_MS + i * step for i in range(count)}
        self.rows = rows
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        assert request.params["symbol"] == "BTCUSDT"
        found = self._aggregated(request) if request.path == "/api/v3/aggTrades" else self._trades(request)
        limit = min(self.rows, int(request.params["limit"]))
        return Response(200, {}, json.dumps(found[:limit]).encode())

    def _trades(self, request: Request) -> list[dict[str, object]]:
        assert request.path == "/api/v3/historicalTrades"
        first = int(request.params["fromId"])
        row = {"price": "1.5", "qty": "2", "isBuyerMaker": True}
        return [{**row, "id": number, "time": time} for number, time in self.times.items() if number >= first]

    def _aggregated(self, request: Request) -> list[dict[str, object]]:
        row = {"p": "1.5", "q": "2", "m": False}
        rows = [
            {**row, "a": 50 + i, "f": ids[0], "l": ids[-1], "T": self.times[ids[0]]}
            for i, ids in enumerate(list(self.times)[i : i + 3] for i in range(0, len(self.times), 3))
        ]
        if "startTime" in request.params:
            return [one for one in rows if int(str(one["T"])) >= int(request.params["startTime"])]
        return [one for one in rows if int(str(one["a"])) >= int(request.params["fromId"])]


def ids(venue: Venue, span: Span, feed: Feed = TRADES) -> list[int | None]:
    assert feed.history is not None
    _, pages = walked(feed.history("BTC-USDT.BINANCE", span), venue)
    return [trade.trade_id for page in pages for trade in page.trades]


def at(number: int) -> int:
    return (START_MS + number) * 1_000_000


def test_a_span_of_ids() -> None:
    venue = Venue(50)
    assert ids(venue, Span(at(0), at(500), 1010, 1019)) == list(range(1010, 1020))
    assert [one.params["fromId"] for one in venue.asked] == ["1010", "1014", "1018"]
    assert {one.weight for one in venue.asked} == {25}


def test_a_span_of_time_begins_at_the_first_aggregated_trade() -> None:
    venue = Venue(50)
    assert ids(venue, Span(at(30), at(120))) == list(range(1003, 1012))
    assert venue.asked[0] == Request(
        "/api/v3/aggTrades", {"symbol": "BTCUSDT", "startTime": str(START_MS + 30), "limit": "1"}, weight=4
    )


def test_a_span_may_begin_inside_an_aggregated_trade() -> None:
    assert ids(Venue(50), Span(at(35), at(120))) == list(range(1004, 1012))


def test_it_ends_where_the_venue_has_no_more() -> None:
    assert ids(Venue(5), Span(at(0), at(10**6))) == list(range(1000, 1005))
    assert ids(Venue(0), Span(at(0), at(10**6))) == []


def test_aggregated_trades_by_their_own_ids() -> None:
    assert ids(Venue(50), Span(at(0), at(500), 52, 57), AGGREGATED) == list(range(52, 58))
    assert ids(Venue(50), Span(at(30), at(121)), AGGREGATED) == list(range(51, 55))


def test_a_body_of_another_kind_ends_the_walk_with_the_reason() -> None:
    for walk in (history, history_aggregated):
        with pytest.raises(MalformedMessage):
            walked(walk("BTC-USDT.BINANCE", Span(0, 1)), lambda request: Response(200, {}, b"{}"))
    with pytest.raises(UsageError):
        next(history("BTC-USDT-PERP.BINANCE", Span(0, 1)))


@pytest.mark.parametrize("status", [429, 418])
def test_limits_say_how_long_to_wait(status: int) -> None:
    body = b'{"code":-1003,"msg":"Too much request weight used"}'
    with pytest.raises(VenueBusy, match="Too much request weight used") as caught:
        check(Response(status, {"retry-after": "17"}, body))
    assert caught.value.retry_after == 17


def test_errors_by_code() -> None:
    with pytest.raises(VenueRefused, match=r"400 .*Invalid symbol"):
        check(Response(400, {}, b'{"code":-1121,"msg":"Invalid symbol."}'))
    with pytest.raises(VenueBusy, match="Server is busy"):
        check(Response(400, {}, b'{"code":-1008,"msg":"Server is busy"}'))
    with pytest.raises(VenueBusy, match="is no whole JSON document"):
        check(Response(403, {}, b"<html>WAF</html>"))
    check(Response(200, {}, b"[]"))


def test_what_is_followed_and_how_it_is_asked_for() -> None:
    assert len(TRADES.instruments) == 10
    many = [f"A{i}-USDT.BINANCE" for i in range(250)]
    asked = [json.loads(one) for one in AGGREGATED.subscribe(many)]
    assert [one["id"] for one in asked] == [1, 2, 3]
    assert list(accumulate(len(one["params"]) for one in asked)) == [100, 200, 250]
    assert asked[0]["params"][0] == "a0usdt@aggTrade"
    assert TRADES.subscribe(["BTC-USDT.BINANCE"]) == [b'{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}']


def test_the_answer_to_the_keepalive_is_no_answer_to_a_subscription() -> None:
    assert parse_message(b'{"result":["btcusdt@trade"],"id":"alive"}', 0) == [Ignored("subscriptions")]
    assert parse_message(b'{"result":null,"id":2}', 0) == [Ack("2")]
    assert parse_message(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}', 0) == [
        Ignored("serverShutdown")
    ]
    assert {"serverShutdown"} == TRADES.goodbyes
