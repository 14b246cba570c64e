"""Intervals, compared with sets of integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tapeline.intervals import Intervals

spans = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 6)).map(lambda one: (one[0], one[0] + one[1])), max_size=9
)


@given(st.lists(spans, max_size=6), st.sets(st.integers(0, 86), max_size=9), st.integers(1, 9))
def test_they_hold_what_was_added(rounds: list[list[tuple[int, int]]], ids: set[int], count: int) -> None:
    held, members = Intervals(), set[int]()
    for many in rounds:
        if many[1:]:
            held.add_spans(many)
        for first, last in many[:1]:
            held.add_span(first, last)
        held.add(np.array(sorted(ids)[: len(many)]))
        members |= {one for first, last in many for one in range(first, last + 1)} | set(sorted(ids)[: len(many)])
    begins = [one for one in sorted(members) if one - 1 not in members]
    ends = [one for one in sorted(members) if one + 1 not in members]
    wanted = list(zip(begins, ends, strict=True))
    assert held.spans() == wanted
    assert held.newest(count) == wanted[-count:]
    inside = sorted(ids & members)
    assert held.holding(inside) == [(a, b) for a, b in wanted if any(a <= one <= b for one in inside)]
