"""The true tape: positions that stay, whatever is dropped, and numbers written so that they are read back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.clock import format_time
from tapeline.simulator.tape import Listing, Tape, decimal_texts, micros
from tapeline.types import Frame

LISTING = Listing("BTC-USD.SIM", "BTC", "USD", 1, 5)


def frame(ids: list[int], stamps: list[int] | None = None) -> Frame:
    stamps = [one * 10 for one in ids] if stamps is None else stamps
    return Frame.of("BTC-USD.SIM", trade_id=ids, ts_event=stamps, price=np.array(ids) / 10, qty=[1.0] * len(ids))


def test_rows_are_found_by_position_id_and_time() -> None:
    tape = Tape(LISTING)
    tape.append(frame([5, 6, 9]))
    tape.append(frame([]))
    tape.append(frame([10]))
    assert (tape.start, tape.end) == (0, 4)
    assert [tape.at_id(one) for one in (0, 5, 7, 9, 11)] == [0, 0, 2, 2, 4]
    assert [tape.at_time(one) for one in (0, 60, 61, 101)] == [0, 1, 2, 4]
    assert tape.rows(1, 3).trade_id.tolist() == [6, 9]
    assert tape.newest(2).trade_id.tolist() == [9, 10]
    assert tape.newest(99).trade_id.tolist() == tape.whole().trade_id.tolist() == [5, 6, 9, 10]
    assert len(tape.rows(3, 2)) == 0


def test_a_row_given_away_is_a_copy() -> None:
    tape = Tape(LISTING)
    tape.append(frame([1]))
    tape.whole().price[0] = np.nan
    assert tape.whole().price.tolist() == [0.1]


def test_positions_stay_when_old_rows_are_dropped() -> None:
    tape, first = Tape(LISTING, keep=1000), 1
    for _ in range(50):
        tape.append(frame(list(range(first, first + 300))))
        first += 300
        assert tape.end == first - 1
        assert tape.whole().trade_id[0] == tape.start + 1
        assert tape.end - tape.start >= min(1000, tape.end)
    assert tape.start > 0
    assert tape.rows(0, 10**9).trade_id.tolist() == list(range(tape.start + 1, first))
    assert tape.at_id(first - 5) == first - 6


def test_ids_and_times_that_do_not_ascend_are_found_too() -> None:
    tape = Tape(LISTING)
    tape.append(frame([7, 3, 9], [10, 30, 20]))
    assert [tape.at_id(one) for one in (4, 8, 10)] == [0, 2, 3]
    assert [tape.at_time(one) for one in (15, 25, 31)] == [1, 1, 3]


def test_nothing_ever_happened_on_an_empty_copy() -> None:
    tape = Tape(LISTING)
    tape.append(frame([1]))
    assert tape.without_rows().end == 0
    assert tape.end == 1


@given(st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=20), st.sampled_from([None, 0, 2, 5, 8]))
def test_numbers_are_read_back(values: list[float], decimals: int | None) -> None:
    numbers = np.array(values) if decimals is None else np.round(np.array(values), decimals)
    texts = decimal_texts(numbers, decimals)
    assert [float(text) for text in texts] == numbers.tolist()
    assert not any("e" in text or "E" in text for text in texts)


@pytest.mark.parametrize("ns", [0, 1_762_795_433_971_744_500, 1_000, 999])
def test_instants_are_written_with_six_digits(ns: int) -> None:
    whole = format_time(ns // 1_000_000_000 * 1_000_000_000).removesuffix("Z")
    assert micros(np.array([ns])) == [f"{whole}.{ns % 1_000_000_000 // 1000:06d}Z"]
