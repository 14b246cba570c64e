"""One round of retraining for a cron job: what a live process does when it is due."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests import stored

from tapeline.clock import DAY, MINUTE, ManualClock
from tapeline.config import load_settings
from tapeline.learning.folds import WalkForward
from tapeline.registry import Registry
from tapeline.runners import schedule
from tapeline.runners.schedule import retrain
from tapeline.simulator.market import JANUARY_2024, Market
from tapeline.stores.memory import MemoryStore
from tapeline.train import TrainSettings
from tapeline.types import Frame

NAME = stored.TRADED
CLOCK = ManualClock(JANUARY_2024)
ASKED = TrainSettings(models=("huber",), beside=("return",), plan=WalkForward(folds=2), resamples=200)


@pytest.fixture
def store() -> MemoryStore:
    """A database of two days whose order flow tells what comes."""
    store = MemoryStore()
    market = Market(3, trades_per_second=0.1, steady=True, edge=0.2, edge_horizon=5 * MINUTE)
    stored.fill(store, Frame.concat(list(market.frames(duration=2 * DAY))))
    return store


@pytest.mark.parametrize(("shadow", "second"), [("1h", "challenger"), ("0s", "champion")])
def test_what_is_promoted_answers_or_challenges(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shadow: str, second: str
) -> None:
    monkeypatch.setattr(schedule, "runs_of", lambda settings: [("return", ASKED)])
    settings = load_settings(timeframes=("1m",), feature_sets=("bars",), runs=tmp_path, predict="1m/5m", shadow=shadow)
    (first,) = retrain(store, settings, [NAME], clock=CLOCK)
    assert (first.model, first.status) == (f"{NAME}_1m_5m", "champion")
    assert first.reason.startswith("edge found: huber")
    monkeypatch.setattr(schedule, "runs_of", lambda settings: [("return", replace(ASKED, models=("ridge",)))])
    (again,) = retrain(store, settings, [NAME], clock=CLOCK)
    assert again.status == second
    assert {entry.version for entry in Registry(store).entries(NAME)} == {first.version, again.version}


def test_what_has_too_few_rows_is_told(store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "runs_of", lambda settings: [("return", ASKED)])
    settings = load_settings(timeframes=("1m",), feature_sets=("bars",), runs=tmp_path, predict="1m/1d")
    (told,) = retrain(store, settings, [NAME], clock=CLOCK)
    assert (told.version, told.status, told.run) == (None, "not trained", None)
    assert "has no row to learn from" in told.reason
