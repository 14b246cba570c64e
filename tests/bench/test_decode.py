from __future__ import annotations

import json

import pytest

import decode
from tapeline.exchanges.base import Trade, exchanges


@pytest.mark.parametrize("name", decode.FEEDS)
def test_every_trade_of_a_message_is_decoded_and_judged(name: str) -> None:
    venue, make, size = decode.FEEDS[name]
    exchange = exchanges()[venue]
    messages = [json.dumps(make(at, size)).encode() for at in range(1, 1001, size)]
    found = [event for message in messages for event in exchange.parse(message, 1)]
    assert len(found) == len(messages) * size
    assert all(isinstance(event, Trade) for event in found)
    assert sum(map(len, decode._frames(exchange, messages))) == len(found)


def test_messages_that_give_too_little_stop_the_bench() -> None:
    with pytest.raises(SystemExit, match="KRAKEN: expected 5 trades, was 0"):
        decode._check(exchanges()["KRAKEN"], [b'{"channel":"heartbeat"}'], 5)
