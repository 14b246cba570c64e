"""All exchanges keep the contract, and the suite that says so can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tapeline.errors import MalformedMessage
from tapeline.exchanges.base import Event, Exchange, Page, Rate, RawTrade, Request, Span, Trade, Walk, exchanges
from tapeline.testing import exchange_feeds
from tapeline.testing import exchanges as suite

MESSAGES = Path(__file__).parents[1] / "data"


class TestExchanges(suite.ExchangeSuite):
    messages = MESSAGES


def found(exchange: Exchange) -> dict[str, list[str]]:
    messages = suite.recorded(MESSAGES, exchanges()["KRAKEN"])
    return {check.__name__: problems for check in suite.CHECKS if (problems := check(exchange, messages))}


def test_the_venues_are_found() -> None:
    ours = {"BINANCE": True, "COINBASE": True, "KRAKEN": True, "MASSIVE": False}
    found = {name: one.contiguous for name, one in exchanges().items()}
    assert ours.items() <= found.items()
    assert list(found) == sorted(found)


def test_a_sound_exchange_has_no_faults() -> None:
    assert found(exchanges()["KRAKEN"]) == {}


def test_planted_faults_are_named() -> None:
    kraken = exchanges()["KRAKEN"]
    calls: list[bytes] = []

    def late(raw: bytes, ts_init: int) -> list[Event]:
        return kraken.parse(raw, ts_init + 1)

    def remembers(raw: bytes, ts_init: int) -> list[Event]:
        calls.append(raw)
        return kraken.parse(raw, ts_init + len(calls))

    def strict(raw: bytes, ts_init: int) -> list[Event]:
        if b"unknown" in raw:
            raise MalformedMessage("message", "has an unknown field", raw=raw)
        return kraken.parse(raw, ts_init)

    def newest_first(raw: bytes, ts_init: int) -> list[Event]:
        events = kraken.parse(raw, ts_init)
        trades = [one for one in events if isinstance(one, Trade)]
        return [*events, *(one._replace(raw=one.raw._replace(ts_event=1)) for one in trades)]

    assert "ts_init is not the one given" in found(replace(kraken, parse=late))["check_trades"][0]
    assert "check_repeatable" in found(replace(kraken, parse=remembers))
    assert "unknown field is refused" in found(replace(kraken, parse=strict))["check_unknown_fields"][0]
    assert "not oldest first" in found(replace(kraken, parse=newest_first))["check_trades"][0]
    assert "leads to None" in found(replace(kraken, instrument=lambda symbol: None))["check_names"][0]
    assert "no message gives" in suite.check_known(kraken, [])[0]
    assert "is of no known kind" in suite.check_known(kraken, [b'{"channel":"new"}'])[0]


def found_live(exchange: Exchange) -> str:
    bodies = suite.recorded(MESSAGES, exchanges()["KRAKEN"], "rest.jsonl")
    return "; ".join(problem for check in exchange_feeds.CHECKS for problem in check(exchange, bodies))


def for_ever(instrument: str, span: Span) -> Walk:
    while True:
        yield Request("/trades", {})


def pages(*ids: int | None, ts_event: int = 0, path: str = "/trades", weight: float = 1) -> Callable[[str, Span], Walk]:
    def walk(instrument: str, span: Span) -> Walk:
        yield Request(path, {"limit": "1"}, weight=weight)
        for one in ids:
            yield Page([RawTrade("A", one, ts_event or span.start, "1", "1", 0)])

    return walk


@pytest.mark.parametrize(
    ("history", "problem"),
    [
        (for_ever, "the walk has not ended after"),
        (pages(7, 7), "ids do not ascend, or come twice"),
        (pages(8, 7), "ids do not ascend, or come twice"),
        (pages(None), "a trade has no id"),
        (pages(9999), "a page holds ids that are not of the span"),
        (pages(7, ts_event=5), "a page holds trades that are not of the span"),
        (pages(path="trades?limit=1"), "a request has the path 'trades?limit=1'"),
        (pages(weight=0), "a request has no weight"),
    ],
)
def test_planted_faults_of_a_walk_are_named(history: Callable[[str, Span], Walk], problem: str) -> None:
    kraken = exchanges()["KRAKEN"]
    assert found_live(kraken) == ""
    assert problem in found_live(replace(kraken, feeds=(replace(kraken.feeds[0], history=history),)))


def test_planted_faults_of_a_feed_and_of_the_answers_are_named() -> None:
    kraken = exchanges()["KRAKEN"]
    feed = kraken.feeds[0]
    limits = replace(feed.limits, requests=Rate(0, 1))
    for changed, problem in [
        (replace(feed, ws_url="ws://ws.kraken.com"), "is not reached over TLS"),
        (replace(feed, limits=limits), "has a limit that lets nothing through"),
        (replace(feed, keepalive=b""), "has a keepalive without its time"),
        (replace(feed, instruments=()), "names no instruments"),
        (replace(feed, instruments=("BTC-USD.SIM",)), "BTC-USD.SIM is not of KRAKEN"),
        (replace(feed, subscribe=lambda names: [b"{}"]), "is not in what is sent"),
    ]:
        assert problem in found_live(replace(kraken, feeds=(changed,)))
    assert "has no feed" in found_live(replace(kraken, feeds=()))
    assert "two feeds are called trade" in found_live(replace(kraken, feeds=(feed, feed)))
    assert "404 b'{}': expected VenueRefused, was None" in found_live(replace(kraken, check=lambda response: None))


@pytest.mark.parametrize("venue", sorted(exchanges()))
def test_messages_of_other_venues_are_malformed_or_hold_no_trades(venue: str) -> None:
    for other in exchanges().values():
        if other.venue != venue:
            for message in suite.recorded(MESSAGES, other):
                try:
                    events = exchanges()[venue].parse(message, 0)
                except MalformedMessage:
                    continue
                assert not any(isinstance(event, Trade) for event in events), message
