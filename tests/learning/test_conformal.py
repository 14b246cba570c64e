"""Intervals that stay true to their coverage while the market changes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tapeline.errors import UsageError
from tapeline.learning.conformal import TrackedInterval, conformal_bounds, rate_of
from tapeline.types import Bool, Float

PAST, LIVE, WINDOW = 2000, 20_000, 250


def drifting(kind: str, seed: int = 1, overlap: int = 1) -> Float:
    """Return residuals: 2,000 as they always were, then 20,000 in which the market changes after a fifth."""
    draw = np.random.default_rng(seed)
    steps = draw.standard_normal(PAST + LIVE + overlap - 1)
    changed = np.arange(len(steps)) >= PAST + LIVE // 5
    scale, shift = np.ones(len(steps)), 0.0
    if kind == "louder":
        scale[changed] = 2.0
    elif kind == "quieter":
        scale[changed] = 0.5
    elif kind == "waking up":
        scale = np.interp(np.arange(len(steps)), [PAST, len(steps)], [1.0, 4.0])
    elif kind == "heavy tails":
        tails = draw.standard_t(3, len(steps)) / math.sqrt(3)
        steps = np.where(changed, tails, steps)
    elif kind == "biased":
        shift = 1.0
    sums = np.concatenate(([0.0], np.cumsum(steps * scale)))
    overlapping: Float = (sums[overlap:] - sums[:-overlap]) / math.sqrt(overlap)
    return overlapping + shift * changed[: len(overlapping)]


def tracked(residuals: Float, coverage: float, lag: int) -> tuple[Float, Bool, Bool]:
    """Return the ends at each live row, and what was inside them; then what was inside the fixed ones."""
    low, high = conformal_bounds(residuals[:PAST], coverage)
    live, interval = residuals[PAST:], TrackedInterval(low, high, coverage, rate=rate_of(lag))
    made = np.empty((len(live), 2))
    for row in range(len(live)):
        if row >= lag:
            known = row - lag
            interval.learn(below=live[known] < made[known, 0], above=live[known] > made[known, 1])
        made[row] = interval.bounds
    return made, (live >= made[:, 0]) & (live <= made[:, 1]), (live >= low) & (live <= high)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
@pytest.mark.parametrize("lag", [1, 5])
@pytest.mark.parametrize("kind", ["louder", "quieter", "waking up", "heavy tails", "biased"])
def test_coverage_holds_under_drift_where_fixed_ends_lose_it(kind: str, lag: int, coverage: float) -> None:
    made, inside, fixed = tracked(drifting(kind, overlap=lag), coverage, lag)
    off = [abs(part.mean() - coverage) for part in np.array_split(inside, LIVE // (WINDOW * lag))]
    width = (made[:, 1] - made[:, 0]).mean()
    print(f"{kind} {coverage:.0%} lag {lag}: {inside.mean():.3f}, fixed {fixed.mean():.3f}, width {width:.2f}")
    assert abs(inside.mean() - coverage) < 0.01
    assert np.mean(off) < 0.02
    assert max(off) < 0.08
    assert abs(fixed.mean() - coverage) > 0.02 or (kind == "heavy tails" and coverage > 0.9)


@pytest.mark.parametrize("lag", [1, 5])
def test_on_a_market_that_stays_the_ends_stay_about_where_they_were(lag: int) -> None:
    made, inside, fixed = tracked(drifting("same", seed=2, overlap=lag), 0.8, lag)
    assert abs(inside.mean() - 0.8) < 0.02
    assert made.mean(axis=0) == pytest.approx([-1.282, 1.282], abs=0.15)
    assert fixed.mean() == pytest.approx(0.8, abs=0.03)


def test_each_end_is_missed_as_often_as_the_other() -> None:
    residuals = np.random.default_rng(4).exponential(size=PAST + LIVE)
    made, _, _ = tracked(residuals, 0.8, 1)
    assert (residuals[PAST:] < made[:, 0]).mean() == pytest.approx(0.1, abs=0.005)
    assert (residuals[PAST:] > made[:, 1]).mean() == pytest.approx(0.1, abs=0.005)


def test_a_silence_is_no_certainty_and_the_ends_never_cross() -> None:
    interval = TrackedInterval(-1.0, 2.0, 0.8, rate=0.1)
    for _ in range(1000):
        interval.learn(below=False, above=False)
    low, high = interval.bounds
    assert 0.3 <= high - low < 0.31
    for _ in range(30):
        interval.learn(below=False, above=True)
    assert interval.bounds[1] - interval.bounds[0] > 3.0


def test_an_unknown_interval_stays_unknown() -> None:
    interval = TrackedInterval(math.nan, math.nan, 0.8, rate=0.1)
    interval.learn(below=False, above=True)
    assert np.isnan(interval.bounds).all()


def test_a_coverage_that_is_no_share_is_refused() -> None:
    with pytest.raises(UsageError, match=r"interval coverage: is no share: expected between 0 and 1, was 1\.0"):
        TrackedInterval(-1.0, 1.0, 1.0, rate=0.1)
