"""The simulated Coinbase against what Coinbase sent and documents: recorded messages, its rules, and our own parser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from tests.simulator.venues.tools import NOW, asked, opened, read, said, tapes

from tapeline.clock import MINUTE, SECOND, parse_time
from tapeline.exchanges import coinbase, coinbase_trades
from tapeline.exchanges.base import Ack, Ignored, Trade
from tapeline.simulator.sources import decimals_of
from tapeline.simulator.tape import Listing, Tape
from tapeline.simulator.venue import Close, Request, Response, Session
from tapeline.simulator.venues.coinbase import Coinbase
from tapeline.types import Frame

BTC, ETH = "BTC-USD.COINBASE", "ETH-USD.COINBASE"
MATCHES = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches", "heartbeat"]}
TRADES = {"type": "subscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channel": "market_trades"}


@pytest.fixture
def venue() -> Coinbase:
    return Coinbase(tapes(Coinbase, BTC, ETH))


def recorded_matches(shared: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the trades of the recorded Exchange feed by product, in the order in which they happened."""
    path = shared / "data/cryptofeed/COINBASE_EXCHANGE.ws.28.part-A.txt"
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for text in re.findall(r'\{"type":"(?:last_)?match".*\}', path.read_text()):
        message = json.loads(text)
        found.setdefault(message["product_id"], {})[message["trade_id"]] = message
    return {product: [rows[one] for one in sorted(rows)] for product, rows in found.items()}


def tape_of(product: str, rows: list[dict[str, Any]]) -> Tape:
    """Return the tape on which recorded matches truly happened; they name the side of the maker."""
    base, quote = product.split("-")
    price, size = (np.array([float(row[key]) for row in rows]) for key in ("price", "size"))
    listing = Listing(f"{product}.COINBASE", base, quote, decimals_of(price), decimals_of(size))
    stamps = [parse_time(row["time"]) for row in rows]
    sides = np.array([{"sell": 1, "buy": -1}[row["side"]] for row in rows], np.int8)
    tape = Tape(listing)
    ids = [row["trade_id"] for row in rows]
    tape.append(Frame.of(listing.instrument, trade_id=ids, ts_event=stamps, price=price, qty=size, side=sides))
    return tape


def test_matches_are_those_that_coinbase_sent(shared: Path) -> None:
    """All but the ids of orders and the sequence of the order book, which no tape holds."""
    theirs = recorded_matches(shared)
    assert sum(map(len, theirs.values())) == 85
    found = {f"{product}.COINBASE": tape_of(product, rows) for product, rows in theirs.items()}
    session = opened(Coinbase(found), "/exchange")
    for product, rows in theirs.items():
        ours = read(session.trades(found[f"{product}.COINBASE"].whole(), NOW))
        assert [set(one) for one in ours] == [set(one) for one in rows]
        told = ("trade_id", "side", "size", "price", "product_id", "time")
        assert [[one[key] for key in told] for one in ours] == [[one[key] for key in told] for one in rows]
        assert all(one["type"] == "match" for one in ours)


def test_the_exchange_feed_acknowledges_everything_and_tells_the_last_match(venue: Coinbase) -> None:
    session = opened(venue, "/exchange")
    assert session.connected(NOW) == []
    ack, last = said(session, MATCHES)
    assert ack == {
        "type": "subscriptions",
        "channels": [
            {"name": "matches", "product_ids": ["BTC-USD"], "account_ids": None},
            {"name": "heartbeat", "product_ids": ["BTC-USD"], "account_ids": None},
        ],
    }
    assert (last["type"], last["trade_id"]) == ("last_match", venue.tapes[BTC].newest(1).trade_id[0])
    assert session.instruments == {BTC}
    more = said(
        session, {"type": "subscribe", "channels": [{"name": "matches", "product_ids": ["BTC-USD", "ETH-USD"]}]}
    )
    assert more[0]["channels"][0]["product_ids"] == ["BTC-USD", "ETH-USD"]
    assert [one["product_id"] for one in more[1:]] == ["ETH-USD"]
    (left,) = said(session, {"type": "unsubscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]})
    assert left["channels"][0]["name"] == "heartbeat"
    assert session.instruments == {ETH}
    said(session, {"type": "unsubscribe", "channels": ["matches", "heartbeat"]})
    assert session.instruments == set()


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"type": "subscribe", "product_ids": ["BTC-USD"]}, "No channels provided"),
        (MATCHES | {"channels": ["full"]}, "full is not a valid channel"),
        (MATCHES | {"product_ids": ["BTC-USD", "NO-NE"]}, "NO-NE is not a valid product"),
        (MATCHES | {"product_ids": []}, " is not a valid product"),
    ],
)
def test_the_exchange_feed_refuses_as_a_whole(venue: Coinbase, message: dict[str, Any], answer: str) -> None:
    session = opened(venue, "/exchange")
    assert said(session, message) == [{"type": "error", "message": "Failed to subscribe", "reason": answer}]
    assert session.instruments == set()
    assert read(session.received(b"{", NOW)) == [{"type": "error", "message": "Malformed JSON"}]
    assert said(session, {"type": "hello"})[0]["type"] == "error"


