"""What live trades are believed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.fakes import BTC, NOW

from tapeline.clock import HOUR, MINUTE, SECOND
from tapeline.ingest.base import Missing, Standing
from tapeline.ingest.sieve import Sieve
from tapeline.types import Frame


def _frame(ids: list[int], stamps: list[int] | None = None) -> Frame:
    ts_event = [NOW] * len(ids) if stamps is None else stamps
    ones = np.ones(len(ids))
    return Frame.of(BTC, trade_id=ids, ts_event=ts_event, ts_init=np.full(len(ids), NOW), price=ones, qty=ones)


def _sieve() -> Sieve:
    sieve = Sieve({}, MINUTE)
    sieve.start(Standing(BTC, 100, NOW - SECOND))
    return sieve


def test_ids_that_follow_are_plain() -> None:
    sieve = _sieve()
    for ids in ([101], [102, 103], [104]):
        frame, letters, gap = sieve.sift(_frame(ids))
        assert (frame.trade_id.tolist(), letters, gap) == (ids, [], False)


def test_ids_that_do_not_follow_may_hide_others() -> None:
    for ids in ([102], [101, 103], [102, 101], [100, 101], [101, 101]):
        frame, letters, gap = _sieve().sift(_frame(ids))
        assert (frame.trade_id.tolist(), letters, gap) == (ids, [], True)


def test_what_cannot_be_true_is_set_aside_and_the_rest_kept() -> None:
    stamps = [NOW, NOW, NOW - HOUR, NOW + HOUR, NOW]
    frame, letters, gap = _sieve().sift(_frame([101, 10**13, 102, 103, 104], stamps))
    assert frame.trade_id.tolist() == [101, 104]
    assert gap
    assert {letter.kind for letter in letters} == {"quarantined"}
    reasons = [letter.reason.split(": ", 1)[1] for letter in letters]
    assert reasons == [
        "time: expected at most 1m after its receipt",
        "time: expected at most 1m before that of trade 100",
        "id: expected one that can follow 100",
    ]


def test_an_old_trade_told_again_may_be_as_old_as_it_is() -> None:
    frame, letters, _ = _sieve().sift(_frame([99, 100], [NOW - HOUR, NOW - HOUR]))
    assert (len(frame), letters) == (2, [])


def test_a_trade_that_comes_after_later_ones_is_not_as_old_as_it_says() -> None:
    sieve = Sieve({}, MINUTE)
    sieve.start(Standing(BTC, 100, NOW, (Missing(BTC, 50, 60, NOW - HOUR, NOW),)))
    sieve.sift(_frame([101, 104, 106]))
    frame, letters, gap = sieve.sift(
        _frame([102, 105, 55, 56, 103], [NOW, NOW - HOUR, NOW - HOUR, NOW - 2 * HOUR, NOW])
    )
    assert frame.trade_id.tolist() == [102, 55, 103]
    assert gap
    assert [letter.reason.rsplit(" ", 3)[-1] for letter in letters] == ["49", "104"]


def test_as_many_trades_as_time_allows_may_be_missing() -> None:
    sieve = Sieve({}, MINUTE)
    sieve.start(Standing(BTC, 100, NOW - HOUR))
    frame, _, gap = sieve.sift(_frame([3_000_000_000]))
    assert (len(frame), gap) == (1, True)


def test_a_false_stamp_excuses_no_jump() -> None:
    frame, _, _ = Sieve({}, 10**18).sift(_frame([101, 10**13], [NOW, NOW + 400_000 * HOUR]))
    assert frame.trade_id.tolist() == [101]


@given(st.lists(st.tuples(st.integers(0, 2**63 - 2), st.integers(0, 2**62)), min_size=1, max_size=20))
def test_each_trade_is_kept_or_told_once(trades: list[tuple[int, int]]) -> None:
    frame = _frame([number for number, _ in trades], [stamp for _, stamp in trades])
    kept, letters, _ = _sieve().sift(frame)
    assert len(kept) + len(letters) == len(trades)


def test_what_was_held_is_judged_by_the_past() -> None:
    past = _frame([5_000, 5_001], [NOW - 60 * SECOND, NOW - 50 * SECOND])
    for held, stamps, good in (
        ([1, 5_002], [NOW - SECOND, NOW], [5_002]),  # ids that begin again
        ([1, 2], [NOW - SECOND, NOW], []),
        ([10**12, 5_002], [NOW - SECOND, NOW], [5_002]),  # a jump
        ([4_998, 4_999, 5_002], [NOW - 61 * SECOND, NOW - 60 * SECOND, NOW], [4_998, 4_999, 5_002]),  # a snapshot
        ([4_999, 5_002], [NOW - 60 * SECOND + SECOND // 2, NOW], [4_999, 5_002]),  # disorder
        ([5_100, 5_101], [NOW - SECOND, NOW], [5_100, 5_101]),
    ):
        sieve = Sieve({}, MINUTE)
        first, _, _ = sieve.sift(_frame(held[:1], stamps[:1]))
        assert first.trade_id.tolist() == held[:1]  # nothing is known yet
        kept, letters = sieve.judge(past, _frame(held, stamps))
        assert (kept.trade_id.tolist(), len(letters)) == (good, len(held) - len(good))
        following = max([5_001, *good]) + 1
        assert sieve.sift(_frame([following]))[1] == []
