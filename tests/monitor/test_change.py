import numpy as np
import pytest

from tapeline.monitor.change import ChangeDetector


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
