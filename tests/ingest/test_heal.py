"""Healing when REST misbehaves, and what becomes of ids that never come."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.ingest.conftest import Running, Start
from tests.ingest.fakes import BOUNDS, BTC, IMPATIENT, NOW, FakeKraken, MemorySink, place, until

from tapeline.clock import HOUR, SECOND
from tapeline.ingest.base import Source
from tapeline.ingest.bounds import Bounds


async def _gap(
    kraken: FakeKraken, sink: MemorySink, start: Start, bounds: Bounds = BOUNDS
) -> tuple[list[int], list[int]]:
    """Let an instrument be live, then lose four trades; return all ids, and the lost ones."""
    running = start(bounds=bounds)
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=3)
    await until(lambda: sink.ids() == ids)
    lost = kraken.trade(count=4)
    return ids + lost, lost


ANSWERS = {
    "429": (429, b"{}"),
    "rate limit inside 200": (200, b'{"error":["EAPI:Rate limit exceeded"]}'),
    "html": (200, b"<html><body>Just a moment...</body></html>"),
    "502": (502, b"Bad Gateway"),
    "truncated": (200, b'{"error":[],"result":{"XBTUSD":[["6000'),
    "zero rows": (200, b'{"error":[],"result":{"XBTUSD":[],"last":"0"}}'),
    "empty": (200, b""),
    "wrong shape": (200, b'{"error":[],"result":{"XBTUSD":[1,2,3],"last":"0"}}'),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_bad_answers_are_asked_again(
    kraken: FakeKraken, sink: MemorySink, start: Start, answer: tuple[int, bytes]
) -> None:
    ids, _ = await _gap(kraken, sink, start)
    left = iter([answer] * 3)
    kraken.rest = lambda path, params: next(left, None)
    ids += await kraken.push()
    await until(lambda: sink.order[BTC] == ids)
    assert sink.given_up == []


async def test_a_gap_that_cannot_be_had_keeps_none_behind_it_waiting(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    """The first of two gaps is asked for in vain, over and over; the other is far enough for a walk of its own."""
    running = start(bounds=replace(BOUNDS, tries=1_000_000))
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=3)
    await until(lambda: sink.ids() == ids)
    refused = True

    def rest(path: str, params: dict[str, str]) -> tuple[int, bytes] | None:
        before_first = int(params["since"]) < NOW - 1800 * SECOND + 104 * 1_000_000
        return (503, b"{}") if refused and before_first else None

    kraken.rest = rest
    first = kraken.trade(count=4)
    between = await kraken.push(count=1500)
    second = kraken.trade(count=4)
    live = await kraken.push()
    await until(lambda: set(second) <= set(sink.ids()))
    assert not set(first) & set(sink.ids())
    refused = False
    await until(lambda: sink.order[BTC] == [*ids, *first, *between, *second, *live])
    assert sink.given_up == []


async def test_a_rest_server_that_never_answers_costs_the_gap(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    ids, lost = await _gap(kraken, sink, start, IMPATIENT)
    kraken.rest = lambda path, params: (503, b"{}")
    live = await kraken.push()
    await until(lambda: sink.given_up)
    assert [(gap.first, gap.last) for gap in sink.given_up] == [(lost[0], lost[-1])]
    assert sink.order[BTC] == [*ids[:3], *live]


async def test_ids_that_the_venue_leaves_out_are_given_up_and_counted(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    running = start(bounds=IMPATIENT)
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=3)
    ids += kraken.trade(count=2, first=110)
    ids += await kraken.push(count=2)
    await until(lambda: sink.given_up)
    assert [(gap.first, gap.last) for gap in sink.given_up] == [(103, 109)]
    assert sink.order[BTC] == ids
    assert running.status.unhealable == 7


async def test_a_refused_request_does_not_stop_the_stream(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    _, lost = await _gap(kraken, sink, start, IMPATIENT)
    kraken.rest = lambda path, params: (200, b'{"error":["EQuery:Unknown asset pair"]}')
    await kraken.push()
    await until(lambda: sink.given_up)
    more = await kraken.push()
    await until(lambda: sink.order[BTC][-1:] == more)
    assert sink.given_up[0].first == lost[0]


async def test_one_false_id_is_set_aside(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=3)
    await until(lambda: sink.ids() == ids)
    await _say_alone(kraken, running, 10**12)
    ids += await kraken.push(count=3)
    await until(lambda: sink.order[BTC] == ids)
    assert [letter.kind for letter in sink.dead] == ["quarantined"]
    assert running.status.notes[BTC] == f"ids went from {ids[2]} to {10**12}"
    assert sink.given_up == []


async def test_ids_that_go_on_from_a_jump_are_believed(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    running = start(bounds=IMPATIENT)
    await until(lambda: running.live.get(BTC))
    before = await kraken.push(count=3)
    after = [10**12 + 1, 10**12 + 2]
    for number in (10**12, *after):
        await _say_alone(kraken, running, number)
    await until(lambda: sink.order.get(BTC, [])[-2:] == after)
    assert sink.order[BTC][:3] == before
    assert sum(gap.last - gap.first + 1 for gap in sink.given_up) > 10**11
    assert running.status.unhealable > 10**11


async def _say_alone(kraken: FakeKraken, running: Running, number: int) -> None:
    heard = running.status.trades
    await kraken.say(kraken.message("BTC/USD", [(number, NOW, "1", "1", 1)]))
    await until(lambda: running.status.trades > heard)


async def test_ids_that_begin_again_are_told(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    kraken.trade(first=10**6)
    running = start()
    await until(lambda: running.live.get(BTC))
    kraken.tape["BTC/USD"] = []
    kraken.trade(first=1, count=5)
    await kraken.tell([1, 2])
    await until(lambda: sink.dead)
    await kraken.tell([3, 4, 5])
    await until(lambda: sink.late.get(BTC) == [3, 4, 5])
    assert [letter.kind for letter in sink.dead] == ["quarantined"] * 2
    assert running.status.notes[BTC] == "ids went from 1000000 to 5"
    assert not running.task.done()


@pytest.mark.parametrize("ahead", [-2 * HOUR, 2 * HOUR])
async def test_a_false_stamp_is_set_aside_and_the_true_one_asked_for(
    kraken: FakeKraken, sink: MemorySink, start: Start, ahead: int
) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=3)
    await until(lambda: sink.ids() == ids)
    ids += kraken.trade()
    number, stamp, *_ = kraken.tape["BTC/USD"][-1]
    await kraken.say(kraken.message("BTC/USD", [(number, stamp + ahead, "60000.5", "0.25", 1)]))
    ids += await kraken.push()
    await until(lambda: sink.order[BTC] == ids)
    assert sink.kept[BTC][number] == (stamp, 60000.5, 0.25, 1, 1)
    assert [letter.reason.split(":")[1] for letter in sink.dead] == [" time"]


async def test_other_content_under_a_known_id_is_passed_on_for_the_store_to_judge(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=3)
    await until(lambda: sink.ids() == ids)
    await kraken.say(kraken.message("BTC/USD", [(ids[1], NOW, "5", "5", 1)]))
    await until(lambda: sink.deliveries[-1].frames[0].price.tolist() == [5.0])
    assert sink.ids() == ids


async def test_without_contiguous_ids_the_past_comes_first(kraken: FakeKraken, start: Start, sink: MemorySink) -> None:
    sink.contiguous = False
    kraken.page = 2
    history = kraken.trade(count=7)
    running = start(at=place(kraken, contiguous=False))
    await until(lambda: running.live.get(BTC))
    arrived = [one for delivery in sink.deliveries for frame in delivery.frames for one in frame.trade_id.tolist()]
    assert sorted(set(arrived)) == history
    assert arrived[: len(history)] == history
    assert sink.deliveries[0].source is Source.BACKFILL


async def test_the_past_of_a_venue_whose_clock_is_ahead_is_whole(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    sink.contiguous, kraken.snapshot = False, 0
    ids = [*kraken.trade(count=2), *kraken.trade(first=1_800_000, count=2)]
    assert [stamp - NOW for _, stamp, *_ in kraken.tape["BTC/USD"][2:]] == [0, 10**6]
    running = start(at=place(kraken, contiguous=False))
    await until(lambda: running.live.get(BTC))
    assert sink.ids() == ids


async def test_a_venue_without_its_past_gives_what_is_live(kraken: FakeKraken, sink: MemorySink, start: Start) -> None:
    history = kraken.trade(count=9)
    at = place(kraken)
    running = start(at=replace(at, feed=replace(at.feed, history=None)), bounds=IMPATIENT)
    ids = [*history[-2:], *await _pushed_when_subscribed(kraken)]
    kraken.trade(count=1)
    ids += await kraken.push()
    await until(lambda: sink.order.get(BTC) == ids)
    assert running.status.unhealable == 1
    assert kraken.asked == []


async def _pushed_when_subscribed(kraken: FakeKraken) -> list[int]:
    await until(lambda: kraken.subscribed.get("BTC/USD"))
    return await kraken.push()


async def test_too_many_live_trades_do_not_wait_for_the_past(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    kraken.trade(count=5)
    kraken.rest = lambda path, params: (503, b"{}")
    running = start(bounds=replace(BOUNDS, held=3, tries=50, backoff=0.02))
    await until(lambda: kraken.subscribed.get("BTC/USD"))
    await kraken.push(count=4)
    await until(sink.ids)
    assert "came first" in running.status.notes[BTC]


async def test_a_venue_that_says_nothing_in_the_middle_is_not_believed_to_have_no_more(
    kraken: FakeKraken, sink: MemorySink, start: Start
) -> None:
    kraken.snapshot, kraken.page = 0, 10
    running = start()
    await until(lambda: running.live.get(BTC))
    ids = await kraken.push(count=2)
    await until(lambda: sink.ids() == ids)
    ids += kraken.trade(count=50)
    answers = iter([None, None, ANSWERS["zero rows"], ANSWERS["zero rows"]])
    kraken.rest = lambda path, params: next(answers, None)
    for socket in kraken.sockets:
        socket.transport.abort()
    await until(lambda: not running.live[BTC])
    await until(lambda: running.live[BTC])
    assert sink.ids() == ids
