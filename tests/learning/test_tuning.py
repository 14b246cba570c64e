"""Tuning looks only at the rows it is given, repeats itself, and goes on after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tapeline.learning.fitting import fit
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.tuning import Tuned, searches, served, tuned, variant
from tapeline.learning.walking import Walker
from tapeline.models.base import Model, Range, model_class
from tapeline.models.naive import LastPrice
from tapeline.testing.models import planted
from tapeline.types import Float


class Shrunk(LastPrice):
    """Say the signal times a number; the planted best is known."""

    name = "shrunk"
    baseline = False
    space: ClassVar[dict[str, Range]] = {"slope": Range(-1.0, 1.0, 0.0)}
    fits: ClassVar[list[int]] = []

    def fit(self, rows: Float, labels: Float, **asked: Any) -> Shrunk:
        self.fits.append(len(rows))
        return self

    def predict(self, rows: Float) -> Float:
        return 1e-4 * self.chosen.get("slope", 0.0) * rows[:, 0]


def test_it_finds_the_number_and_saves_the_plain_model() -> None:
    data = planted(1, 900, r2=0.5)
    model = fit(tuned(Shrunk, trials=25), data, seed=7)
    best = float(np.dot(data.inputs[:, 0], data.returns) / np.dot(data.inputs[:, 0], data.inputs[:, 0])) * 1e4
    chosen = searches([type(model)])[0]["chosen"]["slope"]
    assert chosen == pytest.approx(min(best, 1.0), abs=0.15)
    again = LastPrice.load(model.dump().replace(b"shrunk", b"last_price"))
    assert isinstance(again, LastPrice)


def test_a_tuned_model_is_served_as_the_plain_one() -> None:
    data = planted(1, 500, r2=0.3)
    plain = model_class("lightgbm", "return")
    kind = tuned(plain, trials=2)
    assert (kind.name, served(kind), served(plain)) == ("lightgbm_tuned", plain, plain)
    model = fit(kind, data, seed=7)
    assert plain.load(model.dump()).predict(data.inputs).tobytes() == model.predict(data.inputs).tobytes()


def test_each_fold_searches_in_its_training_rows_only() -> None:
    data = planted(2, 700, r2=0.2)
    folds = split(data, WalkForward(folds=2))
    kind = tuned(Shrunk, trials=4)
    walker = Walker(data, data.returns, folds, 7)
    said = [walker.ask(kind, number).read for number in range(2)]
    data.inputs[folds[0].test.start :] *= 5
    data.returns[folds[0].test.start :] *= -9
    again = [walker.ask(tuned(Shrunk, trials=4), number).read for number in range(2)]
    assert (again[0] / 5).tobytes() == said[0].tobytes() or np.allclose(again[0] / 5, said[0], rtol=1e-15)
    assert [one["rows"] for one in searches([kind])] == [fold.train.stop for fold in folds]


def test_a_killed_search_goes_on_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    data = planted(3, 600, r2=0.3)
    whole = fit(tuned(Shrunk, trials=15), data, seed=7)

    class Killed(Shrunk):
        """Die in the middle of a trial."""

        left: ClassVar[int] = 13

        def fit(self, rows: Float, labels: Float, **asked: Any) -> Killed:
            type(self).__mro__[1].left -= 1  # type: ignore[attr-defined]
            if Killed.left == 0:
                raise KeyboardInterrupt
            return self

    journal = tmp_path / "work" / "tuning.log"
    with pytest.raises(KeyboardInterrupt):
        fit(tuned(Killed, trials=15, journal=journal), data, seed=7)
    Shrunk.fits.clear()
    kind = tuned(Shrunk, trials=15, journal=journal)
    resumed = fit(kind, data, seed=7)
    first, second = (searches([type(model)])[0] for model in (whole, resumed))
    assert second == first
    assert resumed.predict(data.inputs).tobytes() == whole.predict(data.inputs).tobytes()
    assert len(Shrunk.fits) < 2 * 15


def test_two_searches_with_one_seed_are_equal_and_with_another_not() -> None:
    data = planted(4, 500, r2=0.3)
    found = [fit(tuned(Shrunk, trials=12), data, seed=seed) for seed in (7, 7, 8)]
    chosen = [searches([type(model)])[0]["chosen"] for model in found]
    assert chosen[0] == chosen[1] != chosen[2]


def test_unlikely_trials_are_pruned() -> None:
    data = planted(5, 900, r2=0.5)
    model = fit(tuned(Shrunk, trials=25), data, seed=7)
    assert searches([type(model)])[0]["pruned"] > 0


def test_whole_numbers_stay_whole() -> None:
    plain = model_class("lightgbm", "return")
    assert variant(plain, {"num_leaves": 7.0, "learning_rate": 0.1}).chosen == {"num_leaves": 7, "learning_rate": 0.1}
    assert isinstance(variant(plain, {"num_leaves": 7.0}).chosen["num_leaves"], int)


@pytest.mark.parametrize("name", ["lightgbm", "forest"])
def test_what_may_be_tuned_changes_the_model(name: str) -> None:
    data = planted(6, 900, r2=0.3)
    plain: type[Model] = model_class(name, "return")
    usual = fit(plain, data, seed=7).dump()
    for key, span in plain.space.items():
        assert span.low <= span.usual <= span.high
        assert fit(variant(plain, {key: span.usual}), data, seed=7).dump() == usual, key
        assert fit(variant(plain, {key: span.high}), data, seed=7).dump() != usual, key


def test_the_state_comes_back() -> None:
    data = planted(1, 300)
    kind = tuned(Shrunk, trials=1)
    model = fit(kind, data, seed=7)
    assert isinstance(kind.from_state(model.state()), Tuned)
    assert model.explain(data.inputs[0]).base == 0
