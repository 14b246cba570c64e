from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tapeline.evaluate import Evaluation, evaluate
from tapeline.learning.artifact import Artifact
from tapeline.learning.conformal import conformal_bounds, rate_of
from tapeline.learning.covering import covered, intervals_made
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.live_interval import LiveInterval
from tapeline.learning.windows import Stretch
from tapeline.models.base import Model
from tapeline.models.naive import LastPrice, Majority
from tapeline.testing.models import planted


def evaluated(folds: int = 4, target: str = "return", rows: int = 2000) -> Evaluation:
    data = planted(1, rows)
    kind: type[Model] = LastPrice if target == "return" else Majority
    made = split(data, WalkForward(folds=folds))
    return evaluate(data, target, [kind], folds=made, seed=1, level=0.95, tried=1)


def test_intervals_begin_with_what_was_known_of_the_first_fold() -> None:
    found = evaluated()
    made = intervals_made(found, "last_price", 0.8)
    first = found.folds[1].test.start - found.rows.start
    lag = found.bootstrap.overlap
    assert lag == 3
    assert np.isnan(made[:first]).all()
    low, high = conformal_bounds(found.labels[: first - lag + 1] / found.unit[: first - lag + 1], 0.8)
    for row in range(first, first + lag):
        assert tuple(made[row]) == (low * found.unit[row], high * found.unit[row])
    assert not np.isnan(made[first:]).any()


def test_they_use_only_what_was_known() -> None:
    found = evaluated()
    row = found.folds[2].test.start - found.rows.start
    changed = found.labels.copy()
    changed[row - 2 :] += 1.0
    made, again = (intervals_made(one, "last_price", 0.8) for one in (found, replace(found, labels=changed)))
    np.testing.assert_array_equal(made[: row + 1], again[: row + 1])
    assert (made[row + 1 : row + 100] != again[row + 1 : row + 100]).any()


def test_what_is_measured_is_what_is_served() -> None:
    found = evaluated()
    made = intervals_made(found, "last_price", 0.8)
    first, lag = found.folds[1].test.start - found.rows.start, found.bootstrap.overlap
    low, high = conformal_bounds((found.labels / found.unit)[: first - lag + 1], 0.8)
    content = LastPrice().dump().decode()
    data = planted(1, 2000)
    task = (data.instrument, data.timeframe, data.horizon, "return", "last_price", content, data.columns)
    begins = int(data.as_of[found.rows.start + first])
    rate = rate_of(lag)
    artifact = Artifact(*task, "planted", "0", low, high, 0.8, 0, begins, 9, "", "", 1, "", interval_rate=rate)
    rows = np.arange(found.rows.start + first, found.rows.stop)
    close = np.exp(np.cumsum(np.concatenate((np.zeros(lag), found.labels[first:])).reshape(-1, lag), axis=0).ravel())
    seen = Stretch(data.inputs[rows], data.as_of[rows], np.ones(len(rows), np.bool_))
    served = LiveInterval(artifact).follow(seen, close[: len(rows)], np.zeros(len(rows)), found.unit[first:])
    np.testing.assert_allclose(served, made[first:], rtol=1e-9)


def test_in_loud_times_the_bounds_are_as_many_times_wider() -> None:
    found = evaluated()
    unit = np.where(np.arange(len(found.labels)) % 2, 1.0, 3.0)
    made = intervals_made(replace(found, unit=unit), "last_price", 0.8)
    first = found.folds[1].test.start - found.rows.start
    ratio = made[first] / made[first + 1]
    assert sorted(ratio.round(9).tolist()) in ([3.0, 3.0], [round(1 / 3, 9)] * 2)


def test_the_share_is_known_with_its_interval_and_width() -> None:
    found = evaluated()
    told = covered(found, "last_price", 0.8, 0.95)
    low, high = intervals_made(found, "last_price", 0.8).T
    known = ~np.isnan(low)
    inside = (found.labels[known] >= low[known]) & (found.labels[known] <= high[known])
    assert told.share.value == pytest.approx(inside.mean())
    assert told.share.low < 0.8 < told.share.high
    assert told.width.value == pytest.approx((high - low)[known].mean())


def test_the_share_holds_where_the_market_wakes_up() -> None:
    found = evaluated(rows=6000)
    louder = found.labels * np.linspace(1, 4, len(found.labels))
    made = intervals_made(replace(found, labels=louder), "last_price", 0.8)
    told = covered(replace(found, labels=louder), "last_price", 0.8, 0.95)
    first = found.folds[1].test.start - found.rows.start
    low, high = made[first] / found.unit[first]
    fixed = (louder[first:] >= low) & (louder[first:] <= high)
    print(f"covered {told.share.value:.3f}, with the first ends {fixed.mean():.3f}")
    assert abs(told.share.value - 0.8) < 0.02
    assert fixed.mean() < 0.7


@pytest.mark.parametrize("found", [evaluated(folds=1), evaluated(target="direction")], ids=["one fold", "direction"])
def test_unknown_is_not_zero(found: Evaluation) -> None:
    told = covered(found, found.baselines[0], 0.8, 0.95)
    assert math.isnan(told.share.value)
    assert math.isnan(told.width.value)
