"""Jobs run side by side, on one thread each, and give the same as one after the other."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest

from tapeline.evaluate import evaluate
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.kept import InMemory, seconds_by_model
from tapeline.learning.together import together
from tapeline.models.base import Model, model_class
from tapeline.testing.models import planted


@pytest.fixture(params=[1, 3])
def processors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("tapeline.learning.together.processors", lambda: request.param)
    return int(request.param)


def test_each_job_ends_once_with_its_place_and_cost(processors: int) -> None:
    done = list(together([partial(pow, base, 2) for base in range(10)]))
    assert sorted((one.place, one.gave) for one in done) == [(base, base**2) for base in range(10)]
    assert all(one.seconds >= 0 for one in done)
    assert list(together([])) == []


def test_jobs_run_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeline.learning.together.processors", lambda: 2)
    met = threading.Barrier(2, timeout=10)
    assert len(list(together([met.wait, met.wait]))) == 2


def test_jobs_that_must_be_alone_run_in_this_thread(processors: int) -> None:
    assert {one.gave for one in together([threading.get_ident] * 4, alone=True)} == {threading.get_ident()}


def test_an_error_is_raised_and_no_further_job_begins(processors: int) -> None:
    begun: list[int] = []

    def job(number: int) -> None:
        if not number:
            raise ValueError("no such thing")
        begun.append(number)

    with pytest.raises(ValueError, match="no such thing"):
        list(together([partial(job, number) for number in range(50)]))
    assert processors > 1 or not begun


def test_models_learn_the_same_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    data = planted(3, 700, r2=0.2)
    names = ("last_price", "huber", "lightgbm", "forest", "ridge")
    kinds: list[type[Model]] = [model_class(name, "return") for name in names]
    folds = split(data, WalkForward(folds=3))
    found = []
    for count in (1, 3):
        monkeypatch.setattr("tapeline.learning.together.processors", lambda count=count: count)
        kept = InMemory()
        found.append(evaluate(data, "return", kinds, folds=folds, seed=7, level=0.95, tried=4, resamples=50, kept=kept))
        assert set(seconds_by_model(kept.seconds(), "return")) == set(names)
    for name in names:
        assert found[0].said[name].tobytes() == found[1].said[name].tobytes(), name
        assert np.isfinite(found[0].said[name]).all()
