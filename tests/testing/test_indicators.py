"""The conformance suite can fail: each planted fault is caught by the check that names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tapeline.features import FeatureFold, FeatureRows, FeatureSet
from tapeline.indicators.base import find
from tapeline.testing import indicators as suite
from tapeline.types import Records

FAULTY = """
from math import inf, nan

from tapeline.indicators.base import WINDOW, Indicator, Output, Unit


def update(state, candle, window):
    state.seen += 1
    state.total += candle.close
    if state.seen < window:
        return nan
    return state.total if candle.volume > 0.0 else inf


INDICATOR = Indicator(
    update=update,
    state=lambda window: {"total": float, "seen": int},
    parameters=(WINDOW,),
    outputs=(Output(Unit.RATIO),),
    warmup=lambda window: window,
    inputs=("close", "high"),
    source="",
)
"""


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureSet:
    file = tmp_path / "faulty.py"
    file.write_text(FAULTY, encoding="utf-8")
    monkeypatch.setenv("TAPELINE_INDICATORS", str(file))
    monkeypatch.setenv("TAPELINE_CACHE", str(tmp_path))
    return suite.feature_set(["faulty"])


def test_an_indicator_of_others_is_found_and_its_faults_are_named(faulty: FeatureSet) -> None:
    assert suite.groups()["faulty"] == ["faulty"]
    found = {check.__name__: check(faulty, lambda: FeatureFold(faulty)) for check in suite.CHECKS}
    assert found["check_warmup"][0] == "faulty_2: warm after 1 candles, declared 2"
    assert found["check_finite"][0] == "faulty_2: infinite"
    assert found["check_unit"][0] == "faulty_2: its unit is not ratio: with all prices x 4 it does not change x 1"
    assert found["check_inputs"][0] == "faulty_2: reads ['close'], declared ['close', 'high']"
    assert found["check_documented"][0] == "faulty: does not state a docstring"
    assert not found["check_prefix"] + found["check_splits"] + found["check_state"] + found["check_restart"]


class Peeking(FeatureFold):
    """Gives each candle the value of the next one."""

    def feed(self, candles: Records) -> FeatureRows:
        rows = super().feed(candles)
        rows.values[:-1] = rows.values[1:].copy()
        return rows


class Forgetful(FeatureFold):
    """Keeps its state out of the snapshot."""

    def restore(self, snapshot: bytes) -> None:
        super().restore(bytes(len(snapshot)))


class Mindful(FeatureFold):
    """Takes no notice of a restart."""

    def feed(self, candles: Records) -> FeatureRows:
        seamless = candles.copy()
        seamless["restart"] = False
        return super().feed(seamless)


class Centred(FeatureFold):
    """Takes the mean of its whole batch away: right in no batch but its own."""

    def feed(self, candles: Records) -> FeatureRows:
        rows = super().feed(candles)
        rows.values[:] -= np.nanmean(rows.values) if np.isfinite(rows.values).any() else 0.0
        return rows


@pytest.mark.parametrize(
    ("fold", "caught_by"),
    [
        (Peeking, {"warmup", "prefix", "future", "one_row", "splits"}),
        (Forgetful, {"splits"}),
        (Mindful, {"restart"}),
        (Centred, {"prefix", "future", "one_row", "splits", "restart"}),
        (FeatureFold, set()),
    ],
)
def test_a_planted_fault_of_a_fold_is_caught(fold: type[FeatureFold], caught_by: set[str]) -> None:
    features = FeatureSet.of(["sma(5)"])
    checks = [check for check in suite.CHECKS if check.__name__ not in ("check_unit", "check_documented")]
    caught = {check.__name__.removeprefix("check_") for check in checks if check(features, lambda: fold(features))}
    assert caught == caught_by


def test_choices_are_within_the_ranges() -> None:
    for key in suite.groups()["shipped"]:
        indicator = find(key)
        for choice in suite.parameter_choices(indicator):
            for parameter, value in zip(indicator.parameters, choice, strict=True):
                assert parameter.check(key, value) == value
