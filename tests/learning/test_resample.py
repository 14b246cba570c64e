from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tapeline.learning.resample import BlockBootstrap, block_length, student_quantile


@pytest.mark.parametrize("degrees", [1, 2, 4, 7, 15, 60, 500])
@pytest.mark.parametrize("p", [0.975, 0.99375])
def test_students_quantile_is_scipys(degrees: int, p: float) -> None:
    assert student_quantile(p, degrees) == pytest.approx(stats.t.ppf(p, degrees), rel=0.03)


def test_the_interval_of_independent_rows_is_the_textbooks() -> None:
    values = np.random.default_rng(1).normal(3, 2, 4000)
    got = BlockBootstrap(4000, block=1, resamples=4000, seed=1).interval(values, 0.95)
    half = 1.96 * values.std() / math.sqrt(4000)
    assert got.value == values.mean()
    assert got.low == pytest.approx(values.mean() - half, abs=half / 10)
    assert got.high == pytest.approx(values.mean() + half, abs=half / 10)


@pytest.mark.parametrize(("rows", "overlap"), [(300, 1), (300, 5), (300, 15), (1500, 10)])
def test_intervals_of_overlapping_rows_hold_what_they_promise(rows: int, overlap: int) -> None:
    """Of 1500 series of overlapping sums with mean 0, about 95 % of the 95 % intervals hold the 0."""
    draw = np.random.default_rng(overlap)
    held = 0
    for seed in range(1500):
        values = np.convolve(draw.standard_t(4, rows + overlap - 1), np.ones(overlap), "valid")
        bootstrap = BlockBootstrap(rows, block=block_length(rows, overlap), resamples=400, seed=seed, overlap=overlap)
        got = bootstrap.interval(values, 0.95)
        held += got.low <= 0 <= got.high
    print(f"{held / 15:.1f} % of 1500 intervals over {rows} rows with overlap {overlap} hold the mean")
    assert 0.92 <= held / 1500 <= 0.985


def test_rows_that_are_resampled_together_stay_paired() -> None:
    values = np.random.default_rng(0).normal(size=200)
    bootstrap = BlockBootstrap(200, block=10, resamples=100, seed=3)
    assert bootstrap.means(values + 1) == pytest.approx(bootstrap.means(values) + 1)


def test_large_draws_in_parts_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=200)
    whole = BlockBootstrap(200, block=10, resamples=100, seed=3).means(values)
    monkeypatch.setattr("tapeline.learning.resample._CHUNK", 300)
    assert BlockBootstrap(200, block=10, resamples=100, seed=3).means(values).tobytes() == whole.tobytes()


def test_one_block_has_no_interval() -> None:
    got = BlockBootstrap(5, block=9, resamples=10, seed=0).interval(np.arange(5.0), 0.95)
    assert got.value == 2
    assert math.isnan(got.low)
