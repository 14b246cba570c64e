"""The state machine against a Kraken on loopback: every id is there once, whatever the socket does."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.ingest.conftest import Running, Start
from tests.ingest.fakes import BOUNDS, BTC, ETH, NOW, FakeKraken, MemorySink, place, until

from tapeline.clock import SECOND
from tapeline.exchanges.base import Page, Span, Walk
from tapeline.ingest.base import Source, Standing, State


async def test_from_history_over_the_seam_to_live(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    history = kraken.trade(count=40)
    running = start()
    await until(lambda: running.live.get(BTC) and sink.ids() == history)
    more = await kraken.push(count=3)
    await until(lambda: sink.ids() == history + more)
    assert sink.order[BTC] == history + more
    assert sink.late[BTC] == []
    assert sink.deliveries[0].source is Source.BACKFILL
    await until(lambda: running.status.state is State.LIVE)
    assert (running.status.connects, running.status.malformed) == (1, 0)


async def test_what_a_broken_connection_missed_is_healed(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=5)
    await until(lambda: sink.ids() == ids)
    ids += kraken.trade(count=2500)
    for socket in kraken.sockets:
        socket.transport.abort()
    await until(lambda: sink.ids() == ids)
    assert sink.order[BTC] == ids
    assert running.status.disconnects == 1
    assert running.status.healed >= 2490
    assert sink.given_up == []


async def test_missed_trades_are_healed_though_no_live_one_follows(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    kraken.snapshot = 0
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=2)
    await until(lambda: sink.ids() == ids)
    ids += kraken.trade(count=7)
    for socket in kraken.sockets:
        socket.transport.abort()
    await until(lambda: sink.ids() == ids)
    await until(lambda: running.live[BTC])


async def test_trades_dropped_on_the_way_are_healed(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=3)
    ids += kraken.trade(count=4)
    ids += await kraken.push(count=2)
    await until(lambda: sink.order.get(BTC) == ids)
    assert running.status.connects == 1


async def test_silence_makes_a_connection_stale(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    history = kraken.trade(count=3)
    running = start(silence=0.05)
    await until(lambda: kraken.connects >= 2)
    history += kraken.trade(count=3)
    await until(lambda: sink.ids() == history)
    assert running.status.disconnects >= 1


async def test_one_refused_symbol_leaves_the_others(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    kraken.refuse["ETH/USD"] = "Currency pair not supported ETH/USD"
    running = start(BTC, ETH)
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push()
    await until(lambda: sink.ids() == ids)
    assert running.status.refused == {ETH: "Currency pair not supported ETH/USD"}
    assert not running.live.get(ETH)
    await until(lambda: running.status.state is State.LIVE)


async def test_a_connection_of_refused_symbols_only_stops(kraken: FakeKraken, start: Start) -> None:
    kraken.refuse["BTC/USD"] = "Currency pair not supported BTC/USD"
    running = start()
    await running.task
    assert running.status.state is State.STOPPED
    assert "Currency pair not supported" in running.status.reason
    assert running.ingest.over


async def test_a_symbol_without_an_answer_is_told(kraken: FakeKraken, start: Start) -> None:
    kraken.mute.add("ETH/USD")
    running = start(BTC, ETH, bounds=replace(BOUNDS, answer=0.05))
    await until(lambda: running.status.state in (State.LIVE, State.HEALING))
    assert running.status.refused == {ETH: "no answer in 0.05 s"}


async def test_garbage_is_kept_raw_and_the_stream_goes_on(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    lost = kraken.trade()
    for raw in (b"\xff\xfe\x00", b"{", b"[]", b'{"channel":"trade","type":"update","data":7}', b""):
        await kraken.say(raw)
    await until(lambda: sink.ids() == lost)
    assert running.status.malformed == 5
    assert {letter.raw for letter in sink.dead} >= {b"\xff\xfe\x00", b"{", b""}
    assert running.status.connects == 1
    await until(lambda: running.live[BTC])


async def test_a_flood_of_garbage_is_counted_but_fills_no_disk(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    running = start(bounds=replace(BOUNDS, letters_burst=1000, letters_rate=0.0))
    await until(lambda: running.live.get(BTC))
    for _ in range(50):
        await kraken.say(b"\xff" * 100)
    ids = await kraken.push()
    await until(lambda: sink.ids() == ids)
    assert [len(letter.raw) for letter in sink.dead] == [100] * 10
    assert running.status.malformed == 50
    assert running.status.ignored["deadLetterNotKept"] == 40


async def test_an_old_trade_told_again_ends_no_doubt(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    running = start(BTC, ETH, bounds=replace(BOUNDS, settle=60.0))
    await until(lambda: running.live.get(BTC) and running.live.get(ETH))
    told = await kraken.push() + await kraken.push()
    await until(lambda: sink.ids() == told)
    await kraken.say("{")
    await until(lambda: not running.live[BTC])
    await kraken.tell(told[:1])
    await kraken.push("ETH/USD")
    await until(lambda: running.live[ETH])
    assert not running.live[BTC]
    await kraken.push()
    await until(lambda: running.live[BTC])


@pytest.mark.parametrize("price", ["0", "-1", "1e400", "1e31"])
async def test_bad_numbers_become_dead_letters_and_heal(
    kraken: FakeKraken, sink: MemorySink, start: Start, price: str
) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push()
    ids += kraken.trade(count=2)
    _, (number, stamp, _, qty, side), *rest = kraken.tape["BTC/USD"]
    await kraken.say(kraken.message("BTC/USD", [(number, stamp, price, qty, side), *rest]))
    await until(lambda: sink.ids() == ids)
    assert [letter.reason.split(":")[0] for letter in sink.dead] == ["price"]


async def test_a_huge_message_is_named_and_the_connection_begins_anew(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    running = start(bounds=replace(BOUNDS, message_bytes=10_000))
    await until(lambda: running.live.get(BTC))
    ids = kraken.trade(count=200)
    await kraken.tell(ids)
    await until(lambda: sink.ids() == ids and kraken.connects == 2)
    assert running.status.malformed == 1
    assert "expected at most 10000 bytes" in sink.dead[0].reason


PATIENT = replace(BOUNDS, linger=2.0, settle=2.0)
"""With time for what two sockets say to come in another order, as usual."""
GOODBYE = '{"channel":"status","type":"update","data":[{"system":"maintenance"}]}'


async def _live(kraken: FakeKraken, sink: MemorySink, running: Running) -> list[int]:
    """Wait until trades are live and nothing is fetched any more; return their ids."""
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=3)
    await until(lambda: sink.ids() == ids and running.status.state is State.LIVE)
    kraken.asked.clear()
    return ids


async def test_after_a_goodbye_another_connection_takes_over_and_nothing_is_to_be_healed(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    running = start(silence=600.0, bounds=PATIENT)
    ids = await _live(kraken, sink, running)
    (old,) = kraken.sockets
    await kraken.say(GOODBYE)
    while old in kraken.sockets:
        ids += await kraken.push()
        await kraken.heard()
    for _ in range(5):
        ids += await kraken.push()
        await kraken.heard()
    await until(lambda: sink.order[BTC] == ids)
    assert kraken.connects == running.status.connects == 2
    assert running.live[BTC]
    assert kraken.asked == []
    assert running.status.healed == 0


async def test_a_connection_is_replaced_before_it_becomes_too_old(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    at = place(kraken, silence=600.0)
    running = start(at=replace(at, feed=replace(at.feed, lifetime=0.5)), bounds=PATIENT)
    ids = await _live(kraken, sink, running)
    connects = running.status.connects
    await until(lambda: running.status.connects >= connects + 2 and len(kraken.sockets) == 1)
    ids += await kraken.push()
    await until(lambda: sink.order[BTC] == ids)
    assert kraken.asked == []


async def test_where_no_second_connection_can_be_had_the_first_one_goes_on_to_its_end(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    running = start(silence=600.0)
    ids = await _live(kraken, sink, running)
    kraken.mute.add("BTC/USD")
    await kraken.say(GOODBYE)
    await until(lambda: "closes" in running.status.reason)
    ids += await kraken.push()
    await until(lambda: sink.ids() == ids)
    assert running.status.state is State.LIVE
    ids += kraken.trade(count=3)
    kraken.mute.clear()
    for socket in list(kraken.sockets):
        socket.transport.abort()
    await until(lambda: sink.ids() == ids)
    assert running.status.healed >= 1


async def test_what_is_no_trade_to_us_is_counted_by_kind(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    told_once = iter([Page(ignored={"tradeVolumeOnly": 2})])

    def left_out(instrument: str, span: Span) -> Walk:
        yield from told_once

    at = place(kraken)
    running = start(at=replace(at, feed=replace(at.feed, history=left_out)))
    await until(lambda: running.live.get(BTC))
    for message in ('{"channel":"heartbeat"}', '{"channel":"ticker","data":[]}', '{"channel":"heartbeat"}'):
        await kraken.say(message)
    for _ in range(3):
        await kraken.say(kraken.message("ETH/USD", [(7, NOW, "1", "1", 1)]))
    await until(lambda: running.status.messages >= 7 and sink.dead)
    assert running.status.ignored == {"tradeVolumeOnly": 2, "heartbeat": 2, "ticker": 1, "notAskedFor": 2}
    assert [letter.reason for letter in sink.dead] == [f"{ETH}: was not asked for; more of it is not kept"]


async def test_an_id_that_cannot_be_true_is_set_aside_and_the_true_ones_are_healed(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=3)
    await until(lambda: sink.ids() == ids)
    ids += kraken.trade(count=2)
    await kraken.say(kraken.message("BTC/USD", [(10**15, NOW, "1", "1", 1)]))
    await until(lambda: sink.ids() == ids)
    assert [letter.kind for letter in sink.dead] == ["quarantined"]
    assert "id: expected one that can follow 102" in sink.dead[0].reason
    await until(lambda: running.live[BTC])
    assert running.status.connects == 1, "no silence was needed to see that something is missing"


async def test_while_the_store_is_down_the_venue_is_left_alone(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=2)
    await until(lambda: sink.ids() == ids)
    sink.down = True
    ids += await kraken.push()
    await until(lambda: running.status.state is State.WAITING and "disk full" in running.status.reason)
    await until(lambda: not kraken.sockets)
    connects = kraken.connects
    ids += kraken.trade(count=50)
    refused = sink.refused
    await until(lambda: sink.refused >= refused + 5)
    assert kraken.connects == connects
    sink.down = False
    await until(lambda: sink.ids() == ids)


async def test_a_slow_sink_gets_fewer_larger_deliveries(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push()
    await until(lambda: sink.ids() == ids)
    sink.room.clear()
    before = len(sink.deliveries)
    for _ in range(100):
        ids += await kraken.push()
    await until(lambda: running.status.trades >= 1)
    await kraken.heard()
    sink.room.set()
    await until(lambda: sink.ids() == ids)
    assert len(sink.deliveries) - before < 20


async def test_a_simulated_venue_says_so_on_every_trade(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    history = kraken.trade(count=5)
    running = start("BTC-USD.SIM", at=place(kraken, venue="SIM"))
    await until(lambda: running.live.get("BTC-USD.SIM"))
    assert sink.ids("BTC-USD.SIM") == history
    assert running.status.venue == "SIM"


async def test_skew_is_the_venues_lead(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    stamp = NOW + 30 * SECOND
    kraken.tape["BTC/USD"].append((500, stamp, "1", "1", 1))
    await kraken.tell([500])
    await until(lambda: running.status.skew is not None)
    assert running.status.skew == 30 * SECOND
    assert running.status.last_trade == stamp


async def test_a_venue_out_of_reach_is_tried_again(start: Start, kraken: FakeKraken) -> None:
    nowhere = replace(place(kraken), ws_url="ws://nowhere.invalid/v2", rest_url="http://nowhere.invalid")
    running = start(at=nowhere)
    await until(lambda: running.status.state is State.WAITING)
    assert "out of reach" in running.status.reason
    assert not running.task.done()


async def test_it_ends_when_asked_to_though_its_connection_is_just_breaking(
    kraken: FakeKraken, sink: MemorySink, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push()
    await until(lambda: sink.ids() == ids)
    asked, ending, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def standing(instrument: str) -> Standing:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()
        raise AssertionError

    monkeypatch.setattr(sink, "standing", standing)
    kraken.trade()
    await kraken.push()
    await asked.wait()
    for socket in kraken.sockets:
        socket.transport.abort()
    await ending.wait()
    running.task.cancel()
    connection = next(task for task in asyncio.all_tasks() if task.get_name() == "KRAKEN 1")
    await until(connection.cancelling)
    may_end.set()
    await until(running.task.done)
