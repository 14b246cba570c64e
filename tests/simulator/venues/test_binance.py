"""The simulated Binance against what Binance sent and documents: recorded frames, its rules, and our own parser."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.simulator.venues.tools import NOW, asked, opened, read, recorded, said, tapes

from tapeline.clock import DAY, MINUTE, SECOND
from tapeline.exchanges import binance, binance_trades
from tapeline.exchanges.base import Ack, Trade
from tapeline.simulator.tape import Tape
from tapeline.simulator.venue import Close, Ping, Request, Response, Session
from tapeline.simulator.venues.binance import Binance
from tapeline.types import Frame

BTC, ETH = "BTC-USDT.BINANCE", "ETH-USDT.BINANCE"
MS = 1_000_000


@pytest.fixture
def venue() -> Binance:
    return Binance(tapes(Binance, BTC, ETH))


def more(tape: Tape, **columns: Any) -> Frame:
    """Append trades a second after the newest one and return them."""
    count = len(columns["price"])
    first = int(tape.newest(1).trade_id[0]) + 1
    stamps = np.asarray(columns.pop("ms", np.zeros(count, int))) * MS + NOW + SECOND
    ids = np.arange(first, first + count)
    frame = Frame.of(tape.listing.instrument, trade_id=ids, ts_event=stamps, **columns)
    tape.append(frame)
    return frame


def subscribe(session: Session, *streams: str) -> None:
    assert said(session, {"method": "SUBSCRIBE", "params": streams, "id": 1}) == [{"result": None, "id": 1}]


def test_frames_are_those_that_binance_sent(shared: Path) -> None:
    """All but the time at which they were sent, which no tape holds; texts are compared as they are written."""
    path = shared / "data/hftbacktest-binance/spot_btcusdt_20240808.gz"
    frames = [line[20:] for line in gzip.decompress(path.read_bytes()).splitlines()]
    theirs = [frame for frame in map(json.loads, frames) if frame.get("stream") == "btcusdt@trade"]
    tape = recorded(path, BTC)
    session = opened(Binance({BTC: tape}), "/stream", streams="btcusdt@trade")
    ours = read(session.trades(tape.whole(), NOW))
    for frame in [*theirs, *ours]:
        del frame["data"]["E"]
    assert len(theirs) == len(ours) == 9757
    assert sorted(ours, key=lambda one: one["data"]["t"]) == sorted(theirs, key=lambda one: one["data"]["t"])


@pytest.mark.parametrize(("path", "combined"), [("/ws", False), ("/stream", True)])
def test_commands_are_answered(venue: Binance, path: str, combined: bool) -> None:
    session = opened(venue, path)
    assert session.connected(NOW) == []
    subscribe(session, "btcusdt@trade", "ethusdt@trade", "ethusdt@depth")
    assert session.instruments == {BTC, ETH}
    assert said(session, {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": "two"}) == [
        {"result": None, "id": "two"}
    ]
    listed = said(session, {"method": "LIST_SUBSCRIPTIONS", "id": 3})
    assert listed == [{"result": ["ethusdt@trade", "ethusdt@depth"], "id": 3}]
    later = NOW + SECOND
    assert said(session, {"method": "GET_PROPERTY", "params": ["combined"], "id": 4}, later)[0]["result"] is combined
    said(session, {"method": "SET_PROPERTY", "params": ["combined", not combined], "id": 5}, later)
    assert ("stream" in read(session.trades(venue.tapes[ETH].newest(1), NOW))[0]) is not combined


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (b"{", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        (b'{"id":1}', {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 1", "id": 1}),
        (
            b'{"method":"LIST_SUBSCRIPTIONS","id":1.5}',
            {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"},
        ),
        (b'{"method":"GET_PROPERTY","params":["x"],"id":1}', {"code": 0, "msg": "Unknown property", "id": 1}),
        (
            b'{"method":"SET_PROPERTY","params":["combined",1],"id":1}',
            {"code": 1, "msg": "Invalid value type: expected Boolean", "id": 1},
        ),
    ],
)
def test_wrong_commands_are_refused_in_the_documented_words(venue: Binance, raw: bytes, answer: dict[str, Any]) -> None:
    assert read(opened(venue, "/ws").received(raw, NOW)) == [answer]


def test_our_parser_takes_answers_and_trades_as_the_venues(venue: Binance) -> None:
    session = opened(venue, "/stream")
    (command,) = binance.subscribe([BTC])
    (answer,) = session.received(command, NOW)
    assert isinstance(answer, bytes)
    assert binance.parse_message(answer, NOW) == [Ack("1")]
    frame = venue.tapes[BTC].newest(20)
    events = [event for out in session.trades(frame, NOW) for event in binance.parse_message(out, NOW)]
    trades = [event.raw for event in events if isinstance(event, Trade)]
    assert [one.trade_id for one in trades] == frame.trade_id.tolist()
    assert [one.ts_event for one in trades] == frame.ts_event.tolist()
    assert [(float(one.price), float(one.qty)) for one in trades] == list(
        zip(frame.price.tolist(), frame.qty.tolist(), strict=True)
    )
    assert [one.side for one in trades] == frame.side.tolist()


def test_streams_in_the_address_are_followed_and_times_are_in_the_unit_asked_for(venue: Binance) -> None:
    frame = venue.tapes[BTC].newest(1)
    (raw,) = read(opened(venue, "/ws/btcusdt@trade").trades(frame, NOW))
    (micro,) = read(opened(venue, "/stream", streams="btcusdt@trade", timeUnit="microsecond").trades(frame, NOW))
    assert (raw["T"], raw["E"]) == (frame.ts_event[0] // MS, NOW // MS)
    assert (micro["data"]["T"], micro["data"]["E"]) == (frame.ts_event[0] // 1000, NOW // 1000)


def test_a_stream_of_an_unknown_or_a_refused_symbol_is_accepted_and_silent() -> None:
    venue = Binance(
        tapes(Binance, BTC, ETH), hit=lambda fault, subject: (fault, subject) == ("refuse-symbol", "BTCUSDT")
    )
    session = opened(venue, "/ws")
    subscribe(session, "btcusdt@trade", "nothing@trade", "ETHUSDT@trade")
    assert session.instruments == set()
    assert session.trades(venue.tapes[BTC].newest(3), NOW) == []


def test_aggregated_trades_are_what_one_order_traded_at_one_price(venue: Binance) -> None:
    session = opened(venue, "/ws/btcusdt@aggTrade")
    before = venue.aggregates(venue.tapes[BTC]).next_id
    frame = more(
        venue.tapes[BTC],
        price=[10.0, 10.0, 10.1, 10.1, 10.1],
        qty=[1.0, 2.0, 4.0, 8.0, 16.0],
        side=[1, 1, 1, -1, -1],
        ms=[0, 0, 0, 0, 5],
    )
    told = read(session.trades(frame, NOW))
    first = int(frame.trade_id[0])
    assert [(one["a"], one["f"], one["l"], one["p"], one["q"], one["m"]) for one in told] == [
        (before, first, first + 1, "10.00000000", "3.00000000", False),
        (before + 1, first + 2, first + 2, "10.10000000", "4.00000000", False),
        (before + 2, first + 3, first + 3, "10.10000000", "8.00000000", True),
        (before + 3, first + 4, first + 4, "10.10000000", "16.00000000", True),
    ]


def test_aggregated_trades_of_rest_are_those_of_the_socket_and_never_change(venue: Binance) -> None:
    session = opened(venue, "/ws/btcusdt@aggTrade")
    tape = venue.tapes[BTC]
    told = []
    for _ in range(3):
        told += read(session.trades(more(tape, price=[10.0, 10.0], qty=[1.0, 1.0], side=[1, 1]), NOW))
    rows = asked(venue, "/api/v3/aggTrades", {"symbol": "BTCUSDT", "limit": 3})[1]
    assert [{key: one[key] for key in "apqflTmM"} for one in told] == rows
    assert [(one["f"], one["l"]) for one in rows] == [(one["f"], one["f"] + 1) for one in rows]


def test_a_trade_lost_or_told_twice_on_the_socket_leaves_aggregates_true(venue: Binance) -> None:
    session = opened(venue, "/ws/btcusdt@aggTrade")
    frame = more(venue.tapes[BTC], price=[10.0, 10.0, 11.0], qty=[1.0, 1.0, 1.0], side=[1, 1, 1])
    assert [one["q"] for one in read(session.trades(frame.take(np.array([0, 2, 2])), NOW))] == ["1.00000000"] * 2
    assert [one["q"] for one in read(session.trades(frame.take(np.array([1])), NOW))] == ["2.00000000"]


def test_a_ping_comes_every_20_s_and_must_be_answered_in_a_minute(venue: Binance) -> None:
    session = opened(venue, "/ws")
    assert session.tick(NOW + 20 * SECOND - 1) == []
    (ping,) = session.tick(NOW + 20 * SECOND)
    assert isinstance(ping, Ping)
    session.ponged(b"something else", NOW + 21 * SECOND)
    for seconds in (40, 60, 80):
        assert isinstance(session.tick(NOW + seconds * SECOND)[0], Ping)
    assert session.tick(NOW + 81 * SECOND) == [Close(1008, "Pong timeout")]
    session.ponged(ping.payload, NOW + 82 * SECOND)
    assert session.tick(NOW + 82 * SECOND) == []


@pytest.mark.parametrize("limited", [True, False])
def test_more_than_five_messages_a_second_end_the_connection(limited: bool) -> None:
    session = opened(Binance(tapes(Binance, BTC), limited=limited), "/ws")
    for number in range(5):
        assert "result" in said(session, {"method": "LIST_SUBSCRIPTIONS", "id": number})[0]
    session.ponged(b"", NOW)
    assert (session.tick(NOW) == [Close(1008, "Too many requests")]) is limited


def test_a_shutdown_is_announced(venue: Binance) -> None:
    raw, close = opened(venue, "/ws").goodbye(NOW)
    assert json.loads(raw) == {"e": "serverShutdown", "E": NOW // MS}  # type: ignore[arg-type]
    assert isinstance(close, Close)
    assert close.after > 0
    combined = opened(venue, "/stream").goodbye(NOW)[0]
    assert json.loads(combined)["stream"] == "!serverShutdown"  # type: ignore[arg-type]
    assert Binance.lifetime == DAY


def test_more_than_300_connections_in_five_minutes_are_refused(venue: Binance) -> None:
    answers = [venue.open(Request("/ws"), number, NOW) for number in range(301)]
    assert all(isinstance(one, Session) for one in answers[:300])
    assert isinstance(answers[300], Response)
    assert answers[300].status == 429
    assert isinstance(venue.open(Request("/ws"), 1, NOW + 5 * MINUTE), Session)


def test_trades_are_found_by_id_and_the_newest_without(venue: Binance) -> None:
    last = int(venue.tapes[BTC].newest(1).trade_id[0])
    newest = asked(venue, "/api/v3/trades", {"symbol": "BTCUSDT"})[1]
    assert [row["id"] for row in newest] == list(range(last - 499, last + 1))
    page = asked(venue, "/api/v3/historicalTrades", {"symbol": "BTCUSDT", "fromId": 100, "limit": 5000})[1]
    assert [row["id"] for row in page] == list(range(100, 1100))
    history = binance_trades.parse_history(json.dumps(page).encode(), "BTCUSDT")
    true = venue.tapes[BTC].rows(99, 1099)
    assert [one.ts_event for one in history.trades] == true.ts_event.tolist()
    assert [one.side for one in history.trades] == true.side.tolist()
    assert asked(venue, "/api/v3/historicalTrades", {"symbol": "BTCUSDT", "fromId": last + 1})[1] == []


def test_rest_rows_have_the_fields_of_the_documentation(venue: Binance, shared: Path) -> None:
    folder = shared / "data/nautilus-binance"
    for path, name, params in (
        ("trades", "trades_response.json", {"symbol": "BTCUSDT"}),
        ("exchangeInfo", "exchange_info_response.json", {}),
        ("time", "server_time_response.json", {}),
        ("ping", "ping_response.json", {}),
    ):
        theirs, ours = json.loads((folder / name).read_bytes()), asked(venue, f"/api/v3/{path}", params)[1]
        first = (theirs[0], ours[0]) if isinstance(theirs, list) else (theirs, ours)
        assert set(first[1]) <= set(first[0])
    micro = asked(venue, "/api/v3/time", headers={"x-mbx-time-unit": "microsecond"})[1]
    assert micro == {"serverTime": NOW // 1000}


def test_aggregated_trades_are_found_by_id_and_by_time(venue: Binance) -> None:
    whole = asked(venue, "/api/v3/aggTrades", {"symbol": "BTCUSDT", "fromId": 1, "limit": 1000})[1]
    assert [row["a"] for row in whole] == list(range(1, 1001))
    assert [row["f"] for row in whole[1:]] == [row["l"] + 1 for row in whole[:-1]]
    start, end = whole[300]["T"], whole[600]["T"]
    timed = asked(venue, "/api/v3/aggTrades", {"symbol": "BTCUSDT", "startTime": start, "endTime": end, "limit": 1000})[
        1
    ]
    assert timed == [row for row in whole if start <= row["T"] <= end]
    assert asked(venue, "/api/v3/aggTrades", {"symbol": "BTCUSDT", "endTime": end, "limit": 2})[1] == timed[-2:]
    both = asked(venue, "/api/v3/aggTrades", {"symbol": "BTCUSDT", "startTime": start, "fromId": 3})
    assert (both[0], both[1]["code"]) == (400, -1128)


def test_klines_are_regular_and_add_up(venue: Binance) -> None:
    tape = venue.tapes[BTC]
    start = NOW - 30 * MINUTE
    rows = asked(venue, "/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": start // MS})[1]
    assert [len(row) for row in rows] == [12] * len(rows)
    assert [row[0] for row in rows] == list(range(start // MS, NOW // MS, 60_000))[: len(rows)]
    assert all(row[6] == row[0] + 59_999 for row in rows)
    part = tape.rows(tape.at_time(start), tape.end)
    assert sum(row[8] for row in rows) == len(part)
    assert sum(float(row[5]) for row in rows) == pytest.approx(part.qty.sum())
    bought = part.qty[part.side > 0].sum()
    assert sum(float(row[9]) for row in rows) == pytest.approx(bought)


def test_quiet_minutes_have_flat_klines() -> None:
    venue = Binance(tapes(Binance, BTC, rate=0.005))
    rows = asked(venue, "/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1000})[1]
    quiet = [(before, row) for before, row in pairwise(rows) if not row[8]]
    assert quiet
    assert all(row[1:6] == [before[4]] * 4 + ["0.00000000"] for before, row in quiet)


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("trades", {}, -1102),
        ("trades", {"symbol": "NOTHING"}, -1121),
        ("trades", {"symbol": "BTCUSDT", "limit": "x"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
    ],
)
def test_wrong_requests_have_their_codes(venue: Binance, path: str, params: dict[str, str], code: int) -> None:
    status, document, _ = asked(venue, f"/api/v3/{path}", params)
    assert (status, document["code"]) == (400, code)


def test_weight_is_counted_then_refused_then_banned(venue: Binance) -> None:
    def ask(now: int = NOW) -> Response:
        return venue.rest(Request("/api/v3/trades", {"symbol": "BTCUSDT", "limit": "1"}), venue.tapes, now)

    assert [ask().headers["x-mbx-used-weight-1m"] for _ in range(3)] == ["25", "50", "75"]
    statuses = [ask().status for _ in range(400)]
    assert statuses.index(429) == 240 - 3
    assert statuses[-1] == 418
    late = NOW + 50 * SECOND
    assert 1 <= int(ask(late).headers["retry-after"]) <= 120
    assert ask(NOW + MINUTE).status == 200


def test_failures_are_the_venues_own(venue: Binance) -> None:
    for status, code in ((429, -1003), (418, -1003), (503, -1008), (504, -1007), (500, -1000)):
        answer = venue.failure(status)
        assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
        assert ("retry-after" in answer.headers) is (code == -1003)


def test_a_page_without_rows_is_an_empty_list(venue: Binance) -> None:
    empty = {name: tape.without_rows() for name, tape in venue.tapes.items()}
    for path in ("trades", "historicalTrades", "aggTrades", "klines"):
        request = Request(f"/api/v3/{path}", {"symbol": "BTCUSDT", "interval": "1m"})
        assert venue.rest(request, empty, NOW).body == b"[]"
