"""The simulated Massive against its specification, its rules, and our own parser."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.simulator.venues.tools import NOW, opened, read, said, tapes

from tapeline.clock import DAY, MINUTE, SECOND, format_time
from tapeline.exchanges import massive, massive_trades
from tapeline.exchanges.base import Ack, Trade
from tapeline.simulator.venue import Close, Request, Response, Session
from tapeline.simulator.venues.massive import Massive

AAPL, MSFT, BTC = "AAPL.MASSIVE", "MSFT.MASSIVE", "BTC-USD.MASSIVE"
KEY = {"authorization": "Bearer any", "host": "127.0.0.1:1"}
LOGIN = {"action": "auth", "params": "any"}
MS = 1_000_000


@pytest.fixture
def venue() -> Massive:
    return Massive(tapes(Massive, AAPL, MSFT, BTC))


def asked(venue: Massive, path: str, **params: object) -> dict[str, Any]:
    texts = {name.replace("timestamp_", "timestamp."): str(value) for name, value in params.items()}
    response = venue.rest(Request(path, texts, KEY), venue.tapes, NOW)
    found: dict[str, Any] = json.loads(response.body)
    return found | {"http": response.status}


def followed(venue: Massive, document: dict[str, Any]) -> dict[str, Any]:
    address = urlsplit(document["next_url"])
    return asked(venue, address.path, **dict(parse_qsl(address.query)))


def in_pages(venue: Massive, path: str, **params: object) -> list[dict[str, Any]]:
    """Return the rows of all pages; each but the last is full."""
    document = asked(venue, path, **params)
    rows = list(document["results"])
    while "next_url" in document:
        assert len(document["results"]) == params["limit"]
        document = followed(venue, document)
        rows += document["results"]
    return rows


def logged_in(venue: Massive, cluster: str, *items: str) -> Session:
    session = opened(venue, f"/{cluster}")
    said(session, LOGIN)
    said(session, {"action": "subscribe", "params": ",".join(items)})
    return session


def test_the_dialogue_of_a_login_and_subscriptions(venue: Massive) -> None:
    session = opened(venue, "/stocks")
    assert read(session.connected(NOW)) == [
        [{"ev": "status", "status": "connected", "message": "Connected Successfully"}]
    ]
    assert said(session, {"action": "subscribe", "params": "T.AAPL"})[0][0]["status"] == "auth_required"
    assert said(session, LOGIN) == [[{"ev": "status", "status": "auth_success", "message": "authenticated"}]]
    assert said(session, {"action": "subscribe", "params": "T.AAPL,T.MSFT"}) == [
        [
            {"ev": "status", "status": "success", "message": "subscribed to: T.AAPL"},
            {"ev": "status", "status": "success", "message": "subscribed to: T.MSFT"},
        ]
    ]
    assert session.instruments == {AAPL, MSFT}
    assert said(session, {"action": "subscribe", "params": "T.AAPL"}) == []
    (told,) = said(session, {"action": "unsubscribe", "params": "T.AAPL"})
    assert told[0]["message"] == "unsubscribed to: T.AAPL"
    assert session.instruments == {MSFT}
    assert said(session, {"action": "unsubscribe", "params": "T.AAPL"}) == []
    assert said(session, {"action": "subscribe", "params": "Q.AAPL"})[0][0]["status"] == "error"
    assert said(session, {"action": "dance"})[0][0]["status"] == "error"
    assert read(session.received(b"{", NOW))[0][0]["status"] == "error"


@pytest.mark.parametrize(
    ("cluster", "item", "instruments"),
    [
        ("stocks", "T.*", {AAPL, MSFT}),
        ("stocks", "T.NONE", set()),
        ("crypto", "XT.BTC-USD", {BTC}),
        ("crypto", "XT.*", {BTC}),
        ("crypto", "T.*", set()),
    ],
)
def test_what_an_item_asks_for(venue: Massive, cluster: str, item: str, instruments: set[str]) -> None:
    assert logged_in(venue, cluster, item).instruments == instruments


@pytest.mark.parametrize(("key", "refused"), [("", False), ("any", True)])
def test_a_bad_key_is_refused(key: str, refused: bool) -> None:
    venue = Massive(tapes(Massive, AAPL), hit=lambda fault, subject: refused and fault == "refuse-auth")
    answer, end = opened(venue, "/stocks").received(json.dumps({"action": "auth", "params": key}).encode(), NOW)
    assert json.loads(answer) == [{"ev": "status", "status": "auth_failed", "message": "authentication failed"}]  # type: ignore[arg-type]
    assert isinstance(end, Close)


def test_a_refused_ticker_is_named_and_the_rest_go_on() -> None:
    venue = Massive(tapes(Massive, AAPL, MSFT), hit=lambda fault, subject: subject == "AAPL")
    session = opened(venue, "/stocks")
    said(session, LOGIN)
    (told,) = said(session, {"action": "subscribe", "params": "T.AAPL,T.MSFT"})
    assert [one["status"] for one in told] == ["error", "success"]
    assert "T.AAPL" in told[0]["message"]
    assert session.instruments == {MSFT}


def test_a_second_connection_with_the_same_key_ends_the_older_one(venue: Massive) -> None:
    older, other = logged_in(venue, "stocks", "T.*"), logged_in(venue, "crypto", "XT.*")
    assert older.tick(NOW) == []
    newer = logged_in(venue, "stocks", "T.*")
    status, end = older.tick(NOW)
    assert json.loads(status)[0]["status"] == "max_connections"  # type: ignore[arg-type]
    assert isinstance(end, Close)
    assert [one.tick(NOW) for one in (newer, other)] == [[], []]
    venue.closed(older)
    assert newer.tick(NOW) == []


def test_who_does_not_log_in_is_not_kept(venue: Massive) -> None:
    session = opened(venue, "/crypto")
    assert session.tick(NOW + 10 * SECOND) == []
    status, end = session.tick(NOW + 11 * SECOND)
    assert json.loads(status)[0]["status"] == "auth_timeout"  # type: ignore[arg-type]
    assert isinstance(end, Close)
    assert logged_in(venue, "crypto").tick(NOW + DAY) == []


def test_other_clusters_do_not_exist(venue: Massive) -> None:
    answer = venue.open(Request("/forex"), 1, NOW)
    assert isinstance(answer, Response)
    assert answer.status == 404


def test_events_have_the_keys_and_types_of_the_specification(venue: Massive, shared: Path) -> None:
    paths = json.loads((shared / "data/massive-ws-spec/websocket.json").read_bytes())["paths"]
    for path, session, instrument in (
        ("/stocks/T", logged_in(venue, "stocks", "T.*"), AAPL),
        ("/crypto/XT", logged_in(venue, "crypto", "XT.*"), BTC),
    ):
        said_of = paths[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
        types = {"string": str, "integer": int, "number": int | float, "array": list, None: str}
        (events,) = read(session.trades(venue.tapes[instrument].newest(5), NOW))
        assert len(events) == 5
        for event in events:
            assert all(isinstance(value, types[said_of[key].get("type")]) for key, value in event.items())


def test_our_parser_reads_the_true_trades(venue: Massive) -> None:
    for instrument, cluster, item in ((AAPL, "stocks", "T.AAPL"), (BTC, "crypto", "XT.BTC-USD")):
        frame = venue.tapes[instrument].newest(40)
        (raw,) = logged_in(venue, cluster, item).trades(frame, NOW)
        trades = [event.raw for event in massive.parse_message(raw, NOW) if isinstance(event, Trade)]
        sides = frame.side.tolist() if cluster == "crypto" else [0] * 40
        assert [(one.ts_event, float(one.price), float(one.qty), one.side) for one in trades] == [
            *zip(frame.ts_event.tolist(), frame.price.tolist(), frame.qty.tolist(), sides, strict=True)
        ]
        assert len({one.trade_id for one in trades}) == 40
    session = opened(venue, "/stocks")
    (answer,) = session.received(massive.authenticate("any"), NOW)
    assert massive.parse_message(answer, NOW) == [Ack("auth")]  # type: ignore[arg-type]
    (answer,) = session.received(massive.subscribe([AAPL])[0], NOW)
    assert massive.parse_message(answer, NOW) == [Ack("subscribe", "T", ("AAPL",))]  # type: ignore[arg-type]


def test_rest_and_socket_tell_the_same_trades(venue: Massive) -> None:
    for instrument, cluster, ticker in ((AAPL, "stocks", "AAPL"), (BTC, "crypto", "X:BTCUSD")):
        frame = venue.tapes[instrument].newest(30)
        (raw,) = logged_in(venue, cluster, "T.*" if cluster == "stocks" else "XT.*").trades(frame, NOW)
        live = [event.raw for event in massive.parse_message(raw, NOW) if isinstance(event, Trade)]
        request = Request(f"/v3/trades/{ticker}", {"limit": "30"}, KEY)
        history = massive_trades.parse_history(venue.rest(request, venue.tapes, NOW).body, ticker)
        assert [one.trade_id for one in reversed(history.trades)] == [one.trade_id for one in live]
        assert [one[2:6] for one in reversed(history.trades)] == [one[2:6] for one in live]


def test_trades_come_in_pages_within_bounds_of_ns(venue: Massive) -> None:
    true = venue.tapes[AAPL].whole()
    low, high = int(true.ts_event[50]), int(true.ts_event[300])
    wanted = [str(one) for one in true.trade_id[(true.ts_event >= low) & (true.ts_event < high)].tolist()]
    bounds = {"timestamp_gte": low, "timestamp_lt": high, "limit": 60}
    up = in_pages(venue, "/v3/trades/AAPL", order="asc", **bounds)
    assert [row["id"] for row in up] == wanted
    assert [row["sip_timestamp"] for row in up] == sorted(row["sip_timestamp"] for row in up)
    assert [row["id"] for row in in_pages(venue, "/v3/trades/AAPL", **bounds)] == wanted[::-1]
    outside = asked(venue, "/v3/trades/AAPL", timestamp_gt=low, timestamp_lte=high, order="asc", limit=50_000)[
        "results"
    ]
    assert [int(row["id"]) for row in outside] == true.trade_id[
        (true.ts_event > low) & (true.ts_event <= high)
    ].tolist()
    assert len(asked(venue, "/v3/trades/AAPL")["results"]) == 1000


def test_a_day_or_an_instant_can_be_asked_for(venue: Massive) -> None:
    true = venue.tapes[BTC].whole()
    day = format_time(NOW - DAY)[:10]
    whole = asked(venue, "/v3/trades/X:BTC-USD", timestamp=day, limit=50_000)["results"]
    assert len(whole) == len(true)
    stamp = int(true.ts_event[7])
    at = asked(venue, "/v3/trades/X:BTC-USD", timestamp=stamp)["results"]
    assert {row["participant_timestamp"] for row in at} == {stamp}
    assert asked(venue, "/v3/trades/NONE") | {"request_id": ""} == {
        "status": "OK",
        "request_id": "",
        "results": [],
        "http": 200,
    }


def test_rows_have_the_documented_keys(venue: Massive, shared: Path) -> None:
    folder = shared / "data/massive-rest"
    theirs = json.loads((folder / "v3_trades_AAPL_limit=2.json").read_bytes())
    assert set(asked(venue, "/v3/trades/AAPL", limit=1)["results"][0]) <= set(theirs["results"][0])
    theirs = json.loads(next(folder.glob("v2_aggs*")).read_bytes())
    ours = asked(venue, f"/v2/aggs/ticker/AAPL/range/1/hour/{NOW // MS - 3_600_000}/{NOW // MS}")
    assert set(ours) - {"http", "next_url"} == set(theirs)
    assert set(ours["results"][0]) == set(theirs["results"][0])
    theirs = json.loads((folder / "v3_reference_conditions_asset_class=stocks.json").read_bytes())
    rules = {row["id"]: row["update_rules"]["consolidated"] for row in theirs["results"]}
    known = asked(venue, "/v3/reference/conditions", asset_class="stocks", limit=1000)["results"]
    assert {row["id"]: row["update_rules"]["consolidated"] for row in known if row["id"] in rules} == {
        number: rules[number] for number in rules if number in {row["id"] for row in known}
    }


def test_aggregates_add_up_over_pages(venue: Massive) -> None:
    true = venue.tapes[AAPL].whole()
    path = f"/v2/aggs/ticker/AAPL/range/1/minute/{NOW // MS - 3_600_000}/{NOW // MS}"
    whole = asked(venue, path)["results"]
    assert sum(row["n"] for row in whole) == len(true)
    assert sum(row["v"] for row in whole) == pytest.approx(true.qty.sum())
    first = true.take(true.ts_event < whole[0]["t"] * MS + MINUTE)
    assert [whole[0][key] for key in "ohlc"] == [
        first.price[0],
        first.price.max(),
        first.price.min(),
        first.price[-1],
    ]
    assert whole[0]["vw"] == pytest.approx((first.price * first.qty).sum() / first.qty.sum())
    assert in_pages(venue, path, limit=7) == whole
    assert in_pages(venue, path, limit=7, sort="desc") == whole[::-1]
    fives = asked(venue, path.replace("/1/minute/", "/5/minute/"), limit=10)
    assert len(fives["results"]) == 2


def test_conditions_come_in_pages_of_one_kind(venue: Massive) -> None:
    rows = in_pages(venue, "/v3/reference/conditions", asset_class="stocks", limit=2)
    assert len(rows) > 4
    assert {row["asset_class"] for row in rows} == {"stocks"}
    assert {row["id"] for row in asked(venue, "/v3/reference/conditions", asset_class="crypto")["results"]} == {1, 2}


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/v3/trades/AAPL", {"limit": 50_001}, 400),
        ("/v3/trades/AAPL", {"timestamp.gte": "soon"}, 400),
        ("/v3/trades/AAPL", {"cursor": "%%%"}, 400),
        ("/v3/trades/AAPL", {"cursor": "eA=="}, 400),
        ("/v2/aggs/ticker/AAPL/range/0/minute/0/1", {}, 400),
        ("/v2/aggs/ticker/AAPL/range/1/minute/0/1", {"cursor": "YXxi"}, 400),
        ("/v3/reference/conditions", {"cursor": "eA=="}, 400),
        ("/v9/nothing", {}, 404),
    ],
)
def test_wrong_requests_are_refused(venue: Massive, path: str, params: dict[str, str], status: int) -> None:
    texts = {name: str(value) for name, value in params.items()}
    response = venue.rest(Request(path, texts, KEY), venue.tapes, NOW)
    assert (response.status, json.loads(response.body)["status"]) == (status, "ERROR")


def test_every_request_needs_a_key_and_only_a_hundred_a_second_are_answered(venue: Massive) -> None:
    path = "/v3/trades/AAPL"
    for headers in ({}, {"authorization": "Bearer"}, {"authorization": "Bearer "}):
        response = venue.rest(Request(path, {}, headers), venue.tapes, NOW)
        assert (response.status, json.loads(response.body)["error"]) == (401, "API Key was not provided")
    assert venue.rest(Request(path, {"apiKey": "any"}), venue.tapes, NOW).status == 200
    statuses = [asked(venue, path, limit=1)["http"] for _ in range(100)]
    assert statuses == [200] * 99 + [429]
    assert json.loads(venue.failure(503).body)["status"] == "ERROR"


def test_a_wrong_cursor_leads_astray(venue: Massive) -> None:
    request = Request("/v3/trades/AAPL", {"limit": "5"}, KEY)
    response = venue.rest(request, venue.tapes, NOW)
    wrong = json.loads(venue.wrong_cursor(response, Random(1)).body)
    right = json.loads(response.body)
    assert wrong["results"] == right["results"]
    assert wrong["next_url"] != right["next_url"]
    assert followed(venue, wrong)["results"] != followed(venue, right)["results"]
