from __future__ import annotations

import gzip
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tapeline.errors import InputError, MalformedMessage
from tapeline.exchanges.base import Ack, Ignored, RawTrade, Trade
from tapeline.exchanges.binance import Event, instrument, parse, parse_message, subscribe
from tapeline.exchanges.binance_trades import parse_history

TRADE: dict[str, Any] = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 7, "p": "61837.63", "q": "0.02", "T": 1723161255342}
AGG: dict[str, Any] = {
    "e": "aggTrade",
    "s": "BTCUSDT",
    "a": 5,
    "p": "1",
    "q": "2",
    "f": 10,
    "l": 12,
    "T": 1723161255342,
}


def frame(fields: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**fields, "m": True, **changes}).encode()


def test_a_trade_bare_and_combined() -> None:
    bare = parse(frame(TRADE, unknown={"new": [1]}))
    assert isinstance(bare, Event)
    assert bare.trade == ("BTCUSDT", 7, 1723161255342000000, "61837.63", "0.02", -1, 1)
    assert parse(b'{"stream":"btcusdt@trade","data":' + frame(TRADE) + b"}") == bare


def test_a_buyer_who_is_maker_means_that_the_taker_sold() -> None:
    sold, bought = parse(frame(TRADE, m=True)), parse(frame(TRADE, m=False))
    assert isinstance(sold, Event)
    assert isinstance(bought, Event)
    assert (sold.trade.side, bought.trade.side) == (-1, 1)


def test_microseconds_are_told_by_their_magnitude() -> None:
    event = parse(frame(TRADE, T=1723161255342001))
    assert isinstance(event, Event)
    assert event.trade.ts_event == 1723161255342001000


def test_an_aggregated_trade_says_for_how_many_it_stands() -> None:
    event = parse(frame(AGG))
    assert isinstance(event, Event)
    assert (event.kind, event.trade.trade_id, event.trade.stands_for) == ("aggTrade", 5, 3)


def test_futures_frames_say_so_and_what_is_no_market_trade_is_named() -> None:
    event = parse(frame(TRADE, X="MARKET"))
    assert isinstance(event, Event)
    assert event.futures
    assert parse(frame(TRADE, X="INSURANCE_FUND")) == "tradeINSURANCEFUND"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"e":"depthUpdate","a":[],"b":[]}', "depthUpdate"),
        (b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT"}}', "bookTicker"),
        (b'{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"1","A":"1"}', "bookTicker"),
        (b'{"stream":"btcusdt@depth5","data":{"lastUpdateId":1}}', "depth5"),
        (b'{"lastUpdateId":1,"bids":[],"asks":[]}', "depthSnapshot"),
        (b'{"result":null,"id":1}', "ack"),
        (b'{"code":2,"msg":"Invalid request"}', "error"),
        (b'{"stream":"!serverShutdown","data":{"e":"serverShutdown"}}', "serverShutdown"),
    ],
)
def test_other_kinds_are_named(data: bytes, name: str) -> None:
    assert parse(data) == name


@pytest.mark.parametrize(
    "changes",
    [{"t": None}, {"t": -1}, {"t": 2**63}, {"t": "7"}, {"t": 7.5}, {"p": 1.5}, {"m": "x"}, {"T": None}, {"s": 5}],
)
def test_a_field_of_the_wrong_type_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage, match="binance frame: cannot be read") as caught:
        parse(frame(TRADE, **changes))
    assert caught.value.raw == frame(TRADE, **changes)


def test_an_aggregate_that_ends_before_it_begins_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="expected l >= f"):
        parse(frame(AGG, l=9))


KEYS = [*"estpqTmafl", "stream", "data", "id"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
def test_arbitrary_bytes_raise_only_malformed_message(data: bytes) -> None:
    with suppress(MalformedMessage):
        assert isinstance(parse(data), Event | str)


def test_every_recorded_frame_parses_or_is_named(shared: Path) -> None:
    path = shared / "data/hftbacktest-binance/spot_btcusdt_20240808.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines()
    found = Counter(event if isinstance(event := parse(line[20:]), str) else event.kind for line in lines)
    assert found == {"trade": 9757, "depthUpdate": 3451, "bookTicker": 28040, "depthSnapshot": 1}


def test_instruments() -> None:
    assert instrument("BTCUSDT") == "BTC-USDT.BINANCE"
    assert instrument("ethusdt", futures=True) == "ETH-USDT-PERP.BINANCE"
    assert instrument("NONSENSE") is None


def test_messages_become_events() -> None:
    raw = RawTrade("BTCUSDT", 7, 1723161255342000000, "61837.63", "0.02", -1)
    assert parse_message(frame(TRADE), 5) == [Trade("BTC-USDT.BINANCE", raw, 5)]
    (aggregated,) = parse_message(frame(AGG), 5)
    assert isinstance(aggregated, Trade)
    assert aggregated.kind == "aggTrade"
    assert parse_message(b'{"result":null,"id":3}', 5) == [Ack("3")]
    assert parse_message(b'{"code":2,"msg":"Invalid request","id":3}', 5) == [
        Ack("3", "", (), False, "Invalid request")
    ]
    assert parse_message(b'{"error":{"code":2,"msg":"no"},"id":3}', 5) == [Ack("3", "", (), False, "no")]
    assert parse_message(b'{"e":"serverShutdown","E":1}', 5) == [Ignored("serverShutdown")]


def test_a_symbol_of_no_known_quote_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="expected a known quote currency, was 'NONSENSE'"):
        parse_message(frame(TRADE, s="NONSENSE"), 5)


def test_subscribing() -> None:
    assert json.loads(subscribe(["BTC-USDT.BINANCE"])[0])["params"] == ["btcusdt@trade"]


REST = {"id": 41, "price": "1.5", "qty": "2", "quoteQty": "3", "time": 1723161255342, "isBuyerMaker": True}


def test_a_body_of_trades() -> None:
    history = parse_history(json.dumps([REST, {**REST, "id": "x"}, {**REST, "id": 42}]).encode(), "BTCUSDT")
    assert history.trades[0] == ("BTCUSDT", 41, 1723161255342000000, "1.5", "2", -1, 1)
    assert (len(history.trades), len(history.bad), history.kind, history.next) == (2, 1, "trade", "43")


def test_a_body_of_aggregated_trades() -> None:
    history = parse_history(json.dumps([{**AGG, "m": False}]).encode(), "BTCUSDT")
    assert history.trades == [("BTCUSDT", 5, 1723161255342000000, "1", "2", 1, 3)]
    assert (history.kind, history.next) == ("aggTrade", "6")


def test_other_bodies_are_refused() -> None:
    with pytest.raises(InputError, match="Too much request weight"):
        parse_history(b'{"code":-1003,"msg":"Too much request weight used"}', "BTCUSDT")
    for body in (b"<html>", b"{}", b"[[1,2]]", b'[{"x":1}]', b"[1]"):
        with pytest.raises(MalformedMessage):
            parse_history(body, "BTCUSDT")
    assert parse_history(b"[]", "BTCUSDT").trades == []
