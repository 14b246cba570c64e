"""The gate's checks of descriptions: each can fail."""

from __future__ import annotations

import numpy as np
import pytest

from tapeline.evaluate import Evaluation
from tapeline.learning.describing import described
from tapeline.learning.folds import Fold
from tapeline.learning.resample import BlockBootstrap
from tapeline.types import Float

ROWS = 4000
DRAW = np.random.default_rng(1)


def evaluation(target: str, labels: Float, said: Float, answers: Float | None = None) -> Evaluation:
    boot = BlockBootstrap(ROWS, block=16, resamples=400, seed=1)
    folds = (Fold(0, slice(0, 10), slice(10, 10 + ROWS)),)
    kept = {} if answers is None else {"mine": answers}
    return Evaluation(
        target, folds, slice(10, 10 + ROWS), labels, {"mine": said}, ("mine",), (), boot, np.ones(ROWS), kept
    )


@pytest.mark.parametrize(("share", "passed"), [(0.0, False), (0.004, True), (0.01, True), (0.05, False)])
def test_the_flagged_share_must_be_about_the_one_asked_for(share: float, passed: bool) -> None:
    labels = (np.arange(ROWS) % 50 == 0).astype(float)
    flags = np.where(labels > 0, 1.0, np.arange(ROWS) % 1000 < 1000 * share)
    (check,) = described(evaluation("anomaly", labels, flags), "mine", level=0.95, rate=0.01)
    assert (check.name, check.passed) == ("rate", passed)
    assert "asked for 1.00%" in check.text


def regimes(which: Float) -> Float:
    return np.asarray(np.eye(3)[which], np.float64)


LASTING = np.arange(ROWS) // 100 % 3
VOLATILITY = np.array([1e-4, 3e-4, 9e-4])[LASTING] * np.exp(0.5 * DRAW.standard_normal(ROWS))


@pytest.mark.parametrize(
    ("which", "lasts", "rises"),
    [
        (LASTING, True, True),
        (2 - LASTING, True, False),
        (np.array([0, 2, 1])[LASTING], True, False),
        (DRAW.permutation(LASTING), False, False),
        (np.where(LASTING == 2, 0, LASTING), True, False),
        (np.where(LASTING == 0, 1, LASTING), True, True),
        (np.zeros(ROWS, np.int64), False, False),
    ],
)
def test_regimes_must_last_and_rise(which: Float, lasts: bool, rises: bool) -> None:
    found = evaluation("regime", VOLATILITY, VOLATILITY, regimes(which))
    checks = {check.name: check for check in described(found, "mine", level=0.95, rate=0.01)}
    assert {name: check.passed for name, check in checks.items()} == {"persistent": lasts, "ordered": rises}


def test_a_target_with_outcomes_is_no_description() -> None:
    assert described(evaluation("return", VOLATILITY, VOLATILITY), "mine", level=0.95, rate=0.01) == ()
