"""The simulated Kraken against what Kraken sent: the shapes and the rows of its recordings, and its own rules."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.simulator.venues.tools import NOW, opened, read, said, tapes
from tests.simulator.venues.tools import recorded as recorded_tape

from tapeline.clock import HOUR, MINUTE, SECOND
from tapeline.exchanges import kraken, kraken_trades
from tapeline.exchanges.base import Ack, Trade
from tapeline.simulator.tape import Tape
from tapeline.simulator.venue import Close, Request, Response, Session
from tapeline.simulator.venues.kraken import Kraken

PATH = "/v2"
SUBSCRIBE = {
    "method": "subscribe",
    "params": {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": True},
    "req_id": 1,
}


def kraken_tapes(*instruments: str, rate: float = 1.0) -> dict[str, Tape]:
    return tapes(Kraken, *instruments or ("BTC-USD.KRAKEN",), rate=rate)


def called(venue: Kraken, call: str, now: int = NOW, /, **params: str) -> dict[str, Any]:
    response = venue.rest(Request(f"/0/public/{call}", params), venue.tapes, now)
    assert response.status == 200
    found: dict[str, Any] = json.loads(response.body)
    return found


def example(shared: Path, name: str) -> Any:
    return json.loads((shared / "data" / "nautilus-kraken" / name).read_bytes())


@pytest.fixture
def recorded(shared: Path) -> Kraken:
    """Return a Kraken on which truly happened what Kraken recorded."""
    name = "BTC-USDT.KRAKEN"
    return Kraken({name: recorded_tape(shared / "data" / "nautilus-kraken" / "http_trades.json", name)}, limited=False)


def test_rows_are_those_that_kraken_sent(recorded: Kraken, shared: Path) -> None:
    """All but the kind of order, which no tape holds. Numbers are compared as they are written."""
    theirs = example(shared, "http_trades.json")["result"]
    ours = called(recorded, "Trades", pair="XBTUSDT", since="0")["result"]
    assert [[*row[:4], row[5], row[6]] for row in ours["XBTUSDT"]] == [
        [*row[:4], row[5], row[6]] for row in theirs["XBTUSDT"]
    ]
    assert abs(int(ours["last"]) - int(theirs["last"])) < 1000
    names = set(ours) - {"last"}
    assert {type(value) for name in names for value in ours[name][0]} == {type(value) for value in theirs["XBTUSDT"][0]}


def test_pages_follow_each_other_without_hole_or_repeat(recorded: Kraken) -> None:
    """A page may end within one instant: its rest is told to whoever asks from just before."""
    since, ids, result = "0", list[int](), dict[str, Any]()
    for _ in range(20):
        result = called(recorded, "Trades", pair="XBTUSDT", since=since, count="83")["result"]
        rows = result["XBTUSDT"]
        if ids and rows and rows[0][6] != ids[-1] + 1:
            before = str(int(since) - 1)
            rows = called(recorded, "Trades", pair="XBTUSDT", since=before)["result"]["XBTUSDT"]
            rows = [row for row in rows if row[6] > ids[-1]][:83]
        ids += [row[6] for row in rows]
        since = str(recorded.tapes["BTC-USDT.KRAKEN"].rows(len(ids) - 1, len(ids)).ts_event[0])
    assert ids == list(range(10218208, 10219208))
    assert result == {"XBTUSDT": [], "last": since}


def test_since_is_exclusive_and_may_be_given_in_seconds(recorded: Kraken) -> None:
    rows = called(recorded, "Trades", pair="XBTUSDT", since="0")["result"]["XBTUSDT"]
    tape = next(iter(recorded.tapes.values()))
    second = int(tape.whole().ts_event[500])
    told = called(recorded, "Trades", pair="XBTUSDT", since=str(second))["result"]["XBTUSDT"]
    assert told[0][2] > rows[500][2]
    assert told[-1] == rows[-1]
    seconds = called(recorded, "Trades", pair="XBTUSDT", since=str(second // SECOND))["result"]["XBTUSDT"]
    assert seconds[0] == next(row for row in rows if row[2] > second // SECOND)


def test_without_since_the_newest_are_told(recorded: Kraken) -> None:
    rows = called(recorded, "Trades", pair="XBTUSDT", count="3")["result"]["XBTUSDT"]
    assert [row[6] for row in rows] == [10219205, 10219206, 10219207]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({}, "EGeneral:Invalid arguments"),
        ({"pair": "XBTUSD", "since": "yesterday"}, "EGeneral:Invalid arguments"),
        ({"pair": "XBTUSD", "count": "1001"}, "EGeneral:Invalid arguments:count"),
        ({"pair": "FOOUSD"}, "EQuery:Unknown asset pair"),
    ],
)
def test_errors_come_inside_status_200(params: dict[str, str], error: str) -> None:
    assert called(Kraken(kraken_tapes()), "Trades", **params) == {"error": [error]}


@pytest.mark.parametrize("pair", ["XBTUSD", "XXBTZUSD", "XBT/USD"])
def test_a_pair_has_three_names_and_is_told_under_the_full_one(pair: str) -> None:
    assert set(called(Kraken(kraken_tapes()), "Trades", pair=pair)["result"]) == {"XXBTZUSD", "last"}


def test_candles_have_the_shape_that_kraken_sent(shared: Path) -> None:
    theirs = example(shared, "http_ohlc.json")["result"]
    ours = called(Kraken(kraken_tapes()), "OHLC", pair="XBTUSD")["result"]
    (pair,) = set(theirs) - {"last"}
    assert [type(value) for value in ours["XXBTZUSD"][0]] == [type(value) for value in theirs[pair][0]]
    assert type(ours["last"]) is type(theirs["last"])


def test_candles_have_no_hole_and_end_with_the_running_one() -> None:
    venue, now = Kraken(kraken_tapes(rate=0.01)), NOW + 5 * MINUTE
    told = called(venue, "OHLC", now, pair="XBTUSD")["result"]
    rows = told["XXBTZUSD"]
    assert [row[0] for row in rows] == list(range(rows[0][0], now // SECOND + 1, 60))
    assert told["last"] == rows[-2][0]
    quiet = [(before, row) for before, row in pairwise(rows) if not row[7]]
    assert len(quiet) > 10
    assert all(row[1:5] == [before[4]] * 4 and float(row[5]) == float(row[6]) == 0 for before, row in quiet)
    assert sum(row[7] for row in rows) == len(venue.tapes["BTC-USD.KRAKEN"].whole())
    since = called(venue, "OHLC", now, pair="XBTUSD", since=str(rows[-4][0]))["result"]["XXBTZUSD"]
    assert since == rows[-3:]
    assert called(venue, "OHLC", now, pair="XBTUSD", interval="7") == {"error": ["EGeneral:Invalid arguments:interval"]}


def test_no_more_than_720_closed_candles_are_told() -> None:
    long = tapes(Kraken, "BTC-USD.KRAKEN", rate=0.05, history=13 * HOUR)
    assert len(called(Kraken(long), "OHLC", NOW, pair="XBTUSD")["result"]["XXBTZUSD"]) == 721


def test_calls_over_the_limit_are_refused_for_the_pair_alone_until_time_has_passed() -> None:
    venue = Kraken(kraken_tapes("BTC-USD.KRAKEN", "ETH-USD.KRAKEN"))
    answers = [called(venue, "Trades", pair="XBTUSD", count="1") for _ in range(20)]
    assert [bool(one["error"]) for one in answers] == [False] * 15 + [True] * 5
    assert answers[-1] == {"error": ["EAPI:Rate limit exceeded"]}
    assert not called(venue, "Trades", pair="ETHUSD")["error"]
    assert not called(venue, "Trades", NOW + SECOND, pair="XBTUSD")["error"]
    assert called(venue, "Trades", NOW + SECOND, pair="XBTUSD")["error"]


def test_other_calls_have_the_shapes_of_the_recordings(shared: Path) -> None:
    venue = Kraken(kraken_tapes())
    pair, theirs = called(venue, "AssetPairs")["result"]["XXBTZUSD"], example(shared, "http_asset_pairs.json")
    example_pair = next(iter(theirs["result"].values()))
    assert set(pair) <= set(example_pair)
    assert {name: type(value) for name, value in pair.items()} == {name: type(example_pair[name]) for name in pair}
    assert (pair["altname"], pair["wsname"], pair["base"], pair["quote"]) == ("XBTUSD", "XBT/USD", "XXBT", "ZUSD")
    assert set(called(venue, "SystemStatus")["result"]) == set(example(shared, "http_system_status.json")["result"])
    time = called(venue, "Time", 1762820224 * SECOND)["result"]
    assert time == example(shared, "http_server_time.json")["result"]
    assert called(venue, "Assets")["result"]["XXBT"]["altname"] == "XBT"


def test_messages_have_the_shapes_of_the_recordings(shared: Path) -> None:
    session = opened(Kraken(kraken_tapes()), PATH)
    ack, snapshot = said(session, SUBSCRIBE)
    assert list(ack) == list(example(shared, "ws_subscribe_response.json"))
    update = example(shared, "ws_trade_update.json")
    assert list(snapshot) == list(update)
    assert list(snapshot["data"][0]) == list(update["data"][0])
    assert list(said(session, {"method": "ping", "req_id": 42})[0]) == list(example(shared, "ws_pong.json"))


def test_what_is_told_is_what_happened_and_reads_as_from_kraken() -> None:
    held = kraken_tapes(rate=3.0)
    tape = held["BTC-USD.KRAKEN"]
    session = opened(Kraken(held), PATH)
    session.received(json.dumps(SUBSCRIBE).encode(), NOW)
    events = kraken.parse_message(session.trades(tape.whole(), NOW)[0], 0)
    trades = [event.raw for event in events if isinstance(event, Trade)]
    truth = tape.whole()
    assert [one.trade_id for one in trades] == truth.trade_id.tolist()
    assert [one.ts_event for one in trades] == truth.ts_event.tolist()
    assert [float(one.price) for one in trades] == truth.price.tolist()
    assert [float(one.qty) for one in trades] == truth.qty.tolist()
    assert [one.side for one in trades] == truth.side.tolist()
    response = Kraken(held).rest(Request("/0/public/Trades", {"pair": "XBTUSD", "since": "0"}), held, NOW)
    history = kraken_trades.parse_history(response.body)
    assert [float(one.price) for one in history.trades] == truth.price[:1000].tolist()
    assert [one[1:3] + one[5:] for one in history.trades] == [one[1:3] + one[5:] for one in trades[:1000]]


def test_each_symbol_is_answered_by_itself() -> None:
    session = opened(Kraken(kraken_tapes("BTC-USD.KRAKEN", "ETH-USD.KRAKEN")), PATH)
    params = {"channel": "trade", "symbol": ["BTC/USD", "FOO/USD", "ETH/USD"]}
    answers = said(session, {"method": "subscribe", "params": params})
    events = [kraken.parse_message(json.dumps(one).encode(), 0)[0] for one in answers]
    assert [(one.symbols, one.accepted) for one in events if isinstance(one, Ack)] == [
        (("BTC/USD",), True),
        (("FOO/USD",), False),
        (("ETH/USD",), True),
    ]
    assert session.instruments == {"BTC-USD.KRAKEN", "ETH-USD.KRAKEN"}
    again, gone = said(session, SUBSCRIBE), said(session, SUBSCRIBE | {"method": "unsubscribe"})
    assert again[0]["error"] == "Already subscribed"
    assert gone[0]["success"] is True
    assert session.instruments == {"ETH-USD.KRAKEN"}
    assert said(session, SUBSCRIBE | {"method": "unsubscribe"})[0]["success"] is False


def test_the_snapshot_is_the_last_fifty_and_only_where_called() -> None:
    held = kraken_tapes()
    session = opened(Kraken(held), PATH)
    snapshot = said(session, SUBSCRIBE)[1]
    assert snapshot["type"] == "snapshot"
    assert [one["trade_id"] for one in snapshot["data"]] == held["BTC-USD.KRAKEN"].newest(50).trade_id.tolist()
    plain = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}}
    assert len(said(opened(Kraken(held), PATH), plain)) == 1


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b'{"method":1}', b'{"method":"subscribe","params":[]}', b"{"])
def test_nonsense_is_answered_and_changes_nothing(raw: bytes) -> None:
    session = opened(Kraken(kraken_tapes()), PATH)
    assert read(session.received(raw, NOW))[0]["success"] is False
    assert session.instruments == set()


def test_other_channels_are_refused() -> None:
    session = opened(Kraken(kraken_tapes()), PATH)
    answer = said(session, {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"]}, "req_id": 3})
    assert (answer[0]["success"], answer[0]["req_id"]) == (False, 3)


def test_heartbeats_come_only_in_silence_and_only_after_a_subscription() -> None:
    held = kraken_tapes()
    session = opened(Kraken(held), PATH)
    assert session.tick(NOW + 10 * SECOND) == []
    session.received(json.dumps(SUBSCRIBE).encode(), NOW)
    assert session.tick(NOW + SECOND - 1) == []
    assert session.tick(NOW + SECOND) == [b'{"channel":"heartbeat"}']
    session.trades(held["BTC-USD.KRAKEN"].newest(1), NOW + SECOND + 1)
    assert session.tick(NOW + 2 * SECOND) == []


def test_who_asks_for_nothing_is_closed_after_a_minute() -> None:
    session = opened(Kraken(kraken_tapes()), PATH)
    assert session.tick(NOW + MINUTE) == []
    assert session.tick(NOW + MINUTE + 1) == [Close(1000, "idle")]


def test_connecting_too_often_is_refused_until_ten_minutes_have_passed() -> None:
    venue = Kraken(kraken_tapes())
    assert all(isinstance(venue.open(Request(PATH), at, NOW + at), Session) for at in range(150))
    refused = venue.open(Request(PATH), 151, NOW + SECOND)
    assert isinstance(refused, Response)
    assert refused.status == 429
    assert isinstance(venue.open(Request(PATH), 152, NOW + 10 * MINUTE), Session)


def test_it_says_its_status_first_and_last() -> None:
    session = opened(Kraken(kraken_tapes()), PATH)
    first, *rest = session.connected(NOW)
    assert isinstance(first, bytes)
    assert json.loads(first)["data"][0]["system"] == "online"
    assert rest == []
    bye, close = session.goodbye(NOW)
    assert isinstance(bye, bytes)
    assert json.loads(bye)["data"][0]["system"] == "maintenance"
    assert close == Close(1006, after=SECOND)


def test_a_symbol_may_be_refused_as_a_fault() -> None:
    session = opened(
        Kraken(kraken_tapes(), hit=lambda fault, subject: (fault, subject) == ("refuse-symbol", "BTC/USD")), PATH
    )
    assert said(session, SUBSCRIBE)[0]["success"] is False
