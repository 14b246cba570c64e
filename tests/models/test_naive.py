from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tapeline.models import naive


def moves(rows: int, slope: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    past = draw.normal(size=rows)
    return past[:, None] * 1e-4, 1e-4 * (slope * past + draw.normal(size=rows))


@pytest.mark.parametrize(("slope", "momentum", "reversion"), [(0.5, 0.5, 0.0), (-0.5, 0.0, -0.5)])
def test_the_coefficient_keeps_its_sign(slope: float, momentum: float, reversion: float) -> None:
    rows, labels = moves(20_000, slope)
    unit = np.array([[1e-4]])
    said = naive.MomentumReturn().fit(rows, labels, seed=0).predict(unit)[0]
    back = naive.MeanReversionReturn().fit(rows, labels, seed=0).predict(unit)[0]
    assert said == pytest.approx(momentum * 1e-4, abs=2e-6)
    assert back == pytest.approx(reversion * 1e-4, abs=2e-6)


def test_the_return_coefficient_is_least_squares_through_zero() -> None:
    rows = np.array([[1.0], [2.0], [-1.0]])
    labels = np.array([2.0, 3.0, -1.0])
    said = naive.MomentumReturn().fit(rows, labels, seed=0).predict(np.array([[1.0]]))
    assert said[0] == pytest.approx(9 / 6)  # sum(xy) / sum(x^2) by hand


@pytest.mark.parametrize(("kind", "slope"), [(naive.MomentumDirection, 0.4), (naive.MeanReversionDirection, -0.4)])
def test_the_direction_is_scikit_learns_logistic_regression(kind: type[naive.MomentumDirection], slope: float) -> None:
    rows, returns = moves(4000, slope)
    labels = (returns > 2e-5).astype(float)
    model = kind().fit(rows, labels, seed=0)
    scaled = np.clip(rows / np.sqrt(np.mean(rows**2)), -5, 5)
    peer = LogisticRegression(C=1.0, tol=1e-10).fit(scaled, labels)
    np.testing.assert_allclose(model.predict(rows), peer.predict_proba(scaled)[:, 1], rtol=1e-5)


def test_the_wrong_sign_leaves_the_share() -> None:
    rows, returns = moves(500, 0.8)
    labels = (returns > 0).astype(float)
    said = naive.MeanReversionDirection().fit(rows, labels, seed=0).predict(rows)
    assert said == pytest.approx((labels.sum() + 1) / 502)


def test_separable_rows_end() -> None:
    rows = np.linspace(-1, 1, 40)[:, None]
    said = naive.MomentumDirection().fit(rows, (rows[:, 0] > 0).astype(float), seed=0).predict(rows)
    assert ((said > 0) & (said < 1)).all()
    assert (np.diff(said) >= 0).all()


def test_majority_says_the_share_of_rises() -> None:
    labels = np.array([1.0, 1, 1, 0, 0, 1, 1, 1])
    said = naive.Majority().fit(np.zeros((8, 1)), labels, seed=0).predict(np.zeros((2, 1)))
    assert said.tolist() == [0.7, 0.7]  # (6 + 1) / (8 + 2)
