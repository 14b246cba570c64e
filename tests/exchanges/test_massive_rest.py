"""The walk through Massive's past, its conditions and candles, from its own examples and a venue of a few lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tapeline.errors import MalformedMessage, VenueBusy, VenueRefused
from tapeline.exchanges.base import Bar, Ignored, Request, Response, Span, Trade
from tapeline.exchanges.massive import EXCHANGE, authorise, history, informed, prepare
from tapeline.exchanges.massive_aggregates import parse_bars
from tapeline.exchanges.massive_reference import Conditions, Effect, parse_conditions
from tapeline.exchanges.massive_trades import trade_id
from tapeline.testing.exchange_feeds import walked

START = 1_762_795_433_000_000_000
ODD_LOT, LATE = 37, 10
RULES = Conditions(
    {ODD_LOT: Effect(False, False, True), LATE: Effect(False, True, True), 99: Effect(False, False, False)}
)


def row(number: int, **changes: Any) -> dict[str, Any]:
    fields = {"id": str(number), "exchange": 4, "price": 1.5, "size": 2, "sip_timestamp": START + number}
    return {**fields, **changes}


class Venue:
    """Rows in pages of ``size``; the cursor of a page is where the next begins."""

    def __init__(self, rows: list[dict[str, Any]], size: int = 3) -> None:
        self.rows, self.size = rows, size
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        at = int(request.params.get("cursor", 0))
        body: dict[str, Any] = {"status": "OK", "results": self.rows[at : at + self.size]}
        if at + self.size < len(self.rows):
            body["next_url"] = f"https://elsewhere.example{request.path}?cursor={at + self.size}"
        return Response(200, {}, json.dumps(body).encode())


def numbers(venue: Venue, span: Span, conditions: Conditions | None = None) -> tuple[list[int], dict[str, int]]:
    walk = history("AAPL.MASSIVE", span) if conditions is None else history("AAPL.MASSIVE", span, conditions)
    _, pages = walked(walk, venue)
    ignored: dict[str, int] = {}
    for page in pages:
        for kind, count in page.ignored.items():
            ignored[kind] = ignored.get(kind, 0) + count
    return [trade.ts_event - START for page in pages for trade in page.trades], ignored


def test_pages_follow_the_cursor_on_our_host() -> None:
    venue = Venue([row(i) for i in range(8)])
    assert numbers(venue, Span(START, START + 100)) == (list(range(8)), {})
    bounds = {"timestamp.gte": str(START), "timestamp.lt": str(START + 100)}
    assert venue.asked == [
        Request("/v3/trades/AAPL", {**bounds, "order": "asc", "limit": "50000"}),
        Request("/v3/trades/AAPL", {"cursor": "3"}),
        Request("/v3/trades/AAPL", {"cursor": "6"}),
    ]
    assert authorise("K") == {"authorization": "Bearer K"}


def test_rows_outside_the_span_are_left_out_and_those_inside_come_oldest_first() -> None:
    assert numbers(Venue([row(5), row(2), row(9), row(3)]), Span(START + 3, START + 9)) == ([5, 3], {})


def test_a_crypto_pair_goes_by_another_ticker() -> None:
    request = next(history("BTC-USD.MASSIVE", Span(0, 1)))
    assert isinstance(request, Request)
    assert request.path == "/v3/trades/X:BTCUSD"


@pytest.mark.parametrize("address", ["", "nonsense", "https://x/v3/quotes/AAPL?cursor=1", "https://x/v3/trades/AAPL"])
def test_an_address_that_is_no_next_page_ends_the_walk(address: str) -> None:
    body = json.dumps({"status": "OK", "results": [row(1)], "next_url": address}).encode()
    requests, _ = walked(history("AAPL.MASSIVE", Span(START, START + 9)), lambda request: Response(200, {}, body))
    assert len(requests) == 1


def test_a_cursor_that_leads_nowhere_is_not_followed_for_ever() -> None:
    body = json.dumps({"status": "OK", "results": [row(1)], "next_url": "https://x/v3/trades/AAPL?cursor=1"}).encode()
    requests, _ = walked(history("AAPL.MASSIVE", Span(START, START + 9)), lambda request: Response(200, {}, body))
    assert len(requests) < 10


def test_cancelled_and_corrected_rows_are_left_out_by_name() -> None:
    venue = Venue([row(i, correction=code) for i, code in enumerate([0, 1, 7, 8, 10, 11, 12])])
    assert numbers(venue, Span(START, START + 100)) == (
        [0, 1],
        {"tradeErroneous": 1, "tradeCancelled": 1, "cancelRecord": 1, "errorRecord": 1, "correctionRecord": 1},
    )


def test_trades_that_do_not_update_a_whole_candle_are_left_out_by_name() -> None:
    rows = [row(0), row(1, conditions=[0, 12]), row(2, conditions=[0, ODD_LOT]), row(3, conditions=[LATE])]
    rows += [row(4, conditions=[LATE, ODD_LOT]), row(5, conditions=[99])]
    assert numbers(Venue(rows), Span(START, START + 100), RULES) == (
        [0, 1],
        {"tradeVolumeOnly": 2, "tradeHighLowOnly": 1, "tradeUncounted": 1},
    )
    assert numbers(Venue(rows), Span(START, START + 100)) == (list(range(6)), {})


def test_the_recorded_conditions(shared: Path) -> None:
    body = (shared / "data/massive-rest/v3_reference_conditions_asset_class=stocks.json").read_bytes()
    rules = parse_conditions(body)
    assert [code for code in range(1, 11) if not rules.left_out([code])] == [1, 3, 4, 6, 8, 9]
    assert [rules.left_out([code]) for code in (2, 5, 7, 10)] == [
        "tradeVolumeOnly",
        "tradeHighLowOnly",
        "tradeVolumeOnly",
        "tradeHighLowOnly",
    ]
    with pytest.raises(MalformedMessage):
        parse_conditions(b'{"results":[{"id":"x"}]}')


def test_the_exchange_is_told_what_conditions_mean(shared: Path) -> None:
    body = (shared / "data/massive-rest/v3_reference_conditions_asset_class=stocks.json").read_bytes()
    asking = prepare()
    assert next(asking).path == "/v3/reference/conditions"
    with pytest.raises(StopIteration) as told:
        asking.send(Response(200, {}, body))
    exchange = told.value.value
    stock = {"ev": "T", "sym": "AAPL", "x": 4, "i": "1", "p": 1, "s": 2, "t": 5}
    option = {**stock, "sym": "O:SPY251219C00650000"}
    message = json.dumps([{**one, "c": [2]} for one in (stock, option)]).encode()
    assert exchange.parse(message, 0)[0] == Ignored("tradeVolumeOnly")
    assert isinstance(exchange.parse(message, 0)[1], Trade)
    assert [one.name for one in exchange.feeds] == [one.name for one in EXCHANGE.feeds]
    feed = informed(RULES).feeds[0]
    assert feed.history is not None
    _, pages = walked(feed.history("AAPL.MASSIVE", Span(START, START + 9)), Venue([row(1, conditions=[ODD_LOT])]))
    assert pages[0].ignored == {"tradeVolumeOnly": 1}


def test_the_recorded_candles(shared: Path) -> None:
    name = "data/massive-rest/v2_aggs_ticker_AAPL_range_1_day_2005-04-01_2005-04-04.json"
    bars, following = parse_bars((shared / name).read_bytes())
    opened = 1112331600000000000
    assert bars[0] == Bar(opened, "1.5032", "1.5064", "1.4489", "1.4604", "642646396.0", "1.469", 82132)
    assert (len(bars), following) == (2, "")
    with pytest.raises(MalformedMessage, match="is no body of candles"):
        parse_bars(b'{"status":"OK"}')
    with pytest.raises(MalformedMessage, match="not a number"):
        parse_bars(b'{"ticker":"A","status":"OK","results":[{"t":1,"o":"x","h":1,"l":1,"c":1,"v":1}]}')


def test_errors_by_status() -> None:
    with pytest.raises(VenueRefused, match=r"401 .*Unknown API Key"):
        EXCHANGE.check(Response(401, {}, b'{"status":"ERROR","error":"Unknown API Key"}'))
    with pytest.raises(VenueRefused, match="Unknown API Key"):
        EXCHANGE.check(Response(200, {}, b'{"status":"ERROR","error":"Unknown API Key"}'))
    EXCHANGE.check(Response(200, {}, b"[]"))
    with pytest.raises(VenueBusy, match="429"):
        EXCHANGE.check(Response(429, {}, b'{"status":"ERROR"}'))


def test_both_names_of_the_venue_can_be_followed() -> None:
    addresses = {one.name: (one.ws_url, one.rest_url) for one in EXCHANGE.feeds}
    assert addresses["stocks"] == ("wss://socket.massive.com/stocks", "https://api.massive.com")
    assert addresses["crypto-polygon"] == ("wss://socket.polygon.io/crypto", "https://api.polygon.io")
    assert trade_id(0, 4, None, "1") >= 0
