"""The suite of `tapeline.testing.models` on every model that is found."""

from __future__ import annotations

from tapeline.models.base import find_models
from tapeline.testing.models import CandidateSuite, ModelSuite

for (name, target), kind in find_models().items():
    suite = type(f"Test_{name}_{target}", (ModelSuite if kind.baseline else CandidateSuite,), {"model": kind})
    globals()[suite.__name__] = suite


def test_every_model_of_the_issue_is_found() -> None:
    found = set(find_models())
    wanted = {"last_price": "r", "majority": "d", "momentum": "rd", "mean_reversion": "rd"}
    wanted |= {"huber": "r", "logistic": "d", "lightgbm": "rd"}
    targets = {"r": "return", "d": "direction"}
    assert found >= {(name, targets[letter]) for name, letters in wanted.items() for letter in letters}


def test_baselines_come_first() -> None:
    baselines = [kind.baseline for kind in find_models().values()]
    assert baselines == sorted(baselines, reverse=True)
    assert set(baselines) == {True, False}
