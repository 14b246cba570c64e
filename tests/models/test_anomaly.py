from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as Peer

from tapeline.models.anomaly import HalfSpaceTrees, IsolationForest, RobustZScore, rows_compared
from tapeline.models.half_space import HalfSpaces

QUIET = np.random.default_rng(0).normal(size=(6000, 4))


def test_isolation_scores_are_scikit_learns() -> None:
    model = IsolationForest()
    model._learn(QUIET[:3000], 5)
    peer = Peer(n_estimators=100, max_samples=256, random_state=5).fit(QUIET[:3000])
    unseen = np.vstack((QUIET[3000:], 5 * QUIET[:500]))
    np.testing.assert_allclose(model._odd(unseen), -peer.score_samples(unseen), rtol=1e-5)


def test_the_robust_score_is_the_distance_from_the_median() -> None:
    model = RobustZScore()
    model._learn(np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0], [4.0, 7.0], [100.0, 7.0]]), 0)
    assert model._odd(np.array([[3.0, 7.0], [3 + 1.4826, -9.0]])).tolist() == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("kind", [RobustZScore, IsolationForest, HalfSpaceTrees])
def test_the_threshold_is_on_the_right_scale(kind: type[RobustZScore]) -> None:
    model = kind().fit(QUIET[:4000] * [1e-6, 1.0, 1e6, 3.0], np.zeros(4000), seed=1)
    said = model.predict(QUIET[4000:] * [1e-6, 1.0, 1e6, 3.0])
    assert [(said > 1 - rate).mean() for rate in (0.02, 0.1)] == pytest.approx([0.02, 0.1], abs=0.03)


@pytest.mark.parametrize("rows", [40, 197, 399, 1000, 1998, 6000])
def test_how_many_rows_are_compared_is_known_before_it_is_fitted(rows: int) -> None:
    assert RobustZScore().fit(QUIET[:rows], np.zeros(rows), seed=1, overlap=5).compared == rows_compared(rows)


def test_half_spaces_find_what_is_far_and_forget_what_was() -> None:
    model = HalfSpaceTrees().fit(QUIET[:3000], np.zeros(3000), seed=2)
    far = np.full((1, 4), 6.0)
    assert model.predict(far)[0] > 0.99
    moved = QUIET[3000:5000] + 6.0
    for row in moved:
        model.learn_one(row, np.nan)
    assert model.predict(far)[0] < 0.9
    assert model.predict(np.zeros((1, 4)))[0] > 0.95


def test_half_spaces_count_every_row_once_per_level() -> None:
    spaces = HalfSpaces.of(QUIET, 3)
    spaces.learn(QUIET[:250])
    assert (spaces.counted[:, 0] == 250).all()
    assert (spaces.counted[:, 1] + spaces.counted[:, 2] == 250).all()
    assert spaces.counting.sum() == spaces.seen == 0
    spaces.learn(QUIET[:7])
    assert spaces.seen == 7
    assert (spaces.counted[:, 0] == 250).all()
