from __future__ import annotations

import math

import numpy as np
import pytest

from tapeline.evaluate import Evaluation, evaluate
from tapeline.learning.conformal import conformal_bounds, covered_share
from tapeline.learning.covering import bounds_by_fold, covered
from tapeline.learning.folds import WalkForward, split
from tapeline.models.base import Model
from tapeline.models.naive import LastPrice, Majority
from tapeline.testing.models import planted


def evaluated(folds: int = 4, target: str = "return") -> Evaluation:
    data = planted(1, 2000)
    kind: type[Model] = LastPrice if target == "return" else Majority
    made = split(data, WalkForward(folds=folds))
    return evaluate(data, target, [kind], folds=made, seed=1, level=0.95, tried=1)


def test_each_folds_bounds_come_from_the_folds_before() -> None:
    found = evaluated()
    residuals = found.labels
    bounds = bounds_by_fold(residuals, np.ones(len(residuals)), found.folds, 0.8)
    first = found.folds[1].test.start - found.rows.start
    second = found.folds[2].test.start - found.rows.start
    assert np.isnan(bounds[:first]).all()
    assert tuple(bounds[first]) == conformal_bounds(residuals[:first], 0.8)
    assert tuple(bounds[second]) == conformal_bounds(residuals[:second], 0.8)


def test_in_loud_times_the_bounds_are_as_many_times_wider() -> None:
    found = evaluated()
    unit = np.where(np.arange(len(found.labels)) % 2, 1.0, 3.0)
    bounds = bounds_by_fold(found.labels, unit, found.folds, 0.8)
    last = bounds[found.folds[-1].test.start - found.rows.start :]
    ratio = last[::2, 1] / last[1::2, 1][: len(last[::2])]
    assert {round(float(one), 9) for one in ratio} in ({3.0}, {round(1 / 3, 9)})


def test_the_share_is_known_with_its_interval_and_width() -> None:
    found = evaluated()
    told = covered(found, "last_price", 0.8, 0.95)
    assert told.share.value == pytest.approx(covered_share(found.labels, found.folds, 0.8))
    assert told.share.low < 0.8 < told.share.high
    assert told.width.value > 0


@pytest.mark.parametrize("found", [evaluated(folds=1), evaluated(target="direction")], ids=["one fold", "direction"])
def test_unknown_is_not_zero(found: Evaluation) -> None:
    told = covered(found, found.baselines[0], 0.8, 0.95)
    assert math.isnan(told.share.value)
    assert math.isnan(told.width.value)
