"""Intervals that stay true to their coverage while the market changes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tapeline.errors import UsageError
from tapeline.learning.conformal import AdaptiveInterval, adaptive_bounds, conformal_bounds
from tapeline.types import Float


def residuals_of_a_market_that_wakes_up(seed: int) -> Float:
    """Return 1,000 quiet residuals, then 6,000 whose spread grows to four times that."""
    spread = np.concatenate((np.ones(1000), np.linspace(1, 4, 6000)))
    return np.random.default_rng(seed).normal(size=7000) * spread


@pytest.mark.parametrize("coverage", [0.8, 0.95])
@pytest.mark.parametrize("lag", [1, 5])
def test_coverage_holds_under_a_drift_of_variance_where_fixed_bounds_lose_it(coverage: float, lag: int) -> None:
    residuals = residuals_of_a_market_that_wakes_up(1)
    low, high = conformal_bounds(residuals[:1000], coverage)
    fixed = (residuals[1000:] >= low) & (residuals[1000:] <= high)
    made = adaptive_bounds(residuals, coverage, lag=lag)[1000:]
    inside = (residuals[1000:] >= made[:, 0]) & (residuals[1000:] <= made[:, 1])
    assert fixed.mean() < coverage - 0.15
    assert abs(inside.mean() - coverage) < 0.015
    assert all(abs(part.mean() - coverage) < 0.05 for part in np.array_split(inside, 6))


def test_on_a_market_that_stays_both_cover_what_was_asked() -> None:
    residuals = np.random.default_rng(2).standard_t(4, 6000)
    made = adaptive_bounds(residuals, 0.8)[1000:]
    inside = (residuals[1000:] >= made[:, 0]) & (residuals[1000:] <= made[:, 1])
    assert abs(inside.mean() - 0.8) < 0.02
    low, high = np.quantile(np.random.default_rng(3).standard_t(4, 200_000), (0.1, 0.9))
    assert made.mean(axis=0) == pytest.approx([low, high], abs=0.1)


def test_each_end_is_missed_as_often_as_the_other() -> None:
    residuals = np.random.default_rng(4).exponential(size=8000)
    made = adaptive_bounds(residuals, 0.8)[1000:]
    assert (residuals[1000:] < made[:, 0]).mean() == pytest.approx(0.1, abs=0.015)
    assert (residuals[1000:] > made[:, 1]).mean() == pytest.approx(0.1, abs=0.015)


def test_bounds_use_only_what_was_known() -> None:
    residuals = residuals_of_a_market_that_wakes_up(5)
    whole, part = adaptive_bounds(residuals, 0.8, lag=5), adaptive_bounds(residuals[:900], 0.8, lag=5)
    assert whole[:900].tobytes() == part.tobytes()
    assert np.isnan(whole[:24]).all()
    assert np.isfinite(whole[25:]).all()


def test_a_state_saved_and_loaded_goes_on_with_the_same_bits() -> None:
    residuals = residuals_of_a_market_that_wakes_up(6)[:3000].tolist()
    whole, cut = AdaptiveInterval(0.9), AdaptiveInterval(0.9)
    for row, residual in enumerate(residuals):
        whole.learn(residual, whole.bounds())
        if row % 700 == 650:
            cut = AdaptiveInterval.from_state(json.loads(json.dumps(cut.state())))
        cut.learn(residual, cut.bounds())
        assert cut.bounds() == whole.bounds() or row < 19


def test_a_coverage_that_is_no_share_is_refused() -> None:
    with pytest.raises(UsageError, match=r"interval coverage: is no share: expected between 0 and 1, was 1\.0"):
        AdaptiveInterval(1.0)
