from __future__ import annotations

import numpy as np
import pytest

from tapeline.models.trend import TrendMarkov, TrendMixture, beside_a_walk
from tapeline.types import Float

HORIZON = 3


def windows(moves: Float, width: int = TrendMarkov.window) -> Float:
    """Return windows of the past returns over the horizon, of steps of one row."""
    past = np.convolve(moves, np.ones(HORIZON), "valid")
    return np.lib.stride_tricks.sliding_window_view(past, width)[:, :, None].copy()


def persisting(memory: Float, seed: int) -> Float:
    """Return steps of which each holds so much of the one before."""
    steps = np.random.default_rng(seed).normal(size=len(memory))
    for row in range(1, len(steps)):
        steps[row] += memory[row] * steps[row - 1]
    return steps


def switching(rows: int, size: float, seed: int) -> Float:
    """Return memories that change their sign after 300 rows on average."""
    turns = np.random.default_rng(seed).random(rows) < 1 / 300
    return size * np.where(turns.cumsum() % 2 > 0, 1.0, -1.0)


@pytest.mark.parametrize("memory", [-0.5, 0.0, 0.5])
def test_what_is_seen_is_the_ratio_of_variances_of_the_book(memory: float) -> None:
    seen = beside_a_walk(windows(persisting(np.full(40_000, memory), 1))[:, :, 0], HORIZON)
    lags = np.arange(1, HORIZON)
    longer = 1 + 2 * float(((1 - lags / HORIZON) * memory**lags).sum())
    left = 1 - memory**HORIZON  # the step that came and the one that left hang together, too
    assert np.mean(seen**2) == pytest.approx(longer / left, rel=0.05)


def test_a_louder_market_looks_the_same() -> None:
    rows = windows(persisting(np.full(300, 0.3), 2))[:, :, 0]
    assert beside_a_walk(8 * rows, HORIZON).tobytes() == beside_a_walk(rows, HORIZON).tobytes()


def test_a_straight_line_is_held_and_a_still_market_is_as_a_walk() -> None:
    assert beside_a_walk(np.full((1, 60), 1e-4), HORIZON).tolist() == [[20.0] * 60]
    assert beside_a_walk(np.zeros((1, 60)), HORIZON).tolist() == [[1.0] * 60]


@pytest.mark.parametrize("kind", [TrendMarkov, TrendMixture])
def test_where_nothing_moves_neither_is_sure(kind: type[TrendMarkov] | type[TrendMixture]) -> None:
    rows = windows(persisting(switching(6000, 0.6, 3), 3), kind.window)
    model = kind().fit(rows, np.zeros(len(rows)), seed=0, overlap=HORIZON, past=0)
    said = model.predict(np.zeros((1, kind.window, 1)))[0]
    assert 0.1 < said[1] < 0.9
    assert said.sum() == pytest.approx(1.0)


def test_the_chain_says_more_than_the_level_of_late() -> None:
    memory = switching(16_000, 0.3, 4)
    steps = persisting(memory, 4)
    right = []
    for kind in (TrendMixture, TrendMarkov):
        rows = windows(steps, kind.window)
        trends = memory[-len(rows) :] > 0
        model = kind().fit(rows[:10_000], np.zeros(10_000), seed=0, overlap=HORIZON, past=0)
        said = model.predict(rows[10_000:])[:, 1]
        hit = np.where(trends[10_000:], said, 1 - said)
        right.append(float(np.log(hit).mean()))
    assert right[1] > right[0] + 0.05


def test_in_a_walk_the_chain_is_never_sure() -> None:
    rows = windows(persisting(np.zeros(8000), 5))
    model = TrendMarkov().fit(rows[:4000], np.zeros(4000), seed=0, overlap=HORIZON, past=0)
    assert model.spread[1] / model.spread[0] < 1.15
