"""The ledger: any order, repetition and cut gives the same released trades; gaps are named; nothing is kept twice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.clock import SECOND
from tapeline.errors import SnapshotMismatch
from tapeline.ledger import Admission, Ledger
from tapeline.types import Frame

NAME = "BTC-USD.SIM"


def trades(ids: list[int], ts: list[int] | None = None) -> Frame:
    stamps = [i * SECOND for i in ids] if ts is None else ts
    return Frame.of(NAME, trade_id=ids, ts_event=stamps, price=np.array(ids) + 1.0, qty=np.ones(len(ids)))


def released(admission: Admission) -> list[int]:
    return [int(i) for run in admission.released for i in run.frame.trade_id]


def ledger(*, contiguous: bool = True) -> Ledger:
    return Ledger(NAME, contiguous=contiguous)


def test_trades_in_order_pass_through() -> None:
    book = ledger()
    assert released(book.admit(trades([5, 6, 7]))) == [5, 6, 7]
    assert released(book.admit(trades([8]))) == [8]
    assert book.seen.spans() == [(5, 8)]


def test_a_gap_holds_back_what_lies_behind_it_until_it_is_healed() -> None:
    book = ledger()
    assert released(book.admit(trades([1, 2, 5, 6]))) == [1, 2]
    assert (book.holes(), book.awaited(), book.pending) == ([(3, 4)], [(3, 4)], 2)
    assert released(book.admit(trades([4]))) == []
    assert released(book.admit(trades([3]))) == [3, 4, 5, 6]
    assert book.holes() == []


def test_a_gap_given_up_is_stepped_over_and_marked() -> None:
    book = ledger()
    book.admit(trades([1, 4]))
    runs = book.give_up(2, 3).released
    assert [(run.frame.trade_id.tolist(), run.after_gap) for run in runs] == [([4], True)]
    assert book.holes() == [(2, 3)]
    assert book.awaited() == []
    late = book.admit(trades([2]))
    assert late.late.trade_id.tolist() == [2]
    assert book.holes() == [(2, 3)], "what comes too late is not on the tape"


def test_a_gap_may_be_given_up_before_it_is_met() -> None:
    book = ledger()
    book.start(1)
    book.give_up(2, 3)
    assert released(book.admit(trades([1, 4, 5]))) == [1, 4, 5]


def test_a_gap_given_up_at_the_end_marks_what_comes_next() -> None:
    book = ledger()
    book.admit(trades([1]))
    book.give_up(2, 3)
    assert book.gap_ahead
    assert book.admit(trades([4, 5])).released[0].after_gap


def test_repeats_are_told_from_new_trades_also_inside_a_frame() -> None:
    book = ledger()
    admission = book.admit(trades([1, 2, 2, 3, 1]))
    assert released(admission) == [1, 2, 3]
    assert sorted(admission.repeats.trade_id.tolist()) == [1, 2]
    assert book.admit(trades([2, 3, 4])).repeats.trade_id.tolist() == [2, 3]


def test_what_lies_before_the_start_is_late() -> None:
    book = ledger()
    book.start(10)
    admission = book.admit(trades([9, 10]))
    assert (released(admission), admission.late.trade_id.tolist()) == ([10], [9])


def test_memory_grows_with_holes_only() -> None:
    book = ledger()
    for first in range(1, 100_001, 1000):
        book.admit(trades(list(range(first, first + 1000))))
    assert len(book.snapshot()) < 200


def test_what_waits_need_not_be_part_of_a_state() -> None:
    book = ledger()
    book.admit(trades([1, 2, *range(5, 10_000)]))
    assert len(book.snapshot(waiting=False)) < 200 < len(book.snapshot())


@settings(max_examples=30, deadline=None)
@given(st.permutations(list(range(40))), st.integers(1, 9), st.integers(0, 39), st.booleans())
def test_a_state_without_what_waits_goes_on_with_the_tape(
    order: list[int], size: int, given_up: int, contiguous: bool
) -> None:
    """What is on the tape and not behind the state is admitted again, as a restart does."""
    book, tape = ledger(contiguous=contiguous), Frame.empty(NAME)
    for at in range(0, len(order), size):
        tape = Frame.concat([tape, book.admit(trades(order[at : at + size])).accepted])
        if contiguous and at <= given_up < at + size:
            for hole in book.awaited()[:1]:
                book.give_up(*hole)
        again = ledger(contiguous=contiguous)
        again.restore(book.snapshot(waiting=False))
        position = book.position
        assert position is not None
        keys = tape.trade_id if contiguous else tape.ts_event
        left = tape.take(keys > position[1 if contiguous else 0])
        admission = again.admit(left.take(np.lexsort((left.trade_id, left.ts_event))))
        assert released(admission) == []
        assert again.snapshot() == book.snapshot()


ids = st.permutations(list(range(100, 140)))


@given(ids, st.lists(st.integers(0, 60), max_size=6), st.lists(st.integers(100, 139), max_size=20))
def test_any_order_cut_and_repetition_releases_the_same(order: list[int], cuts: list[int], again: list[int]) -> None:
    arriving = order + again
    book = ledger()
    book.start(100)
    out: list[int] = []
    edges = sorted({0, len(arriving), *(cut for cut in cuts if cut < len(arriving))})
    for a, b in itertools.pairwise(edges):
        other = ledger()
        other.restore(book.snapshot())
        book = other
        out += released(book.admit(trades(arriving[a:b])))
    assert out == sorted(order)
    assert book.pending == 0


@given(st.sets(st.integers(1, 60), min_size=2), st.randoms(use_true_random=False))
def test_holes_are_exactly_the_ids_never_seen(members: set[int], random: object) -> None:
    arriving = sorted(members)
    random.shuffle(arriving)  # type: ignore[attr-defined]
    book = ledger()
    book.start(min(members))
    for i in arriving:
        book.admit(trades([i]))
    missing = {i for first, last in book.holes() for i in range(first, last + 1)}
    assert missing == set(range(min(members), max(members))) - members


def test_without_contiguous_ids_trades_wait_for_the_reorder_window() -> None:
    book = ledger(contiguous=False)
    assert released(book.admit(trades([7, 3], [2 * SECOND, 1 * SECOND]))) == []
    assert released(book.admit(trades([9], [7 * SECOND]))) == [3]
    assert released(book.admit(trades([11], [20 * SECOND]))) == [7, 9]
    assert released(book.release_until(21 * SECOND)) == [11]


def test_without_contiguous_ids_what_comes_after_its_moment_is_late() -> None:
    book = ledger(contiguous=False)
    book.admit(trades([1, 2], [0, 10 * SECOND]))
    admission = book.admit(trades([3, 4], [4 * SECOND, 6 * SECOND]))
    assert admission.late.trade_id.tolist() == [3]
    assert admission.accepted.trade_id.tolist() == [4]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=40), st.integers(1, 7))
def test_without_contiguous_ids_the_cut_changes_nothing(steps: list[tuple[int, int]], size: int) -> None:
    stamps = np.cumsum([step * SECOND for step, _ in steps]) - np.array([back * SECOND for _, back in steps], np.int64)
    frame = trades(list(range(len(steps))), stamps.astype(np.int64).tolist())

    def run(cut: int) -> tuple[list[int], list[int]]:
        book, out, late = ledger(contiguous=False), [], []
        for a in range(0, len(frame), cut):
            again = ledger(contiguous=False)
            again.restore(book.snapshot())
            book = again
            admission = book.admit(frame.take(slice(a, a + cut)))
            out += released(admission)
            late += admission.late.trade_id.tolist()
        return out, late

    assert run(size) == run(max(1, len(frame)))


def test_a_state_of_the_other_kind_is_refused() -> None:
    with pytest.raises(SnapshotMismatch, match=r"BTC-USD\.SIM ledger: cannot take this state"):
        ledger(contiguous=False).restore(ledger().snapshot())
