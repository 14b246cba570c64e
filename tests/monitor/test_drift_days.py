"""Drift on whole days of the simulated market: volatility that wanders and has its hour, lulls, bursts and jumps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tapeline.candles import CandleFold
from tapeline.clock import DAY, MINUTE
from tapeline.features import FeatureFold
from tapeline.model_rows import learning_set
from tapeline.monitor.drift import Drift, DriftDetector
from tapeline.simulator.market import Market
from tapeline.types import Float, Int, Timeframe

ROWS = DAY // MINUTE
REFERENCE = 12_000


def days(seed: int, count: int) -> tuple[Float, Int, list[str]]:
    """Return the rows of the set ``market`` that champions see, their instants and names."""
    fold, features = CandleFold([Timeframe.parse("1m")]), learning_set("market", "1m", 5 * MINUTE)
    parts = [fold.feed(frame)[0][0] for frame in Market(seed, trades_per_second=1.0).frames(duration=count * DAY)]
    candles = np.concatenate(parts)
    made = FeatureFold(features).feed(candles)
    inputs, columns = features.inputs(made.values, candles["close"])
    whole = made.complete & np.isfinite(inputs).all(axis=1)
    return inputs[whole], made.as_of[whole], columns


def checks(seed: int, count: int, *, reference: int = REFERENCE, newer: int = ROWS) -> Iterator[list[Drift]]:
    """Yield what is found in stretches of ``newer`` rows, each after a reference of its own."""
    inputs, as_of, columns = days(seed, count)
    for start in range(0, len(inputs) - reference - newer, reference + newer):
        cut, end = start + reference, start + reference + newer
        detector = DriftDetector(inputs[start:cut], as_of[start:cut], columns, block=min(240, reference // 10))
        yield detector.check(inputs[cut:end], as_of[cut:end])


def alarms(found: list[list[Drift]]) -> int:
    """Return how many checks alarmed."""
    return sum(any(drift.level != "none" for drift in drifts) for drifts in found)


@pytest.mark.services
def test_quiet_days_alarm_hardly_ever() -> None:
    found = [drifts for seed in (1, 4) for drifts in checks(seed, 40)]
    assert len(found) == 8
    assert alarms(found) <= 1, "with bounds of blocks alone these are 3"


def test_what_is_planted_in_a_day_is_found_in_spite_of_the_days_before() -> None:
    inputs, as_of, columns = days(3, 10)
    newer, at = inputs[REFERENCE : REFERENCE + ROWS].copy(), as_of[REFERENCE : REFERENCE + ROWS]
    planted: dict[str, Callable[[Float], Float]] = {
        "buy_pressure": lambda x: x + x.std(),
        "volume_ratio_20": lambda x: 0 * x + 1,
        "trade_count": lambda x: 9 * x,
    }
    for name, fault in planted.items():
        newer[:, columns.index(name)] = fault(newer[:, columns.index(name)])
    detector = DriftDetector(inputs[:REFERENCE], as_of[:REFERENCE], columns)
    levels = {drift.column: drift.level for drift in detector.check(newer, at)}
    assert {name for name, level in levels.items() if level != "none"} == planted.keys()


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("reference", "newer"),
    [(REFERENCE, ROWS), (REFERENCE, ROWS // 3), (3 * ROWS, 3 * ROWS // 7), (2 * ROWS, 2 * ROWS // 7)],
)
def test_days_alarm_no_more_often_than_stated(reference: int, newer: int) -> None:
    found = [drifts for seed in range(40) for drifts in checks(seed, 50, reference=reference, newer=newer)][:200]
    print(f"{alarms(found)} of {len(found)} checks of {newer} rows against {reference} alarmed; stated: 5 %")
    assert alarms(found) <= 0.05 * len(found)
