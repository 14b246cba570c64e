from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.clock import MINUTE
from tapeline.errors import NotEnoughData, UsageError
from tapeline.learning.folds import WalkForward, Windows, split
from tapeline.testing.models import planted


@given(
    rows=st.integers(400, 900),
    horizon=st.integers(1, 12),
    folds=st.integers(1, 6),
    embargo=st.sampled_from([None, 0, 7 * MINUTE]),
    holes=st.sets(st.integers(0, 399), max_size=60),
)
def test_nothing_learnt_from_was_unknown_at_the_test(
    rows: int, horizon: int, folds: int, embargo: int | None, holes: set[int]
) -> None:
    data = planted(1, rows, horizon=horizon)
    keep = np.setdiff1d(np.arange(rows), list(holes))
    data = replace(
        data, as_of=data.as_of[keep], known_at=data.known_at[keep], inputs=data.inputs[keep], returns=data.returns[keep]
    )
    wait = data.horizon if embargo is None else embargo
    made = split(data, WalkForward(folds=folds, embargo=embargo))
    assert [fold.number for fold in made] == list(range(folds))
    for fold in made:
        assert data.known_at[fold.train].max() <= data.as_of[fold.test.start] - wait
        left_out = data.known_at[fold.train.stop : fold.test.start]
        assert (left_out > data.as_of[fold.test.start] - wait).all()
    tested = [row for fold in made for row in range(fold.test.start, fold.test.stop)]
    assert tested == list(range(made[0].test.start, len(data)))


def test_a_rolling_window_forgets() -> None:
    data = planted(1, 600)
    made = split(data, WalkForward(folds=3, rolling=100 * MINUTE))
    for fold in made:
        assert data.as_of[fold.train.start] == data.as_of[fold.test.start] - 100 * MINUTE
    with pytest.raises(NotEnoughData, match="fold 0: has too few training rows: expected at least 50"):
        split(data, WalkForward(folds=3, rolling=40 * MINUTE))


def test_too_few_rows_says_how_many_and_what_to_do() -> None:
    data = replace(planted(1, 100, horizon=10), excluded={"outcome unknown": 10})
    text = r"\(left out: 10 outcome unknown\): expected at least 268, was 100; import more trades, or take a shorter"
    with pytest.raises(NotEnoughData, match=text):
        split(data, WalkForward())
    split(planted(1, 268, horizon=10), WalkForward())


@pytest.mark.parametrize("plan", [WalkForward(folds=0), WalkForward(first_train=0.0), WalkForward(first_train=1.0)])
def test_a_plan_without_sense_is_refused(plan: WalkForward) -> None:
    with pytest.raises(UsageError, match="cannot be cut: expected at least 1 fold"):
        split(planted(1, 600), plan)


@pytest.mark.parametrize("text", ["200m/50m/30m", "0.33/0.085/0.05"])
def test_rolling_windows_by_time_end_with_the_last_row(text: str) -> None:
    data = planted(1, 600)
    made = split(data, WalkForward(windows=Windows.parse(text)))
    assert len(made) >= 10
    assert made[-1].test.stop == len(data)
    for fold, later in pairwise(made):
        assert fold.test.stop == later.test.start
    for fold in made:
        assert abs(fold.test.stop - fold.test.start - 30) <= 1
        learnt = data.as_of[fold.test.start] - data.as_of[fold.train.start]
        assert abs(int(learnt) - 250 * MINUTE) <= 3 * MINUTE
        assert data.known_at[fold.train].max() <= data.as_of[fold.test.start] - data.horizon


def test_windows_say_which_share_is_for_validation() -> None:
    assert Windows.parse("60d/15d/7d").validated == 0.2
    assert Windows.parse("0.6/0.2/0.1").validated == pytest.approx(0.25)


@pytest.mark.parametrize("text", ["60d", "60d/14d", "60d/14d/0.1", "0.6/0.4/0.2", "a/b/c", "-1/2/3", "60d/14d/7x", ""])
def test_windows_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"windows: cannot be read: expected three lengths such as 60d/14d/7d"):
        Windows.parse(text)


def test_windows_longer_than_the_data_leave_nothing_to_test() -> None:
    with pytest.raises(
        NotEnoughData, match=r"has too few test rows in windows of \d+[smhd] to learn from: expected at least 48"
    ):
        split(planted(1, 600), WalkForward(windows=Windows.parse("2d/1d/1h")))
