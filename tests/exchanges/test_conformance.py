"""All exchanges keep the contract, and the suite that says so can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tapeline.errors import MalformedMessage
from tapeline.exchanges.base import Event, Exchange, Trade, exchanges
from tapeline.testing import exchanges as suite

MESSAGES = Path(__file__).parents[1] / "data"


class TestExchanges(suite.ExchangeSuite):
    messages = MESSAGES


def found(exchange: Exchange) -> dict[str, list[str]]:
    messages = suite.recorded(MESSAGES, exchanges()["KRAKEN"])
    return {check.__name__: problems for check in suite.CHECKS if (problems := check(exchange, messages))}


def test_the_venues_are_found() -> None:
    assert list(exchanges()) == ["BINANCE", "COINBASE", "KRAKEN", "MASSIVE"]
    assert {name for name, one in exchanges().items() if not one.contiguous} == {"MASSIVE"}


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
