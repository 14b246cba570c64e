from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tapeline.monitor.change import Adwin, Change, ChangeDetector, PageHinkley
from tapeline.types import Float


def test_a_model_that_gets_worse_is_noticed_soon() -> None:
    found = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        errors = np.abs(random.standard_normal(1000)) * np.where(np.arange(1000) < 600, 1.0, 1.8)
        changes = ChangeDetector().update_all(errors)
        found += any(600 <= change.at < 900 for change in changes)
    assert found >= 18


def test_steady_errors_raise_hardly_any_alarm() -> None:
    alarms = sum(
        bool(ChangeDetector().update_all(np.abs(np.random.default_rng(seed).standard_normal(2000))))
        for seed in range(100)
    )
    print(f"{alarms} of 100 steady streams of 2000 alarmed")
    assert alarms <= 5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_unknown_errors_are_passed_over(value: float) -> None:
    detector = ChangeDetector(warmup=10)
    assert not detector.update_all(np.full(50, value))


def test_a_change_says_which_way_it_went() -> None:
    steps = np.concatenate((np.zeros(400), np.ones(400), -np.ones(400))) + np.tile([0.1, -0.1], 600)
    changes = ChangeDetector(warmup=20).update_all(steps)
    assert [(change.rose, 400 <= change.at < 500 or 800 <= change.at < 900) for change in changes] == [
        (True, True),
        (False, True),
    ]
    assert changes[-1] == Change(changes[-1].at, "ADWIN", False)


def first(update: Callable[[float], object], values: Float) -> int | None:
    return next((at for at, value in enumerate(values.tolist()) if update(value)), None)


@pytest.mark.services
def test_both_detectors_notice_what_those_of_river_do() -> None:
    """Importing river takes seconds, so this is no test of every day."""
    from river import drift

    waited = []
    for seed in range(24):
        values = np.random.default_rng(seed).normal(size=2_000)
        values[1_000:] += 0.5 * (seed % 4)
        theirs, slope = drift.ADWIN(delta=0.0005), drift.PageHinkley(delta=0.25, threshold=20.0, mode="up")

        def adwin(value: float, theirs: drift.ADWIN = theirs) -> bool:
            theirs.update(value)
            return bool(theirs.drift_detected)

        def rises(value: float, slope: drift.PageHinkley = slope) -> bool:
            slope.update(value)
            return bool(slope.drift_detected)

        ours = first(Adwin(0.0005).update, values)
        assert first(PageHinkley(20.0).update, values) == first(rises, values)
        assert (ours is None) == (seed % 4 == 0)
        if ours is not None:
            waited.append(ours - (first(adwin, values) or 2_000))
    print(f"our ADWIN noticed {np.mean(waited):+.0f} numbers after river's")
    assert np.mean(waited) <= 0
