from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.errors import InputError, MalformedMessage, UsageError
from tapeline.exchanges.base import Ack, Ignored, Trade
from tapeline.exchanges.kraken import instrument, parse_message, subscribe, symbol
from tapeline.exchanges.kraken_trades import parse_history

ROW = '["105433.60000","0.00027625",1762795433.9717445,"b","l","",10218208]'


def body(*rows: str) -> bytes:
    return f'{{"error":[],"result":{{"XXBTZUSD":[{",".join(rows)}],"last":"1762820035982277754"}}}}'.encode()


def test_a_row_of_today() -> None:
    history = parse_history(body(ROW))
    assert history.trades == [("XXBTZUSD", 10218208, 1762795433971744500, "105433.60000", "0.00027625", 1, 1)]
    assert (history.bad, history.next) == ([], "1762820035982277754")


def test_an_older_row_has_no_id() -> None:
    assert parse_history(body(ROW.replace(",10218208", ""))).trades[0].trade_id is None


@pytest.mark.parametrize(
    "row",
    [
        '["1","2"]',
        '[1,"2",1762795433,"b","l",""]',
        '["1","2",1762795433,"x","l",""]',
        '["1","2","soon","b","l",""]',
        '["1","2",1762795433,"b","l","",-1]',
        '["1","2",1762795433,"b","l","",9223372036854775808]',
        "{}",
    ],
)
def test_a_bad_row_is_kept_and_the_others_are_read(row: str) -> None:
    history = parse_history(body(ROW, row, ROW))
    assert len(history.trades) == 2
    assert [error.raw for error in history.bad] == [row.encode()]


def test_an_answer_with_an_error_is_told_in_the_venue_s_words() -> None:
    with pytest.raises(InputError, match="EAPI:Rate limit exceeded"):
        parse_history(b'{"error":["EAPI:Rate limit exceeded"]}')


KEYS = st.sampled_from(["error", "result"])


@given(st.binary(max_size=200) | st.dictionaries(KEYS, st.lists(st.integers())).map(lambda it: json.dumps(it).encode()))
def test_arbitrary_bytes_raise_only_input_errors(data: bytes) -> None:
    with suppress(InputError):
        parse_history(data)


def test_the_recorded_bodies(shared: Path) -> None:
    history = parse_history((shared / "data/nautilus-kraken/http_trades.json").read_bytes())
    assert len(history.trades) == 1000
    assert [trade.trade_id for trade in history.trades] == list(range(10218208, 10219208))
    assert history.next == "1762820035982277754"
    assert history.trades[-1].ts_event == 1762820035982277900
    old = parse_history((shared / "data/xchange/kraken_trades_old_6field.json").read_bytes())
    assert {trade.trade_id for trade in old.trades} == {None}


@pytest.mark.parametrize(
    ("pair", "name"),
    [
        ("XXBTZUSD", "BTC-USD.KRAKEN"),
        ("XBTUSDT", "BTC-USDT.KRAKEN"),
        ("XETHXXBT", "ETH-BTC.KRAKEN"),
        ("USDTZUSD", "USDT-USD.KRAKEN"),
        ("XDGUSD", "DOGE-USD.KRAKEN"),
        ("SOLEUR", "SOL-EUR.KRAKEN"),
        ("XBT/USD", "BTC-USD.KRAKEN"),
        ("NONSENSE", None),
    ],
)
def test_instruments(pair: str, name: str | None) -> None:
    assert instrument(pair) == name


TRADE = (
    '{"symbol":"BTC/USD","side":"sell","price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":10218208,'
    '"timestamp":"2023-10-06T17:35:55.440295Z"}'
)


def message(*trades: str, kind: str = "update") -> bytes:
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(trades)}]}}'.encode()


def test_a_trade_of_v2_keeps_its_digits() -> None:
    (event,) = parse_message(message(TRADE), 5)
    raw = ("BTC/USD", 10218208, 1696613755440295000, "105944.20", "0.00027625", -1, 1)
    assert event == Trade("BTC-USD.KRAKEN", raw, 5)  # type: ignore[arg-type]


def test_a_snapshot_says_so_and_may_be_empty() -> None:
    (event,) = parse_message(message(TRADE, kind="snapshot"), 5)
    assert isinstance(event, Trade)
    assert event.snapshot
    assert parse_message(message(kind="snapshot"), 5) == []


def test_a_trade_of_v1_has_no_id() -> None:
    data = b'[993,[["354.11000000","0.89594024","1618678142.557535","s","l",""]],"trade","XBT/USD"]'
    (event,) = parse_message(data, 5)
    raw = ("XBT/USD", None, 1618678142557535000, "354.11000000", "0.89594024", -1, 1)
    assert event == Trade("BTC-USD.KRAKEN", raw, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("105944.20", '"soon"'),
        ("105944.20", "null"),
        ("0.00027625", "[1]"),
        ('"sell"', '"short"'),
        ("10218208", "-1"),
        ("10218208", "9223372036854775808"),
        ("10218208", "null"),
        ("2023-10-06T", "2023-13-06T"),
        ("55.440295Z", "55.440295+02:00"),
        ("BTC/USD", "BTC/U SD"),
        ("105944.20", "NaN"),
    ],
)
def test_a_field_that_is_wrong_refuses_the_message(old: str, new: str) -> None:
    data = message(TRADE, TRADE.replace(old, new))
    with pytest.raises(MalformedMessage) as caught:
        parse_message(data, 5)
    assert caught.value.raw == data


def test_answers_are_told_for_each_symbol() -> None:
    accepted = b'{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true,"req_id":1}'
    refused = b'{"error":"Currency pair not supported A/B","method":"subscribe","success":false,"symbol":"A/B"}'
    old = b'{"errorMessage":"No","event":"subscriptionStatus","pair":"A/B","status":"error"}'
    assert parse_message(accepted, 5) == [Ack("subscribe", "trade", ("BTC/USD",))]
    assert parse_message(refused, 5) == [Ack("subscribe", "", ("A/B",), False, "Currency pair not supported A/B")]
    assert parse_message(old, 5) == [Ack("subscribe", "", ("A/B",), False, "No")]


@pytest.mark.parametrize("kind", ["heartbeat", "status", "ohlc", "book", "ticker"])
def test_other_channels_are_named(kind: str) -> None:
    assert parse_message(f'{{"channel":"{kind}","type":"update","data":[]}}'.encode(), 5) == [Ignored(kind)]


def test_subscribing() -> None:
    assert json.loads(subscribe(["BTC-USD.KRAKEN", "DOGE-EUR.KRAKEN"])[0])["params"] == {
        "channel": "trade",
        "symbol": ["BTC/USD", "DOGE/EUR"],
        "snapshot": True,
    }
    with pytest.raises(UsageError, match="is no pair"):
        symbol("SPY.KRAKEN")
