"""Walks through a venue's past: which gaps are asked for together."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.fakes import BTC

from tapeline.ingest.base import Missing
from tapeline.ingest.walking import together


def gap(first: int, last: int) -> Missing:
    return Missing(BTC, first, last, 0, 0)


def test_gaps_of_one_answer_are_asked_for_together_and_others_apart() -> None:
    near, far, long = gap(1, 1), gap(5_000, 5_000), gap(9_000, 90_000)
    assert together([far, gap(900, 999), long, near]) == [[near, gap(900, 999)], [far], [long]]


@given(st.sets(st.integers(1, 20_000), max_size=200))
def test_no_group_is_longer_than_about_an_answer_however_close_the_gaps_lie(ids: set[int]) -> None:
    """A bad line loses one trade in ten: all of it as one walk would end with the first answer that fails."""
    gaps = [gap(one, one) for one in ids]
    groups = together(gaps)
    assert [one for group in groups for one in group] == sorted(gaps, key=lambda one: one.first)
    assert all(group[-1].last - group[0].first < 1000 for group in groups)
    assert all(right[-1].last - left[0].first >= 1000 for left, right in pairwise(groups))
