"""Histograms: quantiles as exact as a bucket is wide, and the distant past forgotten."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tapeline.runners.latency import Histogram


def test_quantiles_are_those_of_the_times() -> None:
    times = np.random.default_rng(1).lognormal(14, 1, 20_000).astype(np.int64)
    histogram = Histogram()
    for time in times.tolist():
        histogram.add(time)
    for share in (0.5, 0.9, 0.99):
        assert histogram.quantile(share) == pytest.approx(np.quantile(times, share), rel=0.05)
    assert histogram.count == 20_000


def test_nothing_counted_is_unknown() -> None:
    assert math.isnan(Histogram().quantile(0.5))
    assert Histogram().to_json() == {"p50": None, "p99": None, "count": 0}


def test_a_clock_set_back_and_a_year_are_counted_at_the_ends() -> None:
    histogram = Histogram()
    histogram.add(-5)
    histogram.add(365 * 86_400 * 10**9)
    assert histogram.quantile(0.5) < 2_000
    assert histogram.quantile(1.0) > 86_400 * 10**9


def test_the_distant_past_is_forgotten() -> None:
    histogram = Histogram()
    histogram.add(1_000_000, 1 << 18)
    histogram.add(9_000_000, 1 << 18)
    histogram.add(9_000_000)
    assert histogram.quantile(0.01) == pytest.approx(9e6, rel=0.05)
