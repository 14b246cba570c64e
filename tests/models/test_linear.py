from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import HuberRegressor, LogisticRegression

from tapeline.errors import InputError
from tapeline.models.linear import Huber, Logistic, Scaler


def rows_and_labels(seed: int = 0, rows: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(rows, 4))
    return inputs, 1e-3 * (inputs @ [0.5, -0.3, 0.0, 0.1] + draw.standard_t(3, rows))


@pytest.mark.parametrize("alpha", [1e-4, 100.0])
def test_huber_is_scikit_learns_at_its_scale(alpha: float) -> None:
    inputs, labels = rows_and_labels()
    labels = labels * 1e3
    peer = HuberRegressor(epsilon=1.345, alpha=alpha, tol=1e-10, max_iter=10_000).fit(inputs, labels)
    ridge = alpha * peer.scale_ / len(labels)
    weights, base = Huber.solve(inputs, labels, bound=1.345 * peer.scale_, ridge=ridge)
    np.testing.assert_allclose(weights, peer.coef_, rtol=1e-4, atol=1e-5)
    assert base == pytest.approx(peer.intercept_, abs=1e-5)


def test_huber_is_not_moved_by_one_wild_outcome() -> None:
    inputs, labels = rows_and_labels()
    calm = Huber().fit(inputs, labels, seed=0).predict(inputs[:50])
    labels[7] = 1e3
    wild = Huber().fit(inputs, labels, seed=0).predict(inputs[:50])
    np.testing.assert_allclose(wild, calm, atol=2e-4)


def test_logistic_agrees_with_full_optimisation() -> None:
    inputs, returns = rows_and_labels(rows=8000)
    labels = (returns > 0).astype(float)
    said = Logistic().fit(inputs, labels, seed=0).predict(inputs)
    peer = LogisticRegression().fit(inputs, labels).predict_proba(inputs)[:, 1]
    assert np.abs(said - peer).max() < 0.05


def test_scaling_learns_from_the_rows_given_and_bounds_others() -> None:
    scaler = Scaler.of(np.array([[0.0, 7.0], [2.0, 7.0]]))
    assert scaler.apply(np.array([[3.0, 9.0], [1e9, -1e9]])).tolist() == [[2.0, 0.0], [5.0, 0.0]]


def test_rounding_does_not_make_a_constant_input_vary() -> None:
    assert Scaler.of(np.full((7, 1), 0.1)).apply(np.array([[5.0]])).tolist() == [[0.0]]


def test_an_unfitted_model_says_so() -> None:
    with pytest.raises(InputError, match="model huber: has learnt nothing: expected fit"):
        Huber().predict(np.zeros((1, 2)))
    with pytest.raises(InputError, match="has learnt nothing"):
        Huber().dump()


def test_weights_of_other_lengths_are_refused() -> None:
    raw = b'{"model": "huber", "target": "return", "state": {"mean": [0], "scale": [1], "weights": [1, 2], "base": 0}}'
    with pytest.raises(InputError, match="model huber"):
        Huber.load(raw)