def test_a_refused_product_is_refused_on_both_feeds() -> None:
    venue = Coinbase(tapes(Coinbase, BTC, ETH), hit=lambda fault, subject: subject == "BTC-USD")
    reason = said(opened(venue, "/exchange"), MATCHES)[0]["reason"]
    assert reason == "BTC-USD is not a valid product"
    session = opened(venue, "/advanced")
    assert said(session, TRADES) == [{"type": "error", "message": "failure to subscribe"}]
    assert said(session, TRADES | {"product_ids": ["ETH-USD"]})[-1]["channel"] == "subscriptions"


@pytest.mark.parametrize("path", ["/exchange", "/advanced"])
def test_without_a_subscription_within_5_s_the_connection_ends(venue: Coinbase, path: str) -> None:
    session = opened(venue, path)
    assert session.tick(NOW + 5 * SECOND) == []
    (end,) = session.tick(NOW + 5 * SECOND + 1)
    assert isinstance(end, Close)
    kept = opened(venue, path)
    said(kept, MATCHES if path == "/exchange" else TRADES)
    assert not any(isinstance(out, Close) for out in kept.tick(NOW + 6 * SECOND))


def test_the_exchange_feed_beats_every_second_for_each_product(venue: Coinbase) -> None:
    session = opened(venue, "/exchange")
    said(session, MATCHES | {"product_ids": ["BTC-USD", "ETH-USD"]})
    assert session.tick(NOW + SECOND - 1) == []
    beats = read(session.tick(NOW + SECOND))
    assert [one["product_id"] for one in beats] == ["BTC-USD", "ETH-USD"]
    newest = int(venue.tapes[BTC].newest(1).trade_id[0])
    assert beats[0] == {
        "type": "heartbeat",
        "last_trade_id": newest,
        "product_id": "BTC-USD",
        "sequence": 10 * newest + 5,
        "time": "2024-01-01T00:00:01.000000Z",
    }


