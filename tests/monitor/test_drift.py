from collections.abc import Callable

import numpy as np
import pytest

from tapeline.clock import DAY, HOUR, MINUTE
from tapeline.errors import NotEnoughData, UsageError
from tapeline.monitor.drift import Drift, DriftDetector
from tapeline.types import Float, Int

DAYS, COLUMNS = 10, ("a", "b", "c")
ROWS = DAY // MINUTE


def quiet(seed: int, days: int = DAYS + 1) -> tuple[Float, Int]:
    """Return numbers that hang together over some twenty rows, and their minutes."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((days * ROWS, len(COLUMNS)))
    for at in range(1, len(rows)):
        rows[at] = 0.9 * rows[at - 1] + np.sqrt(1 - 0.81) * rows[at]
    return rows, np.arange(len(rows), dtype=np.int64) * MINUTE


def check(rows: Float, as_of: Int, newer: Float) -> list[Drift]:
    detector = DriftDetector(rows[:-ROWS], as_of[:-ROWS], COLUMNS, resamples=500)
    return detector.check(newer, as_of[-ROWS:])


def frozen(column: Float) -> Float:
    return np.full_like(column, column[0])


def heavier_tail(column: Float) -> Float:
    return np.where(np.arange(len(column)) % 15 == 0, 6 * column, column)


def partly_missing(column: Float) -> Float:
    return np.where(np.arange(len(column)) % 10 == 0, np.nan, column)


FAULTS: dict[str, Callable[[Float], Float]] = {
    "mean": lambda column: column + 0.7,
    "variance": lambda column: 2 * column,
    "tail": heavier_tail,
    "frozen": frozen,
    "units": lambda column: 1000 * column,
    "missing": partly_missing,
    "all below what was ever seen": lambda column: column - 100,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_shift_is_found_in_its_column_alone(fault: str) -> None:
    rows, as_of = quiet(1)
    newer = rows[-ROWS:].copy()
    newer[:, 1] = FAULTS[fault](newer[:, 1])

    levels = [drift.level for drift in check(rows, as_of, newer)]

    assert levels[1] != "none"
    assert levels[0] == levels[2] == "none"


def test_quiet_data_alarms_no_more_often_than_it_was_told() -> None:
    seeds, alarms = 200, 0
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        rows = random.standard_normal((3000, 3))
        as_of = np.arange(3000, dtype=np.int64) * MINUTE
        detector = DriftDetector(rows[:2500], as_of[:2500], COLUMNS, block=50, resamples=300, false_alarms=0.05)
        alarms += any(drift.level != "none" for drift in detector.check(rows[2500:], as_of[2500:]))
    print(f"{alarms} of {seeds} checks of quiet data alarmed; told: 5 %")
    assert alarms <= 0.05 * seeds


def test_few_days_tell_less_of_how_far_days_lie_apart_than_as_many_stretches_of_more_days() -> None:
    rows, as_of = quiet(5, 2)
    detector = DriftDetector(rows, as_of, COLUMNS, block=100, resamples=10)
    of_two = detector._between_stretches(200)
    detector._days = 10
    assert (of_two > 1.1 * detector._between_stretches(200)).all()


def test_the_hour_of_the_day_is_no_drift() -> None:
    rows, as_of = quiet(2)
    rows += 3 * np.sin(2 * np.pi * (as_of % DAY) / DAY)[:, None]
    evening = as_of[-ROWS:] % DAY >= 18 * HOUR
    detector = DriftDetector(rows[:-ROWS], as_of[:-ROWS], COLUMNS, resamples=500)

    drifts = detector.check(rows[-ROWS:][evening], as_of[-ROWS:][evening])

    assert [drift.level for drift in drifts] == ["none"] * 3


def test_psi_is_that_of_the_definition() -> None:
    reference = np.repeat(np.arange(10.0), 100)[:, None]
    now = np.concatenate([np.repeat(0.0, 280), np.repeat(np.arange(1.0, 10.0), 80)])[:, None]
    detector = DriftDetector(reference, np.zeros(1000, np.int64), ["x"], block=100, resamples=10)

    (drift,) = detector.check(now, np.zeros(1000, np.int64))

    expected = (0.28 - 0.1) * np.log(0.28 / 0.1) + 9 * (0.08 - 0.1) * np.log(0.08 / 0.1)
    assert drift.psi == pytest.approx(expected, rel=0.02)
    assert drift.ks == pytest.approx(0.18, abs=1e-9)


def test_a_short_reference_is_refused_with_what_is_missing() -> None:
    with pytest.raises(NotEnoughData, match="drift reference: is short: expected 2400 rows, was 100"):
        DriftDetector(np.zeros((100, 1)), np.zeros(100, np.int64), ["x"])


def test_rows_without_names_are_refused() -> None:
    with pytest.raises(UsageError, match="does not fit its names"):
        DriftDetector(np.zeros((100, 2)), np.zeros(100, np.int64), ["x"])
