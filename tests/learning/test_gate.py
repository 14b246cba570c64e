"""The gate on planted data: it promotes what is there, and refuses what is not."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from tapeline.evaluate import Evaluation, evaluate
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.gate import Evidence, decide
from tapeline.learning.leaks import Leak
from tapeline.learning.metrics import METRICS
from tapeline.learning.resample import Interval
from tapeline.models.base import Model, find_models
from tapeline.models.linear import Huber
from tapeline.models.naive import LastPrice
from tapeline.testing.models import planted
from tapeline.train import TrainSettings, train

SMALL = TrainSettings(plan=WalkForward(folds=3))


def small_models() -> list[type[Model]]:
    """Return every model, with few trees where there are trees."""
    return [
        type(kind.__name__, (kind,), {"rounds": 20}) if hasattr(kind, "rounds") else kind
        for kind in find_models().values()
        if kind.baseline or kind.by_default
    ]


def evaluated(data: Dataset, models: list[type[Model]] | None = None) -> Evaluation:
    folds = split(data, WalkForward(folds=3))
    return evaluate(data, "return", models or [LastPrice, Huber], folds=folds, seed=1, level=0.95, tried=1)


@pytest.mark.services
@pytest.mark.parametrize("shuffle", [False, True], ids=["random walk", "shuffled labels"])
def test_false_promotions_are_at_most_5_percent_of_100_seeds(
    shuffle: bool, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapeline.evaluate.MEASURES", dict.fromkeys(METRICS, ()))  # what decides nothing
    monkeypatch.setattr("tapeline.learning.task.importance", lambda *given, **asked: [])
    models = small_models()
    falsely = [
        (seed, target, outcome.decision.reason)
        for seed in range(100)
        for target, outcome in train(planted(seed, 700, shuffle=shuffle), SMALL, models=models).outcomes.items()
        if outcome.decision.promoted
    ]
    what = "shuffled labels" if shuffle else "a random walk"
    runs = len({seed for seed, _, _ in falsely})
    print(f"\nfalse promotions on {what}: {runs} of 100 runs of 4 candidates: {falsely}")
    record_property(f"false promotions on {what}", runs)
    assert runs <= 5


@pytest.mark.services
def test_shuffling_a_planted_signal_leaves_nothing() -> None:
    models = small_models()
    sets = (planted(seed, 900, r2=0.2, shuffle=True) for seed in range(10))
    promoted = [train(data, SMALL, models=models).report["promoted"] for data in sets]
    assert sum(promoted) <= 1


@pytest.mark.parametrize("r2", [0.05, 0.1, 0.2])
def test_the_stated_advantage_is_the_planted_one(r2: float) -> None:
    """Over 12 data sets of 3000 rows: the mean advantage within 0.02 of the planted R2, 10 of 12 intervals hold it."""
    stated, held, promoted = [], 0, 0
    for seed in range(12):
        found = evaluated(planted(seed, 3000, r2=r2))
        score, base = found.score("huber"), found.score("last_price").value.value
        stated.append(score.difference.value / base)
        held += score.difference.low / base <= r2 <= score.difference.high / base
        promoted += decide(found, level=0.95, tried=1).promoted
    told = f"stated {np.mean(stated):.4f} on average, {held} of 12 intervals hold it, {promoted} promoted"
    print(f"\nplanted R2 {r2}: {told}")
    assert np.mean(stated) == pytest.approx(r2, abs=0.02)
    assert held >= 10
    assert promoted >= (12 if r2 >= 0.1 else 11)


def test_a_promotion_and_a_refusal_say_why() -> None:
    found = evaluated(planted(1, 2000, r2=0.2))
    promoted = decide(found, level=0.95, tried=1)
    assert (promoted.promoted, promoted.champion) == (True, "huber")
    assert re.match(r"edge found: huber is \d+\.\d{3} % better in mse than last_price \[\+", promoted.reason)
    assert "95 % interval for 1 candidate," in promoted.reason
    refused = decide(evaluated(planted(1, 600)), level=0.95, tried=1)
    assert (refused.promoted, refused.champion) == (False, "last_price")
    assert re.match(r"no edge found: huber is \d+\.\d{3} % worse in mse than last_price \[-", refused.reason)
    assert refused.reason.endswith("; an edge needs the lower end above 0")


def test_a_leak_refuses_what_would_be_promoted() -> None:
    found = evaluated(planted(1, 2000, r2=0.2))
    leak = Leak("a truncated future", "peek", 0, 1.0, 2.0)
    decision = decide(found, level=0.95, tried=1, evidence=Evidence(refusals={"leaks": str(leak)}))
    assert (decision.promoted, decision.champion) == (False, "last_price")
    assert decision.reason.startswith("refused: leak: column peek at 1970-01-01T00:00:00Z knows what comes later")


def test_an_edge_in_shuffled_outcomes_refuses() -> None:
    found = evaluated(planted(1, 2000, r2=0.2))
    evidence = Evidence(refusals={"leaks": "", "placebo": "it leaks"})
    assert decide(found, level=0.95, tried=1, evidence=evidence).reason == "refused: it leaks"


def test_without_candidates_there_is_nothing_to_promote() -> None:
    decision = decide(evaluated(planted(1, 600), [LastPrice]), level=0.95, tried=1)
    assert (decision.promoted, decision.champion) == (False, "last_price")
    assert "no candidate was tried" in decision.reason


def test_a_constant_outcome_is_said() -> None:
    data = planted(1, 600)
    data.returns[:] = 0.0
    decision = decide(evaluated(data), level=0.95, tried=1)
    assert decision.reason.startswith("no edge found: the outcome is constant (0) in all ")


@pytest.mark.parametrize(
    ("share", "promoted"),
    [
        (Interval(0.8, 0.78, 0.82), True),
        (Interval(0.7, 0.6, 0.76), True),
        (Interval(0.7, 0.66, 0.74), False),
        (Interval(0.9, 0.86, 0.94), False),
        (Interval(0.7, np.nan, np.nan), False),
        (Interval(np.nan, np.nan, np.nan), True),
    ],
)
def test_intervals_that_do_not_hold_refuse(share: Interval, promoted: bool) -> None:
    found = evaluated(planted(1, 2000, r2=0.2))
    decision = decide(found, level=0.95, tried=1, evidence=Evidence(coverage=share, coverage_asked=0.8))
    assert decision.promoted is promoted
    if not promoted:
        assert decision.reason.startswith(f"refused: {share.value:.1%} of outcomes")


def test_to_trade_the_net_earnings_must_be_better() -> None:
    found = evaluated(planted(1, 2000, r2=0.2))
    for low, promoted in ((1e-6, True), (-1e-6, False)):
        evidence = Evidence("trade", {"huber": Interval(1e-5, low, 2e-5)})
        decision = decide(found, level=0.95, tried=1, evidence=evidence)
        assert (decision.promoted, decision.candidate) == (promoted, "huber")
        assert "following huber earns +0.100 bp a row more after costs than the best baseline" in decision.reason


def test_a_decision_names_every_check() -> None:
    found = evaluated(planted(1, 600))
    evidence = Evidence(coverage=Interval(0.8, 0.7, 0.9), coverage_asked=0.8, refusals={"leaks": "", "data": "bad"})
    checks = {check.name: check.passed for check in decide(found, level=0.95, tried=1, evidence=evidence).checks}
    assert checks == {"edge": False, "coverage": True, "leaks": True, "data": False}