def test_advanced_trade_numbers_every_message_and_gathers_trades_for_250_ms(venue: Coinbase) -> None:
    session = opened(venue, "/advanced")
    told = said(session, TRADES) + said(session, {"type": "subscribe", "channel": "heartbeats"})
    assert [one["channel"] for one in told] == ["market_trades", "market_trades", "subscriptions", "subscriptions"]
    assert told[2]["events"] == [{"subscriptions": {"market_trades": ["BTC-USD", "ETH-USD"]}}]
    frames = [venue.tapes[BTC].rows(at, at + 2) for at in (0, 2)]
    assert [session.trades(frame, NOW) for frame in frames] == [[], []]
    assert session.tick(NOW + SECOND // 4 - 1) == []
    update, beat = read(session.tick(NOW + SECOND))
    assert [one["sequence_num"] for one in [*told, update, beat]] == [0, 1, 2, 3, 4, 5]
    assert update["events"][0]["type"] == "update"
    assert [row["trade_id"] for row in update["events"][0]["trades"]] == ["4", "3", "2", "1"]
    assert re.fullmatch(r"2024-01-01 00:00:01\.0{9} \+0000 UTC m=\+1\.0{9}", beat["events"][0]["current_time"])
    assert beat["events"][0]["heartbeat_counter"] == 1
    (again,) = read(session.tick(NOW + 2 * SECOND))
    assert (again["channel"], again["sequence_num"]) == ("heartbeats", 6)


def test_the_snapshot_is_of_100_trades_newest_first_with_the_documented_keys(venue: Coinbase, shared: Path) -> None:
    theirs = json.loads((shared / "data/nautilus-coinbase/ws_market_trades.json").read_bytes())
    ours = said(opened(venue, "/advanced"), TRADES)[0]
    assert set(ours) == set(theirs)
    (event,) = ours["events"]
    assert set(event["trades"][0]) == set(theirs["events"][0]["trades"][0])
    newest = venue.tapes[BTC].newest(100)
    assert event["type"] == "snapshot"
    assert [int(row["trade_id"]) for row in event["trades"]] == newest.trade_id[::-1].tolist()
    sides = {"BUY": -1, "SELL": 1}
    assert [sides[row["side"]] for row in event["trades"]] == newest.side[::-1].tolist()


def test_advanced_trade_takes_one_known_channel_a_message(venue: Coinbase) -> None:
    session = opened(venue, "/advanced")
    refused = [{"type": "error", "message": "failure to subscribe"}]
    assert said(session, MATCHES) == refused
    assert said(session, TRADES | {"channel": "level2"}) == refused
    assert read(session.received(b"[", NOW)) == refused
    said(session, TRADES)
    (left,) = said(session, TRADES | {"type": "unsubscribe", "product_ids": ["BTC-USD"]})
    assert left["events"] == [{"subscriptions": {"market_trades": ["ETH-USD"]}}]
    assert session.instruments == {ETH}


def test_a_quiet_channel_ends_after_90_s_unless_hearts_beat(venue: Coinbase) -> None:
    quiet, alive = (opened(venue, "/advanced") for _ in range(2))
    said(quiet, TRADES)
    said(alive, TRADES)
    said(alive, {"type": "subscribe", "channel": "heartbeats"})
    for second in range(1, 91):
        assert quiet.tick(NOW + second * SECOND) == []
        assert len(alive.tick(NOW + second * SECOND)) == 1
    assert isinstance(quiet.tick(NOW + 91 * SECOND)[0], Close)
    assert read(alive.tick(NOW + 91 * SECOND))[0]["channel"] == "heartbeats"


def test_more_messages_than_allowed_end_the_connection(venue: Coinbase) -> None:
    for path, most in (("/exchange", 100), ("/advanced", 8)):
        session = opened(venue, path, NOW + SECOND * most)
        outs = [session.received(b"{}", NOW)[0] for _ in range(most + 1)]
        assert [isinstance(out, Close) for out in outs] == [False] * most + [True]


def test_more_than_8_connections_a_second_are_refused(venue: Coinbase) -> None:
    answers = [venue.open(Request("/exchange"), number, NOW) for number in range(9)]
    assert [isinstance(one, Session) for one in answers] == [True] * 8 + [False]
    assert isinstance(venue.open(Request("/exchange"), 9, NOW + SECOND), Session)


def test_our_parser_reads_the_true_trades_from_both_feeds(venue: Coinbase) -> None:
    frame = venue.tapes[BTC].newest(30)
    exchange, advanced = opened(venue, "/exchange"), opened(venue, "/advanced")
    for session, messages in (
        (exchange, coinbase.subscribe_matches([BTC])),
        (advanced, coinbase.subscribe([BTC])),
    ):
        outs = [out for message in messages for out in session.received(message, NOW) if isinstance(out, bytes)]
        assert any(isinstance(event, Ack) and event.accepted for out in outs for event in parsed(out))
        told = [*session.trades(frame, NOW), *session.tick(NOW + SECOND)]
        trades = [event.raw for out in told for event in parsed(out) if isinstance(event, Trade)]
        assert [(one.trade_id, one.ts_event, float(one.price), float(one.qty), one.side) for one in trades] == [
            *zip(
                *(column.tolist() for column in (frame.trade_id, frame.ts_event, frame.price, frame.qty, frame.side)),
                strict=True,
            )
        ]
        beats = [event for out in told for event in parsed(out) if isinstance(event, Ignored)]
        assert {one.kind for one in beats} <= {"heartbeat", "heartbeats"}
        assert beats


def parsed(out: Any) -> list[Any]:
    return coinbase.parse_message(out, NOW)


def test_pages_of_trades_go_back_in_time_by_id(venue: Coinbase) -> None:
    last = int(venue.tapes[BTC].newest(1).trade_id[0])
    status, rows, headers = asked(venue, "/products/BTC-USD/trades")
    assert (status, [row["trade_id"] for row in rows]) == (200, list(range(last, last - 1000, -1)))
    assert (headers["cb-before"], headers["cb-after"]) == (str(last), str(last - 999))
    after = asked(venue, "/products/BTC-USD/trades", {"after": 100, "limit": 7})[1]
    assert [row["trade_id"] for row in after] == list(range(99, 92, -1))
    before = asked(venue, "/products/BTC-USD/trades", {"before": last - 3})[1]
    assert [row["trade_id"] for row in before] == [last, last - 1, last - 2]
    status, none, headers = asked(venue, "/products/BTC-USD/trades", {"after": 1})
    assert (status, none, "cb-after" in headers) == (200, [], False)
    history = coinbase_trades.parse_history(json.dumps(after).encode(), "BTC-USD")
    true = venue.tapes[BTC].rows(92, 99)
    assert [(one.trade_id, one.side) for one in history.trades] == [
        *zip(true.trade_id.tolist(), true.side.tolist(), strict=True)
    ]


def test_candles_are_newest_first_and_leave_out_quiet_minutes(venue: Coinbase) -> None:
    tape = venue.tapes[BTC]
    start, end = NOW - 20 * MINUTE, NOW - MINUTE
    bounds = {"start": start // SECOND, "end": "2023-12-31T23:59:00Z", "granularity": 60}
    rows = asked(venue, "/products/BTC-USD/candles", bounds)[1]
    assert [row[0] for row in rows] == sorted({row[0] for row in rows}, reverse=True)
    assert (rows[0][0], rows[-1][0]) == (end // SECOND, start // SECOND)
    part = tape.rows(tape.at_time(start), tape.end)
    assert sum(row[5] for row in rows) == pytest.approx(part.qty.sum())
    last = part.take(part.ts_event >= end).price
    assert rows[0][1:5] == [last.min(), last.max(), last[0], last[-1]]
    advanced = asked(
        venue,
        "/api/v3/brokerage/market/products/BTC-USD/candles",
        {"start": start // SECOND, "end": end // SECOND, "granularity": "ONE_MINUTE"},
    )[1]["candles"]
    assert [[float(row[key]) for key in ("start", "low", "high")] for row in advanced] == [row[:3] for row in rows]
    empty = Coinbase(tapes(Coinbase, BTC, rate=0.002))
    assert len(asked(empty, "/products/BTC-USD/candles", {"granularity": 60})[1]) < 30


def test_advanced_rest_has_the_documented_keys(venue: Coinbase, shared: Path) -> None:
    folder = shared / "data/nautilus-coinbase"
    root = "/api/v3/brokerage/market/products"
    for path, name in ((root, "http_products.json"), (f"{root}/BTC-USD", "http_product.json")):
        theirs, ours = json.loads((folder / name).read_bytes()), asked(venue, path)[1]
        assert set(ours) <= set(theirs)
        if "products" in ours:
            assert set(ours["products"][0]) <= set(theirs["products"][0])
    theirs = json.loads((folder / "http_ticker.json").read_bytes())
    ours = asked(venue, f"{root}/BTC-USD/ticker", {"limit": 3, "end": NOW // SECOND - 60})[1]
    assert (set(ours), set(ours["trades"][0])) == (set(theirs), set(theirs["trades"][0]))
    stop = venue.tapes[BTC].at_time(NOW - MINUTE)
    true = venue.tapes[BTC].rows(stop - 3, stop)
    assert [int(row["trade_id"]) for row in ours["trades"]] == true.trade_id[::-1].tolist()
    assert asked(venue, root, {"product_type": "FUTURE"})[1]["products"] == []


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/products/NO-NE/trades", {}, 404),
        ("/nothing", {}, 404),
        ("/products/BTC-USD/trades", {"limit": 1001}, 400),
        ("/products/BTC-USD/trades", {"after": "x"}, 400),
        ("/products/BTC-USD/candles", {"granularity": 61}, 400),
        ("/products/BTC-USD/candles", {"granularity": 60, "start": 0}, 400),
        ("/products/BTC-USD/candles", {"granularity": 60, "end": "soon"}, 400),
        ("/api/v3/brokerage/market/products/NO-NE", {}, 404),
        ("/api/v3/brokerage/nothing", {}, 404),
        ("/api/v3/brokerage/market/products/BTC-USD/candles", {"granularity": "ONE"}, 400),
    ],
)
def test_wrong_requests_are_refused(venue: Coinbase, path: str, params: dict[str, object], status: int) -> None:
    found, document, _ = asked(venue, path, params)
    assert (found, bool(document["message"])) == (status, True)


def test_lists_for_clients(venue: Coinbase) -> None:
    assert asked(venue, "/time")[1] == {"iso": "2024-01-01T00:00:00Z", "epoch": NOW / SECOND}
    assert asked(venue, "/api/v3/brokerage/time")[1]["epochMillis"] == str(NOW // 1_000_000)
    assert [one["id"] for one in asked(venue, "/products")[1]] == ["BTC-USD", "ETH-USD"]
    assert asked(venue, "/products/ETH-USD")[1]["quote_increment"] == "0.01"
    assert [one["id"] for one in asked(venue, "/currencies")[1]] == ["BTC", "ETH", "USD"]
    assert [one["code"] for one in asked(venue, "/v2/currencies/crypto")[1]["data"]] == ["BTC", "ETH"]
    assert asked(venue, "/v2/exchange-rates")[1]["data"]["rates"] == {}


def test_too_many_requests_are_refused(venue: Coinbase) -> None:
    statuses = [asked(venue, "/time")[0] for _ in range(21)]
    assert statuses == [200] * 20 + [429]
    assert venue.failure(503).status == 503


def test_a_wrong_cursor_is_off_and_the_rows_are_not(venue: Coinbase) -> None:
    response = venue.rest(Request("/products/BTC-USD/trades"), venue.tapes, NOW)
    wrong = venue.wrong_cursor(response, Random(1))
    assert wrong.body == response.body
    assert 0 < abs(int(wrong.headers["cb-after"]) - int(response.headers["cb-after"])) <= 1000
    bare = Response(200, b"{}")
    assert venue.wrong_cursor(bare, Random(1)) == bare
