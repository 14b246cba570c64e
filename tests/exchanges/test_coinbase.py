from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tapeline.errors import InputError, MalformedMessage
from tapeline.exchanges.base import Ack, Ignored, Trade
from tapeline.exchanges.coinbase import parse_message, subscribe, subscribe_matches
from tapeline.exchanges.coinbase_trades import parse_history

MATCH = {
    "type": "match",
    "trade_id": 280232,
    "side": "sell",
    "size": "985",
    "price": "0.00001305",
    "product_id": "SKL-BTC",
    "sequence": 177100030,
    "time": "2021-04-17T16:43:37.089723Z",
}


def market_trades(*ids: object, **changes: Any) -> bytes:
    row = {"product_id": "BTC-USD", "price": "1.5", "size": "2", "side": "BUY", "time": "2025-11-10T17:23:54.2Z"}
    events = [{"type": "update", "trades": [{**row, "trade_id": one, **changes} for one in ids]}]
    return json.dumps({"channel": "market_trades", "sequence_num": 9, "events": events}).encode()


def trades(data: bytes) -> list[Trade]:
    return [event for event in parse_message(data, 5) if isinstance(event, Trade)]


def test_market_trades_come_oldest_first_with_their_sequence() -> None:
    found = trades(market_trades("43", "42"))
    assert [one.raw.trade_id for one in found] == [42, 43]
    assert found[0] == (
        "BTC-USD.COINBASE",
        ("BTC-USD", 42, 1762795434200000000, "1.5", "2", -1, 1),
        5,
        "trade",
        False,
        9,
    )


@pytest.mark.parametrize(("said", "side"), [("BUY", -1), ("SELL", 1)])
def test_market_trades_name_the_maker_s_side(said: str, side: int) -> None:
    assert trades(market_trades("1", side=said))[0].raw.side == side


def test_who_traded_at_a_recorded_best_ask_bought(shared: Path) -> None:
    body = (shared / "data/nautilus-coinbase/http_ticker.json").read_bytes()
    book = json.loads(body)
    taken = {book["best_bid"]: -1, book["best_ask"]: 1}
    found = [(one.side, taken[one.price]) for one in parse_history(body, "BTC-USD").trades if one.price in taken]
    assert found == [(1, 1), (1, 1)]


def test_a_match_names_the_maker_s_side() -> None:
    (found,) = trades(json.dumps(MATCH).encode())
    assert found.raw == ("SKL-BTC", 280232, 1618677817089723000, "0.00001305", "985", 1, 1)
    assert not found.snapshot
    assert trades(json.dumps({**MATCH, "type": "last_match"}).encode())[0].snapshot


def test_the_recorded_sides_are_opposite_to_those_of_the_ticker(shared: Path) -> None:
    lines = (shared / "data/cryptofeed/COINBASE_EXCHANGE.ws.28.part-A.txt").read_bytes().splitlines()
    messages = [line.partition(b": ")[2] for line in lines if b'"ticker"' in line or b'match"' in line]
    rows = [json.loads(message) for message in messages if message]
    taker = {(row["product_id"], row["trade_id"]): row["side"] for row in rows if row["type"] == "ticker"}
    sides = {"buy": 1, "sell": -1}
    compared = 0
    for message in messages:
        for one in trades(message) if b'"match"' in message else []:
            told = taker.get((one.raw.symbol, one.raw.trade_id))
            if told:
                compared += 1
                assert one.raw.side == sides[told]
    assert compared == 80


@pytest.mark.parametrize("changes", [{"side": "x"}, {"price": 1.5}, {"time": "soon"}, {"product_id": "BTCUSD"}])
def test_a_field_that_is_wrong_refuses_the_message(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        parse_message(market_trades("1", **changes), 5)


@pytest.mark.parametrize("number", ["x", "-1", "²", "", str(2**63), None, [1]])
def test_an_id_must_be_a_number(number: object) -> None:
    with pytest.raises(MalformedMessage):
        parse_message(market_trades(number), 5)


def test_answers_and_other_kinds() -> None:
    acks = b'{"channel":"subscriptions","sequence_num":1,"events":[{"subscriptions":{"market_trades":["BTC-USD"]}}]}'
    assert parse_message(acks, 5) == [Ack("subscribe", "market_trades", ("BTC-USD",), sequence=1)]
    assert parse_message(b'{"type":"subscriptions","channels":[{"name":"matches","product_ids":["A-B"]}]}', 5) == [
        Ack("subscribe", "matches", ("A-B",))
    ]
    assert parse_message(b'{"type":"error","message":"no","reason":"why"}', 5) == [
        Ack("subscribe", accepted=False, reason="no: why")
    ]
    assert parse_message(b'{"channel":"l2_data","sequence_num":7,"events":[]}', 5) == [Ignored("l2_data", 7)]
    assert parse_message(b'{"type":"heartbeat","sequence":90}', 5) == [Ignored("heartbeat")]


def test_subscribing() -> None:
    asked = [json.loads(one) for one in subscribe(["BTC-USD.COINBASE"])]
    assert [one["channel"] for one in asked] == ["heartbeats", "market_trades"]
    assert json.loads(subscribe_matches(["BTC-USD.COINBASE"])[0])["channels"] == ["matches", "heartbeat"]


def test_bodies() -> None:
    row = {key: MATCH[key] for key in ("trade_id", "side", "size", "price", "time")}
    history = parse_history(
        json.dumps([{**row, "trade_id": 2}, {"trade_id": 5}, {**row, "trade_id": 1}]).encode(), "A-B"
    )
    assert [(one.symbol, one.trade_id, one.side) for one in history.trades] == [("A-B", 1, 1), ("A-B", 2, 1)]
    assert (history.next, len(history.bad)) == ("1", 1)
    with pytest.raises(InputError, match="NotFound"):
        parse_history(b'{"message":"NotFound"}', "A-B")
    with pytest.raises(MalformedMessage):
        parse_history(b"{}", "A-B")
