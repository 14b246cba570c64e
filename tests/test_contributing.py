"""The indicator that CONTRIBUTING.md shows is written to a file, found, compiled and right."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import talib

from tapeline.features import FeatureFold, FeatureSet
from tapeline.types import CANDLE


@pytest.fixture
def shown(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    match = re.search(r"```python\n(.*?)```", (root / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    assert match
    file = tmp_path / "midpoint_shown.py"
    file.write_text(match[1], encoding="utf-8")
    monkeypatch.setenv("TAPELINE_INDICATORS", str(file))
    monkeypatch.setenv("TAPELINE_CACHE", str(tmp_path / "cache"))
    return file


@pytest.mark.usefixtures("shown")
def test_the_shown_indicator_equals_its_source_however_it_is_cut() -> None:
    candles = np.zeros(50, CANDLE)
    candles["close"] = 100.0 + np.random.default_rng(7).normal(size=50).cumsum()
    candles["complete"] = True
    features = FeatureSet.of(["midpoint_shown(14)"])
    whole = FeatureFold(features).feed(candles).values
    np.testing.assert_allclose(whole[:, 0], talib.MIDPOINT(candles["close"], 14), rtol=1e-12)

    first, second = FeatureFold(features), FeatureFold(features)
    head = first.feed(candles[:20]).values
    second.restore(first.snapshot())
    np.testing.assert_array_equal(np.vstack([head, second.feed(candles[20:]).values]), whole)


def test_it_takes_thirty_lines(shown: Path) -> None:
    code = [line for line in shown.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(code) <= 30
