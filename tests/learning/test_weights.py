from __future__ import annotations

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.learning.weights import uniqueness
from tapeline.testing.models import planted


def by_hand(begins: list[int], ends: list[int]) -> list[float]:
    alive = [sum(b <= t < e for b, e in zip(begins, ends, strict=True)) for t in range(max(ends))]
    lives = [np.mean([1 / alive[t] for t in range(b, e)]) for b, e in zip(begins, ends, strict=True)]
    return [float(life / np.mean(lives)) for life in lives]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_mean_of_one_over_the_labels_alive(seed: int) -> None:
    draw = np.random.default_rng(seed)
    begins = np.sort(draw.choice(60, 25, replace=False))
    ends = begins + draw.integers(1, 9, 25)
    got = uniqueness(begins * MINUTE, ends * MINUTE)
    assert got == pytest.approx(by_hand(begins.tolist(), ends.tolist()))


def test_labels_that_do_not_overlap_all_count_the_same() -> None:
    as_of = np.arange(0, 50, 5)
    assert uniqueness(as_of, as_of + 5).tolist() == [1.0] * 10


def test_a_row_that_stands_alone_counts_more_than_its_crowded_neighbours() -> None:
    data = planted(1, 200).for_target("return")
    kept = np.r_[0:100, 150]
    got = uniqueness(data.as_of[kept], data.known_at[kept])
    assert got[-1] == pytest.approx(3 * got[50])
    assert data.weights("return").mean() == pytest.approx(1)
