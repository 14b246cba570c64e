from __future__ import annotations

import math

import numpy as np
import pytest

from tapeline.learning.comparing import diebold_mariano, long_run_variance

GAINS = np.array([0.3, -0.1, 0.4, 0.2, -0.5, 0.6, 0.1, 0.0, 0.7, -0.2, 0.5, 0.3])


@pytest.mark.parametrize(("lags", "variance"), [(1, 0.047216435185185236), (4, 0.026912037037037068)])
def test_the_long_run_variance_is_that_of_statsmodels(lags: int, variance: float) -> None:
    """Golden: OLS of GAINS on a constant, cov_type HAC, maxlags = lags, use_correction False: bse^2 * n."""
    assert long_run_variance(GAINS, lags) == pytest.approx(variance, rel=1e-12)


def test_one_step_ahead_is_the_known_statistic_with_the_small_sample_factor() -> None:
    """With 12 rows there are floor(4 * 0.12 ** (2 / 9)) = 2 lags; the factor of one step is sqrt((n - 1) / n)."""
    found = diebold_mariano(GAINS, 1)
    variance = long_run_variance(GAINS, 2) / len(GAINS)
    assert found.statistic == pytest.approx(GAINS.mean() / math.sqrt(variance) * math.sqrt(11 / 12))
    assert 0 < found.p < 0.05


def test_equal_forecasts_have_no_statistic() -> None:
    found = diebold_mariano(np.zeros(50), 3)
    assert math.isnan(found.statistic)
    assert math.isnan(found.p)


def test_of_two_equally_good_forecasts_one_in_twenty_differs() -> None:
    draw = np.random.default_rng(1)
    sets = (np.convolve(draw.normal(size=402), np.ones(3), "valid") for _ in range(400))
    low = sum(diebold_mariano(gains, 3).p < 0.05 for gains in sets)
    assert low <= 0.08 * 400
