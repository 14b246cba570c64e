"""Each simulated venue through the same ingest: what is kept is what truly happened, in content too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.ingest.fakes import BOUNDS, FREE, FakeKraken, MemorySink, until

from tapeline.clock import SECOND, SystemClock
from tapeline.config import load_settings
from tapeline.errors import UnknownName, UsageError
from tapeline.exchanges.base import Limits, exchanges
from tapeline.ingest.base import Place, State
from tapeline.ingest.places import followed, place_of
from tapeline.ingest.venues import Ingest
from tapeline.simulator.faults import Faults
from tapeline.simulator.server import Server, serve

SNAPSHOT = 50
"""So many past trades Kraken tells by itself."""
PAIR = {"kraken": "BTC-USD", "coinbase": "BTC-USD", "binance": "BTC-USDT", "massive": "BTC-USD"}


def _place(server: Server, venue: str) -> Place:
    names = {f"{venue}_url": server.rest_url}
    if venue == "massive":
        names |= {"massive_key": "secret", "massive_feed": "crypto"}
    place = place_of(venue.upper(), load_settings(**names))
    return replace(place, feed=replace(place.feed, limits=Limits(FREE, FREE, FREE)))


@asynccontextmanager
async def _followed(server: Server, venue: str, sink: MemorySink) -> AsyncIterator[Ingest]:
    place = _place(server, venue)
    sink.contiguous = place.feed.contiguous
    bounds = replace(BOUNDS, backfill=10.0, gap_timeout=10.0, settle=0.2)
    ingest = Ingest([(place, [f"{PAIR[venue]}.{venue.upper()}"])], sink, clock=SystemClock(), bounds=bounds)
    task = asyncio.create_task(ingest.run())
    yield ingest
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("venue", ["kraken", "coinbase", "binance"])
async def test_history_live_and_healed_are_the_true_tape(venue: str) -> None:
    sink, faults = MemorySink(), Faults({"drop": 0.1, "malformed": 0.1, "disconnect": 0.5}, seed=3)
    name = f"{PAIR[venue]}.{venue.upper()}"
    async with serve(
        venue, [PAIR[venue]], rate=120, steady=True, history=20 * SECOND, faults=faults, limited=False
    ) as server:
        begun = int(server.truth(name).trade_id[-1])
        async with _followed(server, venue, sink) as ingest:
            await until(lambda: ingest.statuses[0].disconnects >= 2 and len(sink.order.get(name, ())) > 1200)
            true, order = server.truth(name), list(sink.order[name])
    first = order[0]
    assert first < begun - 500, "ten seconds of the past were asked for"
    assert order == list(range(first, first + len(order)))
    rows = zip(*(column.tolist() for column in true.columns()), strict=True)
    content = {number: (stamp, *rest) for number, stamp, _, *rest in rows}
    assert all(sink.kept[name][number] == content[number] for number in order)
    assert ingest.statuses[0].healed >= begun - first - SNAPSHOT
    assert sink.given_up == []


async def test_without_contiguous_ids_nothing_is_lost_over_reconnects() -> None:
    sink, faults = MemorySink(), Faults({"disconnect": 0.7}, seed=3)
    name = "BTC-USD.MASSIVE"
    async with (
        serve(
            "massive", ["BTC-USD"], rate=120, steady=True, history=20 * SECOND, faults=faults, limited=False
        ) as server,
        _followed(server, "massive", sink) as ingest,
    ):
        await until(lambda: ingest.statuses[0].disconnects >= 2 and len(sink.order.get(name, ())) > 600)
        true = server.truth(name)
    stamps = sorted(row[0] // 1_000_000 for row in sink.kept[name].values() if isinstance(row[0], int))
    expected = [stamp // 1_000_000 for stamp in true.ts_event.tolist()]
    newest = max(number for number, stamp in enumerate(expected) if stamp <= stamps[-1])
    assert len(stamps) > 600
    assert stamps[:-100] == expected[newest + 1 - len(stamps) :][: len(stamps) - 100]


async def test_a_refused_key_stops_with_the_reason() -> None:
    sink = MemorySink()
    async with (
        serve("massive", ["BTC-USD"], history=SECOND, faults=Faults({"refuse-auth": 1.0}, seed=1)) as server,
        _followed(server, "massive", sink) as ingest,
    ):
        await until(lambda: ingest.over)
    (status,) = ingest.statuses
    assert status.state is State.STOPPED
    assert "the venue refused us" in status.reason
    assert "check the key" in status.reason
    assert "secret" not in status.reason


async def test_a_venue_that_is_down_does_not_stop_another() -> None:
    sink = MemorySink()
    async with FakeKraken().serving() as fake, serve("coinbase", ["BTC-USD"], history=SECOND) as server:
        kraken = place_of("KRAKEN", load_settings(kraken_url=f"https://{fake.url}"))
        coinbase = _place(server, "coinbase")
        both = [(kraken, ["BTC-USD.KRAKEN"]), (coinbase, ["BTC-USD.COINBASE"])]
        ingest = Ingest(both, sink, clock=SystemClock(), bounds=replace(BOUNDS, backfill=1.0))
        task = asyncio.create_task(ingest.run())
        await until(lambda: len(sink.ids("BTC-USD.COINBASE")) > 5)
        await until(lambda: ingest.statuses[0].state is State.WAITING)
        reason = ingest.statuses[0].reason
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "wss://" in reason
    assert "is out of reach" in reason


def test_instruments_are_spread_over_connections() -> None:
    place = place_of("KRAKEN", load_settings())
    few = replace(place, feed=replace(place.feed, max_instruments=2))
    names = [f"C{n}-USD.KRAKEN" for n in range(5)]
    ingest = Ingest([(few, names)], MemorySink(), clock=SystemClock())
    assert [one.instruments for one in ingest.statuses] == [tuple(names[:2]), tuple(names[2:4]), tuple(names[4:])]
    assert [one.connection for one in ingest.statuses] == [1, 2, 3]


def test_an_added_venue_is_reached_where_its_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    foo = replace(exchanges()["KRAKEN"], venue="FOO")
    monkeypatch.setattr("tapeline.ingest.places.exchanges", lambda: {"FOO": foo})
    assert place_of("FOO", load_settings()).rest_url == foo.feeds[0].rest_url
    monkeypatch.setenv("TAPELINE_FOO_URL", "http://127.0.0.1:9")
    assert place_of("FOO", load_settings()).rest_url == "http://127.0.0.1:9"


def test_where_settings_say_that_venues_are() -> None:
    own = place_of("KRAKEN", load_settings())
    assert (own.ws_url, own.rest_url) == ("wss://ws.kraken.com/v2", "https://api.kraken.com")
    moved = place_of("KRAKEN", load_settings(kraken_url="https://h:1/other", kraken_rest_url="http://r"))
    assert (moved.ws_url, moved.rest_url) == ("wss://h:1/other", "http://r")
    simulated = place_of("KRAKEN", load_settings(), simulated=True)
    assert simulated.ours("BTC-USD.KRAKEN") == "BTC-USD.SIM"
    assert simulated.theirs("BTC-USD.SIM") == "BTC-USD.KRAKEN"
    assert followed(load_settings(), ["BTC-USD.SIM"], simulated="KRAKEN") == {"KRAKEN": ["BTC-USD.SIM"]}


@pytest.mark.parametrize(
    ("venue", "settings", "error", "says"),
    [
        ("NOWHERE", {}, UnknownName, "venue NOWHERE: is not known: expected one of BINANCE"),
        ("KRAKEN", {"kraken_feed": "book"}, UnknownName, "settings kraken_feed: is not known: expected one of trade"),
        ("KRAKEN", {"kraken_url": "localhost"}, UsageError, "settings kraken_url: is no address"),
        ("MASSIVE", {}, UsageError, "settings massive_key: is not set"),
    ],
)
def test_settings_that_lead_nowhere(venue: str, settings: dict[str, str], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        place_of(venue, load_settings(**settings))
