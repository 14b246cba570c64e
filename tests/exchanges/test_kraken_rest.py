"""The walk through Kraken's past, against a venue of a few lines that pages as Kraken documents it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tapeline.errors import InputError, VenueBusy, VenueRefused
from tapeline.exchanges.base import Request, Response, Span
from tapeline.exchanges.kraken import EXCHANGE, history
from tapeline.exchanges.kraken_trades import check
from tapeline.testing.exchange_feeds import walked

START = 1_762_795_433_000_000_000


class Venue:
    """Trades as (id, ns), ``count`` a page; ``last`` may be told wrongly, and answers may be empty."""

    def __init__(self, trades: list[tuple[int, int]], count: int = 3, lie: str | None = None, empty: int = 0) -> None:
        self.trades, self.count, self.lie, self.empty = trades, count, lie, empty
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        since = int(request.params["since"])
        found = [one for one in self.trades if one[1] > since][: self.count]
        if len(self.asked) <= self.empty:
            found = []
        last = self.lie or str(found[-1][1] if found else since)
        rows = ",".join(
            f'["1.5","2",{Decimal(ns).scaleb(-9).quantize(Decimal("1e-7"))},"b","l","",{number}]'
            for number, ns in found
        )
        body = f'{{"error":[],"result":{{"XXBTZUSD":[{rows}],"last":"{last}"}}}}'
        return Response(200, {}, body.encode())


def ids(venue: Venue, span: Span) -> list[int | None]:
    _, pages = walked(history("BTC-USD.KRAKEN", span), venue)
    assert not [bad for page in pages for bad in page.bad]
    return [trade.trade_id for page in pages for trade in page.trades]


def spread(count: int, step: int = 1_000_037) -> list[tuple[int, int]]:
    return [(100 + i, START + i * step) for i in range(count)]


WHOLE = Span(START, START + 10**12)


def test_a_span_of_time_is_half_open_and_asked_for_by_the_venue_s_ns() -> None:
    venue = Venue(spread(20))
    assert ids(venue, Span(START + 2 * 1_000_037, START + 10 * 1_000_037)) == list(range(102, 110))
    assert venue.asked[0] == Request("/0/public/Trades", {"pair": "XBTUSD", "since": str(START + 2 * 1_000_037 - 1)})
    assert venue.asked[1].params["since"] == str(START + 4 * 1_000_037)


def test_a_span_of_ids_gives_only_these() -> None:
    venue = Venue(spread(50))
    assert ids(venue, Span(START + 9 * 1_000_037, START + 20 * 1_000_037, 110, 115)) == list(range(110, 116))
    assert len(venue.asked) == 3


def test_it_ends_where_the_venue_has_no_more() -> None:
    venue = Venue(spread(7))
    assert ids(venue, WHOLE) == list(range(100, 107))
    assert len(venue.asked) == 3 + 2


def test_an_empty_answer_is_not_believed_at_once() -> None:
    assert ids(Venue(spread(7), empty=1), WHOLE) == list(range(100, 107))
    assert ids(Venue([]), WHOLE) == []


@pytest.mark.parametrize("lie", ["0", "nonsense", str(START), str(START + 10**15), "9" * 400, "-5"])
def test_a_last_that_is_not_of_the_newest_row_is_not_followed(lie: str) -> None:
    assert ids(Venue(spread(20), lie=lie), WHOLE) == list(range(100, 120))


def test_trades_of_one_ns_that_fill_more_than_a_page_are_asked_for_again() -> None:
    trades = [*spread(2), *[(102 + i, START + 5_000_000) for i in range(3)], (105, START + 6_000_000)]
    venue = Venue(trades, count=4)
    assert ids(venue, WHOLE) == list(range(100, 106))


def test_trades_that_one_page_can_never_give_stay_missing() -> None:
    trades = [(100 + i, START + 5_000_000) for i in range(5)] + [(105, START + 6_000_000), (106, START + 7_000_000)]
    assert ids(Venue(trades), WHOLE) == [100, 101, 102, 105, 106]


def test_ids_that_the_venue_never_gave_cost_one_request_more() -> None:
    trades = [one for one in spread(9) if one[0] != 104]
    venue = Venue(trades)
    assert ids(venue, WHOLE) == [100, 101, 102, 103, 105, 106, 107, 108]


def test_a_row_without_an_id_or_that_cannot_be_read_is_kept_as_bad() -> None:
    body = b'{"error":[],"result":{"XBTUSD":[["1","2",1762795434,"b","l",""],["1","2"]],"last":"5"}}'
    _, pages = walked(history("BTC-USD.KRAKEN", WHOLE), lambda request: Response(200, {}, body))
    assert [str(bad).split(";")[0] for bad in pages[0].bad] == [
        "kraken trade: cannot be read (Expected `array` of at least length 6, got 2)",
        "trade: has no id: expected an id, was 'XBTUSD'",
    ]


def test_a_body_of_another_kind_ends_the_walk_with_the_reason() -> None:
    with pytest.raises(InputError, match="kraken Trades: has no result"):
        walked(history("BTC-USD.KRAKEN", WHOLE), lambda request: Response(200, {}, b"{}"))


@pytest.mark.parametrize(
    "error", ["EAPI:Rate limit exceeded", "EGeneral:Too many requests", "EService:Unavailable", "EService:Busy"]
)
def test_errors_that_pass(error: str) -> None:
    with pytest.raises(VenueBusy, match=f"kraken REST: the venue answered '{error}'"):
        check(Response(200, {}, json.dumps({"error": [error]}).encode()))


def test_errors_that_stay() -> None:
    with pytest.raises(VenueRefused, match="EQuery:Unknown asset pair"):
        check(Response(200, {}, b'{"error":["EQuery:Unknown asset pair"]}'))
    check(Response(200, {}, b'{"error":[],"result":{"last":"5"}}'))
    check(Response(200, {}, b"[]"))


def test_a_pair_that_goes_by_another_name_at_the_venue() -> None:
    request = next(history("DOGE-EUR.KRAKEN", WHOLE))
    assert isinstance(request, Request)
    assert request.params["pair"] == "XDGEUR"
    assert EXCHANGE.feeds[0].limits.requests == (1, 1)
