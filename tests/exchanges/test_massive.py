from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.errors import InputError, MalformedMessage, UsageError
from tapeline.exchanges.base import Ack, Ignored, RawTrade, Trade
from tapeline.exchanges.massive import authenticate, instrument, parse_message, subscribe, symbol
from tapeline.exchanges.massive_trades import parse_history, trade_id

STOCK = {"ev": "T", "sym": "MSFT", "x": 4, "i": "12345", "p": 114.125, "s": 100, "c": [0, 12], "t": 1536036818784}
COIN = {"ev": "XT", "pair": "BTC-USD", "p": 33021.9, "t": 1610462007425, "s": 0.01616617, "c": [2], "i": 14, "x": 3}


def one(fields: dict[str, Any], **changes: Any) -> RawTrade:
    (event,) = parse_message(json.dumps([{**fields, **changes}]).encode(), 5)
    assert isinstance(event, Trade)
    return event.raw


def test_a_stock_and_a_coin() -> None:
    known = trade_id(1536036818784000000, 4, None, "12345")
    assert one(STOCK) == ("MSFT", known, 1536036818784000000, "114.125", "100", 0, 1)
    assert (one(COIN).qty, one(COIN).side, one(COIN, c=[1]).side, one(COIN, c=[]).side) == ("0.01616617", 1, -1, 0)
    assert one(COIN, i=None).trade_id is None


def test_ids_differ_where_the_venue_s_may_be_the_same() -> None:
    base = one(STOCK).trade_id
    assert base == one(STOCK, t=STOCK["t"] + 1, s=7).trade_id  # type: ignore[operator]
    others = [one(STOCK, x=5), one(STOCK, i="12346"), one(STOCK, trfi=1), one(STOCK, t=STOCK["t"] + 86_400_000)]  # type: ignore[operator]
    assert len({base, *(other.trade_id for other in others)}) == 5


def test_the_socket_and_rest_give_one_id(shared: Path) -> None:
    history = parse_history((shared / "data/massive-rest/v3_trades_AAPL_limit=2.json").read_bytes(), "AAPL")
    first = history.trades[0]
    assert (first.price, first.qty, first.ts_event) == ("156.43", "10", 1651181822461979400)
    live = one(STOCK, sym="AAPL", i="183276", x=11, trfi=3, t=1651181822461)
    assert live.trade_id == first.trade_id
    assert len({trade.trade_id for trade in history.trades}) == 2


@pytest.mark.parametrize(
    "changes",
    [
        *({"p": value} for value in ("x", None, True)),
        *({"t": value} for value in (-1, 10**14, "1")),
        *({"sym": value} for value in ("a b", "", None)),
        *({"ev": value} for value in ("ZZ", 1, None)),
        {"s": []},
        {"x": None},
    ],
)
def test_a_field_that_is_wrong_refuses_the_message(changes: dict[str, Any]) -> None:
    data = json.dumps([STOCK, {**STOCK, **changes}]).encode()
    with pytest.raises(MalformedMessage) as caught:
        parse_message(data, 5)
    assert caught.value.raw == data


@pytest.mark.parametrize(
    ("status", "text", "event"),
    [
        ("auth_success", "authenticated", Ack("auth")),
        ("auth_failed", "bad key", Ack("auth", accepted=False, reason="bad key")),
        ("success", "subscribed to: T.AAPL", Ack("subscribe", "T", ("AAPL",))),
        ("success", "unsubscribed to: XT.BTC-USD", Ack("unsubscribe", "XT", ("BTC-USD",))),
        ("error", "not authorized", Ack("", accepted=False, reason="not authorized")),
        ("max_connections", "Maximum exceeded", Ack("auth", accepted=False, reason="Maximum exceeded")),
        ("connected", "Connected Successfully", Ignored("connected")),
    ],
)
def test_status_events(status: str, text: str, event: Ack | Ignored) -> None:
    assert parse_message(json.dumps([{"ev": "status", "status": status, "message": text}]).encode(), 5) == [event]


def test_subscribing() -> None:
    asked = [json.loads(message) for message in (authenticate("K"), *subscribe(["AAPL.MASSIVE", "BTC-USD.MASSIVE"]))]
    assert asked == [{"action": "auth", "params": "K"}, {"action": "subscribe", "params": "T.AAPL,XT.BTC-USD"}]


@given(st.from_regex(r"[A-Z][A-Za-z0-9.:]{0,8}", fullmatch=True))
def test_tickers_round_trip(ticker: str) -> None:
    name = instrument(ticker)
    if name is not None and not ticker.startswith("X:"):
        assert symbol(name) == ticker


def test_names() -> None:
    assert instrument("BRK.B") == "BRK.B.MASSIVE"
    assert instrument("O:SPY251219C00650000") == "O:SPY251219C00650000.MASSIVE"
    assert instrument("a b") is None
    with pytest.raises(UsageError, match="is not of Massive"):
        symbol("BTC-USD.KRAKEN")


def test_other_bodies_are_refused() -> None:
    with pytest.raises(InputError, match="Unknown API Key"):
        parse_history(b'{"status":"ERROR","error":"Unknown API Key"}', "AAPL")
    with pytest.raises(MalformedMessage):
        parse_history(b'{"status":"x"}', "AAPL")
    page = parse_history(b'{"status":"OK","results":[{"price":1}],"next_url":"u"}', "AAPL")
    assert (page.trades, len(page.bad), page.next) == ([], 1, "u")
