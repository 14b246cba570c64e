"""The suite of `tapeline.testing.models` on every model that is found."""

from __future__ import annotations

import pytest

from tapeline.models.base import find_models
from tapeline.testing.models import suite_for

for (name, target), kind in find_models().items():
    marks = [pytest.mark.services] if kind.extra else []
    suite = type(f"Test_{name}_{target}", (suite_for(kind),), {"model": kind, "pytestmark": marks})
    globals()[suite.__name__] = suite

CLASSES = {"direction3", "barrier"}
WANTED = {
    "last_price": {"return"},
    "drift": {"return"},
    "majority": {"direction", *CLASSES},
    "momentum": {"return", "direction"},
    "mean_reversion": {"return", "direction"},
    "seasonal": {"return", "direction"},
    "constant": {"volatility"},
    "persistence": {"volatility"},
    "huber": {"return"},
    "ridge": {"return", "volatility"},
    "logistic": {"direction", *CLASSES},
    "lightgbm": {"return", "direction", "volatility", *CLASSES},
}


def test_every_model_of_the_issue_is_found() -> None:
    assert set(find_models()) >= {(name, target) for name, targets in WANTED.items() for target in targets}


def test_baselines_come_first_and_the_simplest_before_them() -> None:
    baselines = [kind.baseline for kind in find_models().values()]
    assert baselines == sorted(baselines, reverse=True)
    assert set(baselines) == {True, False}
    first = {target: name for name, target in reversed(find_models())}
    assert (first["return"], first["direction"], first["volatility"]) == ("last_price", "majority", "constant")
