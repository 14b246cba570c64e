from __future__ import annotations

import math
from datetime import UTC, datetime
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.recordings.instants import TimeRule, times, unit_of


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_the_unit_of_an_epoch_is_told_by_its_magnitude(unit: str, scale: int) -> None:
    assert unit_of(1_723_161_255 * scale) == unit
    values, ok = times(pa.array([str(1_723_161_255 * scale)]), TimeRule(("s", "ms", "us", "ns")))
    assert (values.tolist(), ok.tolist()) == ([1_723_161_255 * 10**9], [True])


def test_another_unit_is_refused() -> None:
    assert times(pa.array([1_723_161_255, 1_723_161_255_000]), TimeRule(("ms",)))[1].tolist() == [False, True]


@given(st.integers(1_230_940_800 * 10**9, 4_102_444_799 * 10**9))
def test_decimal_seconds_never_go_through_a_float(ns: int) -> None:
    text = f"{ns // 10**9}.{ns % 10**9:09d}"
    values, ok = times(pa.array([text]), TimeRule(("s",)))
    assert (values.tolist(), ok.tolist()) == ([ns], [True])


def test_iso_times() -> None:
    texts = ["2024-08-09T00:00:00.000000001Z", "2024-08-09 01:00:00+01:00", "2024-08-09"]
    values, ok = times(pa.array(texts), TimeRule())
    assert ok.all()
    assert (values - values[2]).tolist() == [1, 0, 0]
    values, ok = times(pa.array([*texts, "yesterday", None, "2024-13-01"]), TimeRule())
    assert ok.tolist() == [True] * 3 + [False] * 3


def test_typed_times() -> None:
    moment = datetime(2024, 8, 9, tzinfo=UTC)
    for kind in (
        pa.timestamp("s"),
        pa.timestamp("ms", "UTC"),
        pa.timestamp("us", "Europe/Paris"),
        pa.timestamp("ns"),
        pa.date32(),
    ):
        values, ok = times(
            pa.array([moment, None], kind) if "date" not in str(kind) else pa.array([moment.date(), None]), TimeRule()
        )
        assert ok.tolist() == [True, False]
        assert values[0] == int(moment.timestamp()) * 10**9


def test_float_seconds_keep_what_the_float_holds() -> None:
    values, ok = times(pa.array([1_723_161_255.5, math.inf, -1.0]), TimeRule(("s",)))
    assert ok.tolist() == [True, False, False]
    assert values[0] == Fraction(1_723_161_255.5) * 10**9


@pytest.mark.parametrize("value", [10**400, -(10**400), math.inf, math.nan, 0])
def test_no_number_is_too_large_to_be_no_time(value: float) -> None:
    assert unit_of(value) == ""
