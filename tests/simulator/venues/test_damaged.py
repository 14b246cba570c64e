"""Every venue's messages can be damaged in every way, and our parsers take it for bad input, never for a crash."""

from __future__ import annotations

import pytest
from tests.simulator.venues.tools import NOW, opened, tapes

from tapeline.errors import MalformedMessage
from tapeline.exchanges.base import Ack, Exchange, Feed, Ignored, Trade, exchanges
from tapeline.simulator.damage import MessageDamage
from tapeline.simulator.faults import FAULTS, Faults, Per
from tapeline.simulator.venue import find_venue, venue_names

FEEDS = [(name, feed) for name in venue_names() for feed in find_venue(name).paths]


def told(name: str, feed_name: str) -> tuple[Exchange, list[bytes]]:
    """Return the exchange, and messages of a feed of the simulated venue."""
    kind, exchange = find_venue(name), exchanges()[name.upper()]
    instruments = [one for one in kind.instruments if feed_name != "crypto" or "-" in one][:2]
    venue = kind(tapes(kind, *instruments), limited=False)
    feed: Feed = next(one for one in exchange.feeds if one.name == feed_name)
    session = opened(venue, kind.paths[feed_name])
    for raw in ([feed.login("key")] if feed.login else []) + feed.subscribe(instruments):
        session.received(raw, NOW)
    messages: list[bytes] = []
    for instrument in sorted(session.instruments):
        messages += session.trades(venue.tapes[instrument].newest(20), NOW)
    messages += [out for out in session.tick(NOW + 10**9) if isinstance(out, bytes)]
    return exchange, messages


def number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def trades_of(exchange: Exchange, raw: bytes) -> list[tuple[object, ...]]:
    """Return the trades of a message with their numbers as numbers: what was not damaged may be written otherwise."""
    events = exchange.parse(raw, 0)
    assert all(isinstance(event, Trade | Ack | Ignored) for event in events)
    raws = [event.raw for event in events if isinstance(event, Trade)]
    return [(*one[:3], number(one.price), number(one.qty), *one[5:]) for one in raws]


@pytest.mark.parametrize(("name", "feed"), FEEDS)
@pytest.mark.parametrize("fault", [name for name, (per, _) in FAULTS.items() if per is Per.MESSAGE])
def test_damage_is_bad_input_and_nothing_worse(name: str, feed: str, fault: str) -> None:
    exchange, messages = told(name, feed)
    damage = MessageDamage(Faults({fault: 1.0}), 1, find_venue(name).fields)
    with_trades = [raw for raw in messages if trades_of(exchange, raw)]
    assert with_trades
    for raw in with_trades:
        damaged = damage.message(raw, NOW)
        assert damaged != raw
        try:
            trades = trades_of(exchange, damaged)
        except MalformedMessage:
            assert fault != "unknown-fields"
            continue
        assert (trades == trades_of(exchange, raw)) is (fault == "unknown-fields")
