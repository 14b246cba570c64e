"""With sweep and tuning on, nothing is found where there is nothing: the full count is `make chaos`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapeline.learning.folds import WalkForward
from tapeline.models.base import Model
from tapeline.testing.models import planted
from tapeline.train import TrainSettings, pick_models, train

ASKED = TrainSettings(plan=WalkForward(folds=3), sweep=True, tune=5)
TRIED = 13
"""At least: five candidates for the return, four for the direction, two of each tuned; XGBoost adds more."""


def models() -> list[type[Model]]:
    """Return what a sweep may promote, with few trees where their number is a setting."""
    return [type(kind.__name__, (kind,), {"rounds": 20, "chosen": dict(kind.quick)}) for kind in pick_models(ASKED)]


def promoted_falsely(seed: int) -> bool:
    """Run everything on a random walk; every other one has its outcomes shuffled."""
    training = train(planted(seed, 700, shuffle=seed % 2 == 1), ASKED, models=models())
    assert training.report["tried"] >= TRIED
    return any(outcome.decision.promoted for outcome in training.outcomes.values())


def count_falsely(seeds: range) -> list[int]:
    """Return the seeds of false promotions, and print how many there are with the exact interval of their share."""
    from scipy.stats import binomtest

    falsely = [seed for seed in seeds if promoted_falsely(seed)]
    ends = binomtest(len(falsely), len(seeds)).proportion_ci(0.95)
    share = f"share {len(falsely) / len(seeds):.1%} [{ends.low:.1%}, {ends.high:.1%}]"
    print(f"\nfalse promotions with sweep and tuning: {len(falsely)} of {len(seeds)}, {share}: {falsely}")
    return falsely


@pytest.mark.services
def test_a_sweep_with_tuning_finds_nothing_where_nothing_is() -> None:
    assert count_falsely(range(200, 202)) == []


@pytest.fixture(autouse=True)
def no_ordinary_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what cannot be promoted: it takes the time, and changes no decision."""
    monkeypatch.setattr("tapeline.learning.sweep.ordinary_models", lambda target: [])


def test_tuning_finds_nothing_where_nothing_is() -> None:
    asked = replace(ASKED, tune=3, models=("huber", "logistic", "lightgbm"), sweep=False)
    report = train(planted(1000, 600), asked).report
    assert report["tried"] == 6
    assert not any(found["promoted"] for found in report["targets"].values())


@pytest.mark.chaos
def test_false_promotions_with_sweep_and_tuning_are_at_most_5_percent_of_100_seeds() -> None:
    assert len(count_falsely(range(100))) <= 5
