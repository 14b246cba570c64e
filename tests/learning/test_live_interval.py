"""The interval of a served model: one state, however rows are cut into batches and wherever it was stopped."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.errors import SnapshotMismatch
from tapeline.learning.artifact import Artifact
from tapeline.learning.conformal import TrackedInterval
from tapeline.learning.live_interval import LiveInterval
from tapeline.learning.windows import Stretch
from tapeline.types import Bool, Float

ROWS, HORIZON, BEGINS = 400, 5, 100
DRAW = np.random.default_rng(1)
VALUES = 1e-4 * DRAW.standard_normal(ROWS)
UNIT = np.exp(0.3 * DRAW.standard_normal(ROWS))
CLOSE = 100 * np.exp(np.cumsum(2e-3 * DRAW.standard_normal(ROWS)))
AS_OF = MINUTE * np.arange(1, ROWS + 1)
WHOLE = np.ones(ROWS, np.bool_)
GAP = WHOLE.copy()
GAP[200:230] = False


def artifact(**changes: object) -> Artifact:
    known = {"low": -1e-3, "high": 1.5e-3, "coverage": 0.8, "trained_from": 0, "trained_to": BEGINS * MINUTE}
    task = ("BTC-USD.SIM", "1m", HORIZON * MINUTE, "return", "last_price", "{}", ("x",), "planted", "0")
    rest = {"rows": 9, "run": "", "data_hash": "", "seed": 1, "code_version": "", "interval_rate": 0.1}
    return replace(Artifact(*task, **(known | rest)), **changes)  # type: ignore[arg-type]


def said(whole: Bool) -> Float:
    return np.where(whole, VALUES, np.nan)


def follow(interval: LiveInterval, rows: slice, whole: Bool = WHOLE) -> Float:
    seen = Stretch(np.zeros((ROWS, 1))[rows], AS_OF[rows], whole[rows])
    return interval.follow(seen, CLOSE[rows], said(whole)[rows], UNIT[rows])


def by_hand(whole: Bool) -> Float:
    """Return the ends as the rule says them: no slots, all predictions looked through at each row."""
    tracked = TrackedInterval(-1e-3, 1.5e-3, 0.8, rate=0.1)
    made = np.full((ROWS, 2), np.nan)
    for row in range(ROWS):
        then = row - HORIZON
        if then >= BEGINS - 1 and whole[row] and whole[then]:
            came = math.log(CLOSE[row] / CLOSE[then])
            tracked.learn(below=came < made[then, 0], above=came > made[then, 1])
        if whole[row]:
            made[row] = VALUES[row] + np.array(tracked.bounds) * UNIT[row]
    return made


@pytest.mark.parametrize("whole", [WHOLE, GAP], ids=["whole", "a gap"])
def test_each_outcome_is_learnt_from_before_the_row_that_brings_it(whole: Bool) -> None:
    made = follow(LiveInterval(artifact()), slice(None), whole)
    np.testing.assert_array_equal(made, by_hand(whole))
    first = BEGINS - 1 + HORIZON
    in_units = (made - said(whole)[:, None]) / UNIT[:, None]
    np.testing.assert_allclose(in_units[:first], [[-1e-3, 1.5e-3]] * first)
    assert (np.diff(in_units[first:200], axis=0) != 0).all()


@pytest.mark.parametrize("size", [1, 3, 5, 7, 64])
@pytest.mark.parametrize("whole", [WHOLE, GAP], ids=["whole", "a gap"])
def test_cut_anywhere_and_restored_gives_the_same_bits(whole: Bool, size: int) -> None:
    together, interval = follow(LiveInterval(artifact()), slice(None), whole), LiveInterval(artifact())
    parts = []
    for at in range(0, ROWS, size):
        again = LiveInterval(artifact())
        again.restore(interval.snapshot())
        parts.append(follow(again, slice(at, at + size), whole))
        interval = again
    assert np.concatenate(parts).tobytes() == together.tobytes()


def test_a_candle_that_never_came_settles_nothing() -> None:
    interval, shorter = LiveInterval(artifact()), LiveInterval(artifact())
    follow(interval, slice(0, 200))
    shorter.restore(interval.snapshot())
    before = interval.snapshot()[:16]
    follow(interval, slice(210, 215))
    assert interval.snapshot()[:16] == before
    follow(shorter, slice(200, 201))
    assert shorter.snapshot()[:16] != before


def test_rows_of_the_training_teach_nothing() -> None:
    interval, cold = LiveInterval(artifact()), LiveInterval(artifact())
    follow(interval, slice(0, BEGINS - 1))
    assert interval.snapshot() == cold.snapshot()
    whole = follow(LiveInterval(artifact()), slice(None))
    assert follow(cold, slice(BEGINS - 1, None)).tobytes() == whole[BEGINS - 1 :].tobytes()


@pytest.mark.parametrize(
    "changes", [{"interval_rate": 0.0}, {"low": math.nan, "high": math.nan}, {"target": "volatility"}]
)
def test_ends_that_stay_need_no_state(changes: dict[str, object]) -> None:
    assert LiveInterval.of(artifact(**changes)) is None
    assert LiveInterval.of(artifact()) is not None


def test_a_state_of_another_horizon_is_refused() -> None:
    state = LiveInterval(artifact()).snapshot()
    with pytest.raises(SnapshotMismatch, match="interval of a model: cannot take this state: expected 208 bytes"):
        LiveInterval(artifact(horizon=6 * MINUTE)).restore(state)


def test_an_artefact_of_before_keeps_its_bytes_and_its_ends() -> None:
    stays, moves = artifact(interval_rate=0.0), artifact()
    assert b"interval_rate" not in stays.dump()
    assert Artifact.load(stays.dump()) == stays
    assert Artifact.load(moves.dump()) == moves
    assert moves.version != stays.version
