"""What waits: in order, bounded, and in little more memory than its trades."""

from __future__ import annotations

import tracemalloc

from tests.ingest.fakes import BTC, ETH, NOW, MemorySink

from tapeline.ingest.base import Delivery, Source
from tapeline.ingest.holding import Holding
from tapeline.types import DeadLetter, Frame


def a_trade(number: int, instrument: str = BTC) -> Frame:
    return Frame.of(instrument, trade_id=[number], ts_event=[NOW + number], price=[10.0 + number], qty=[1.0])


async def test_what_was_held_follows_what_is_older_in_its_order() -> None:
    waiting = Holding(sink := MemorySink(), most=1_000)
    waiting.hold(BTC)
    for number in range(100, 300):
        assert await waiting.take(Delivery((a_trade(number),), received=number)) == []
    assert sink.deliveries == []
    older = Delivery((a_trade(99), a_trade(1, ETH)), source=Source.BACKFILL, received=7)
    await waiting.release(BTC, older)
    (made,) = sink.deliveries
    assert [frame.trade_id.tolist() for frame in made.frames] == [list(range(99, 300))]
    assert made.frames[0].price.tolist() == [10.0 + number for number in range(99, 300)]
    assert (made.source, made.received) == (Source.BACKFILL, 7)
    assert not waiting.holds(BTC)


async def test_what_was_held_is_judged_by_what_is_older() -> None:
    waiting, letter = Holding(sink := MemorySink(), most=1_000), DeadLetter("kraken", "odd", b"{", NOW)
    waiting.hold(BTC)
    await waiting.take(Delivery((a_trade(1),)))
    await waiting.take(Delivery((a_trade(100),)))
    seen = []

    def judge(past: Frame, held: Frame) -> tuple[Frame, list[DeadLetter]]:
        seen.append((past.trade_id.tolist(), held.trade_id.tolist()))
        return held.take(held.trade_id > 1), [letter]

    await waiting.release(BTC, Delivery((a_trade(99),), source=Source.BACKFILL), judge)
    assert seen == [([99], [1, 100])]
    assert [frame.trade_id.tolist() for frame in sink.deliveries[0].frames] == [[99, 100]]
    assert sink.deliveries[0].dead == (letter,)


async def test_what_was_held_passes_alone_where_nothing_is_older() -> None:
    waiting = Holding(sink := MemorySink(), most=1_000)
    waiting.hold(BTC)
    await waiting.take(Delivery((a_trade(1), a_trade(5, ETH)), received=3))
    await waiting.release(BTC)
    await waiting.release(BTC)
    assert [[frame.instrument for frame in one.frames] for one in sink.deliveries] == [[ETH], [BTC]]
    assert sink.deliveries[1].received == 3


async def test_dead_letters_do_not_wait() -> None:
    waiting, letter = Holding(sink := MemorySink(), most=1_000), DeadLetter("kraken", "odd", b"{", NOW)
    waiting.hold(BTC)
    await waiting.take(Delivery((a_trade(1),), dead=(letter,)))
    await waiting.release(BTC)
    assert sink.dead == [letter]


async def test_too_much_is_released_though_nothing_older_came() -> None:
    waiting = Holding(sink := MemorySink(), most=150)
    waiting.hold(BTC)
    told = [await waiting.take(Delivery((a_trade(number),))) for number in range(152)]
    assert told == [[]] * 150 + [[BTC], []]
    assert [len(one.frames[0]) for one in sink.deliveries] == [151, 1]


async def test_what_was_dropped_never_comes() -> None:
    waiting = Holding(sink := MemorySink(), most=1_000)
    waiting.hold(BTC)
    await waiting.take(Delivery((a_trade(1),)))
    waiting.drop()
    await waiting.release(BTC)
    assert sink.deliveries == []


async def test_a_trade_that_waits_takes_little_more_than_its_columns() -> None:
    waiting, count = Holding(MemorySink(), most=100_000), 5_000
    waiting.hold(BTC)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            await waiting.take(Delivery((a_trade(number),)))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / count < 200, "bytes a trade, whose columns take 45"
