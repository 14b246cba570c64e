"""What a tape does not have of a span of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.clock import SECOND
from tapeline.exchanges.base import Span
from tapeline.ingest.base import Missing
from tapeline.runners.absent import Extent, absent, extent, missing
from tapeline.stores import rows
from tapeline.stores.memory import MemoryStore
from tapeline.tape import TapeInfo
from tapeline.types import Frame

NAME = "BTC-USD.SIM"


def _tape(ids: list[int], *, contiguous: bool = True) -> Extent:
    """Return the extent of a tape whose trade n happened at n seconds."""
    store, tape = MemoryStore(), TapeInfo(NAME, "SIM", "trade", contiguous, 0)
    store.append("instruments", rows.from_dicts("instruments", {name: getattr(tape, name) for name in _FIELDS}))
    stamps = np.array(ids, np.int64) * SECOND
    frame = Frame.of(NAME, trade_id=ids, ts_event=stamps, price=np.ones(len(ids)), qty=np.ones(len(ids)))
    store.append("trades", rows.from_frame(frame))
    return extent(store, tape)


_FIELDS = ("instrument", "venue", "id_kind", "contiguous", "first_seen")


def test_an_empty_tape_lacks_all() -> None:
    assert absent(_tape([]), 5, 9) == [Span(5, 9)]


def test_before_in_and_after_a_tape() -> None:
    tape = _tape([10, 11, 5000, 5001])
    assert tape.holes == [Missing(NAME, 12, 4999, 11 * SECOND, 5000 * SECOND)]
    assert absent(tape, 0, 9000 * SECOND) == [
        Span(0, 10 * SECOND + 1),
        Span(11 * SECOND, 5001 * SECOND, 12, 4999),
        Span(5001 * SECOND, 9000 * SECOND),
    ]


def test_a_hole_that_reaches_beyond_is_asked_for_by_time() -> None:
    tape = _tape([10, 5000])
    assert absent(tape, 100 * SECOND, 200 * SECOND) == [Span(100 * SECOND, 200 * SECOND)]
    assert missing(tape, 100 * SECOND, 200 * SECOND) == []


def test_holes_that_one_answer_holds_are_asked_for_at_once() -> None:
    assert absent(_tape([10, 12, 14, 4000]), 10 * SECOND, 4000 * SECOND) == [
        Span(10 * SECOND, 15 * SECOND, 11, 13),
        Span(14 * SECOND, 4001 * SECOND, 15, 3999),
    ]


@pytest.mark.parametrize("ids", [[1, 2, 3], [1, 9]])
def test_without_contiguous_ids_no_hole_can_be_told(ids: list[int]) -> None:
    assert _tape(ids, contiguous=False).holes == []


@given(st.sets(st.integers(1, 4000), min_size=1, max_size=30), st.integers(0, 4100), st.integers(1, 4100))
def test_spans_cover_exactly_what_is_absent(ids: set[int], start: int, length: int) -> None:
    """Every second of the span whose trade is not stored is asked for, by time or by id; and little else is."""
    spans = absent(_tape(sorted(ids)), start * SECOND, (start + length) * SECOND)
    for number in range(max(start, 1), start + length):
        at = number * SECOND
        asked = any(
            span.start <= at < span.end
            if span.first_id is None or span.last_id is None
            else span.first_id <= number <= span.last_id
            for span in spans
        )
        assert asked or number in ids
