from __future__ import annotations

import numpy as np
import pytest

from tapeline.models.regime import HiddenMarkov
from tapeline.types import Float, Int


def market(seed: int, rows: int = 12_000) -> tuple[Float, Int]:
    """Return windows of a market of three regimes that last 200 rows on average, and the regime of each row."""
    draw = np.random.default_rng(seed)
    regime = np.zeros(rows, np.int64)
    for row in range(1, rows):
        regime[row] = regime[row - 1] if draw.random() > 1 / 200 else draw.integers(0, 3)
    moves = np.array([1e-4, 4e-4, 16e-4])[regime] * draw.normal(size=rows)
    windows = np.lib.stride_tricks.sliding_window_view(moves, HiddenMarkov.window)
    return windows[:, :, None].copy(), regime[HiddenMarkov.window - 1 :]


def test_the_spreads_and_the_lasting_of_planted_regimes_are_recovered() -> None:
    windows, _ = market(1)
    model = HiddenMarkov().fit(windows, np.zeros(len(windows)), seed=0, past=0)
    assert (model.spread * model.unit).tolist() == pytest.approx([1e-4, 4e-4, 16e-4], rel=0.1)
    assert np.diag(model.chain).min() > 0.98
    assert model.shares.sum() == pytest.approx(1.0)


def test_planted_regimes_are_named_and_the_probabilities_are_calibrated() -> None:
    windows, regime = market(2)
    model = HiddenMarkov().fit(windows[:6000], np.zeros(6000), seed=0, past=0)
    said = model.predict(windows[6000:])
    assert (said.argmax(axis=1) == regime[6000:]).mean() > 0.93
    sure = said.max(axis=1) > 0.9
    assert sure.mean() > 0.8
    assert (said.argmax(axis=1) == regime[6000:])[sure].mean() > 0.95


def test_the_filter_is_the_one_of_the_book() -> None:
    model = HiddenMarkov()
    model.past, model.shares = 0, np.array([0.5, 0.3, 0.2])
    model.chain = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    model.spread = np.array([0.5, 1.0, 2.0])
    moves = np.random.default_rng(3).normal(size=60)
    chance = model.shares
    for step, move in enumerate(moves):
        before = chance if step == 0 else model.chain.T @ chance
        density = np.exp(-0.5 * (move / model.spread) ** 2) / model.spread
        chance = before * density / (before * density).sum()
    assert model.predict(moves[None, :, None])[0] == pytest.approx(chance, abs=1e-5)


def test_returns_that_overlap_are_not_counted_twice() -> None:
    model = HiddenMarkov()
    model.past, model.shares = 0, np.full(3, 1 / 3)
    model.chain, model.spread = np.eye(3), np.array([0.8, 1.0, 1.2])
    moves = np.full((1, 60, 1), 0.9)
    sure = model.predict(moves).max()
    model.counts = 1 / 5
    assert model.predict(moves).max() < sure
