from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.recordings.instants import TimeRule, times
from tapeline.recordings.values import integers, reals, sides

ODD = ["1e400", "NaN", "Infinity", "", " 1", "1_0", "0x10", "1.5", "-2", "9" * 400, "1e-400", ".5", "+3"]


@given(st.lists(st.one_of(st.sampled_from(ODD), st.floats(allow_nan=False).map(repr), st.text(max_size=5)), max_size=8))
def test_reals_of_text_are_python_s_floats(texts: list[str]) -> None:
    values, ok = reals(pa.array(texts, pa.string()))
    for text, value, good in zip(texts, values, ok, strict=True):
        if good and math.isfinite(value):
            assert value == float(text)


def test_one_bad_text_spoils_no_other() -> None:
    values, ok = reals(pa.array(["1.5", "1_0", None, "2"]))
    assert ok.tolist() == [True, False, False, True]
    assert values[[0, 3]].tolist() == [1.5, 2.0]


@given(
    st.lists(st.one_of(st.integers(-5, 2**65).map(str), st.sampled_from(["", "1.0", "0x10", "NaN", "-0"])), max_size=8)
)
def test_integers_of_text_are_exact_or_refused(texts: list[str]) -> None:
    values, ok = integers(pa.array(texts, pa.string()))
    for text, value, good in zip(texts, values.tolist(), ok.tolist(), strict=True):
        fits = text.isdigit() and int(text) < 2**63
        assert good == fits or (text == "-0" and value == 0)
        assert not fits or value == int(text)


def test_ids_above_2_to_53_stay_exact_and_floats_there_are_refused() -> None:
    values, ok = integers(pa.array([str(2**53 + 1), str(2**63 - 1), str(2**63)]))
    assert values[:2].tolist() == [2**53 + 1, 2**63 - 1]
    assert ok.tolist() == [True, True, False]
    assert integers(pa.array([5.0, 5.5, 2.0**53, math.nan]))[1].tolist() == [True, False, False, False]
    assert integers(pa.array([2**63, 7], pa.uint64()))[1].tolist() == [False, True]


@pytest.mark.parametrize(
    ("column", "maker", "expected"),
    [
        (["buy", "SELL", "b", "s", "", None], False, [1, -1, 1, -1, 0, 0]),
        (["True", "false", "1", "0"], True, [-1, 1, -1, 1]),
        ([True, False], True, [-1, 1]),
        ([1, -1, 0], False, [1, -1, 0]),
    ],
)
def test_sides(column: list[object], maker: bool, expected: list[int]) -> None:
    values, ok = sides(pa.array(column), maker=maker)
    assert ok.all()
    assert values.tolist() == expected


def test_an_unknown_side_is_refused() -> None:
    assert sides(pa.array(["buy", "north"]), maker=False)[1].tolist() == [True, False]


def test_nothing_is_nothing() -> None:
    empty = pa.array([], pa.string())
    assert [
        len(part) for part in (*reals(empty), *integers(empty), *times(empty, TimeRule()), *sides(empty, maker=True))
    ] == [0] * 8
    assert np.dtype(np.int64) == integers(empty)[0].dtype
