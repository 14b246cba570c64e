"""The conformance suite of models: subclass `CandidateSuite`, or `ModelSuite` for a baseline, and name yours.

::

    class TestMine(CandidateSuite):
        model = Mine
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.errors import InputError
from tapeline.learning.dataset import Dataset
from tapeline.models.base import Model
from tapeline.types import Float

_COLUMNS = ("signal", "noise_1", "noise_2", "noise_3")


def planted(
    seed: int, rows: int = 900, *, horizon: int = 3, r2: float = 0.0, shuffle: bool = False, tails: float = 5.0
) -> Dataset:
    """Make a dataset of which everything is known.

    A random walk (Student's t steps) seen every minute, outcomes over ``horizon`` minutes, so neighbours overlap. The
    column ``signal`` explains the share ``r2`` of the variance of the outcome; others are noise, the last one is the
    past return. With ``shuffle`` outcomes are put in random order.

    >>> planted(0, 100).inputs.shape
    (100, 5)
    """
    draw = np.random.default_rng(seed)
    steps = 1e-4 * draw.standard_t(tails, rows + 2 * horizon)
    sums = np.convolve(steps, np.ones(horizon), "valid")
    past, returns = sums[:rows], sums[horizon : horizon + rows]
    inputs = np.column_stack((draw.normal(size=(rows, len(_COLUMNS))), past))
    if r2:
        scale = 1e-4 * np.sqrt(tails / (tails - 2) * horizon * r2 / (1 - r2))
        returns = returns + scale * inputs[:, 0]
    if shuffle:
        returns = draw.permutation(returns)
    as_of = np.arange(1, rows + 1, dtype=np.int64) * MINUTE
    close = 100 * np.exp(np.cumsum(steps[:rows]))
    columns = (*_COLUMNS, f"return_{horizon}")
    span = horizon * MINUTE
    return Dataset("BTC-USD.SIM", "1m", span, "planted", "0", columns, 4, as_of, inputs, close, returns, as_of + span)


class ModelSuite:
    """What holds for every model."""

    model: ClassVar[type[Model]]

    def fitted(self, data: Dataset, rows: slice = slice(None), seed: int = 7) -> Model:
        """Fit the model to rows of a dataset."""
        labels = data.labels(self.model.target)
        return self.model().fit(data.inputs[rows], labels[rows], seed=seed, overlap=data.overlap, past=data.past)

    def loss(self, said: Float, labels: Float) -> float:
        """Return the mean of what decides: squared error, or log loss."""
        if self.model.target == "return":
            return float(np.mean((said - labels) ** 2))
        return float(-np.mean(np.log(np.where(labels > 0, said, 1 - said))))

    def check_output(self, said: Float, rows: int) -> None:
        """Assert one usable number per row."""
        assert said.shape == (rows,)
        assert said.dtype == np.float64
        assert np.isfinite(said).all()
        if self.model.target == "direction":
            assert ((said > 0) & (said < 1)).all()

    def test_says_one_number_per_row(self) -> None:
        """Return finite numbers; probabilities strictly between 0 and 1."""
        data = planted(1, 400, r2=0.2)
        model = self.fitted(data)
        self.check_output(model.predict(data.inputs), 400)
        self.check_output(model.predict(data.inputs[:0]), 0)

    def test_same_seed_same_bytes(self) -> None:
        """Learn the same from the same."""
        data = planted(2, 500, r2=0.2)
        assert self.fitted(data).dump() == self.fitted(data).dump()

    def test_saved_and_loaded_predicts_the_same_bits(self) -> None:
        """Come back from JSON as it went."""
        data = planted(3, 500, r2=0.2)
        model = self.fitted(data)
        again = self.model.load(model.dump())
        assert again.dump() == model.dump()
        assert again.predict(data.inputs).tobytes() == model.predict(data.inputs).tobytes()

    def test_a_row_alone_is_the_row_among_others(self) -> None:
        """Predict the same bits one by one, in cuts, and from other memory layouts."""
        data = planted(4, 700, r2=0.2)
        model = self.fitted(data)
        whole = model.predict(data.inputs).tobytes()
        single = [model.predict(data.inputs[row : row + 1]) for row in range(700)]
        assert np.concatenate(single).tobytes() == whole
        cuts = [model.predict(part) for part in np.array_split(data.inputs, [1, 2, 9, 100, 101, 355])]
        assert np.concatenate(cuts).tobytes() == whole
        assert model.predict(np.asfortranarray(data.inputs)).tobytes() == whole

    def test_leaves_its_inputs_alone(self) -> None:
        """Change neither rows nor labels."""
        data = planted(5, 300)
        rows, labels = data.inputs.copy(), data.labels(self.model.target).copy()
        self.model().fit(rows, labels, seed=1, overlap=3, past=4).predict(rows)
        assert (rows == data.inputs).all()
        assert (labels == data.labels(self.model.target)).all()

    @pytest.mark.parametrize("label", [0.0, 1.0])
    def test_a_constant_outcome(self, label: float) -> None:
        """Learn from one class, or from a price that never moves."""
        data = planted(6, 200)
        labels = np.full(200, label)
        model = self.model().fit(data.inputs, labels, seed=1, overlap=3, past=4)
        self.check_output(model.predict(data.inputs), 200)

    def test_constant_and_odd_columns(self) -> None:
        """Bear inputs that never move, and inputs of any scale."""
        data = planted(7, 300, r2=0.2)
        for scale, shift in ((np.zeros(5), 0.0), (np.zeros(5), 1.0), (np.array([1e12, 1e-12, 1.0, 0.0, 1e6]), 0.0)):
            inputs = data.inputs * scale + shift
            model = self.model().fit(inputs, data.labels(self.model.target), seed=1, overlap=3, past=4)
            self.check_output(model.predict(inputs), 300)
            self.check_output(model.predict(inputs * 1e3 + 1.0), 300)

    def test_few_rows(self) -> None:
        """Learn something usable from 20 rows."""
        data = planted(8, 20)
        self.check_output(self.fitted(data).predict(data.inputs), 20)

    def test_refuses_what_is_not_its_own(self) -> None:
        """Name what is wrong with bytes that are no such model."""
        saved = self.fitted(planted(9, 200)).dump()
        cuts = [saved[:end] for end in range(0, len(saved), max(1, len(saved) // 7))]
        foreign = [b"null", b"[]", b"{}", b"\xff\xfe", saved.replace(self.model.name.encode(), b"other", 1)]
        empty = f'{{"model": "{self.model.name}", "target": "{self.model.target}", "state": []}}'.encode()
        for raw in [*cuts, *foreign, *([empty] if self.fitted(planted(9, 200)).state() else [])]:
            with pytest.raises(InputError, match=self.model.name):
                self.model.load(raw)

    def test_contributions_add_up(self) -> None:
        """Explain a prediction as a base and one number per column."""
        data = planted(10, 600, r2=0.3)
        model = self.fitted(data)
        for row in data.inputs[:5]:
            told = model.explain(row)
            score = told.base + sum(told.contributions)
            said = float(model.predict(row[None])[0])
            expected = said if self.model.target == "return" else np.log(said / (1 - said))
            assert len(told.contributions) == len(row)
            assert score == pytest.approx(expected, rel=1e-6, abs=1e-12)


class CandidateSuite(ModelSuite):
    """What also holds for a model that is no baseline."""

    def test_finds_a_planted_signal_and_only_that(self) -> None:
        """Beat the constant on unseen rows with a signal; change next to nothing where there is none."""
        learn, unseen = slice(0, 1500), slice(1503, 2500)
        for data, finds in ((planted(11, 2500, r2=0.2), True), (planted(11, 2500, r2=0.2, shuffle=True), False)):
            labels = data.labels(self.model.target)
            constant = 0.0 if self.model.target == "return" else float(labels[learn].mean())
            naive = self.loss(np.full(997, constant), labels[unseen])
            gain = 1 - self.loss(self.fitted(data, learn).predict(data.inputs[unseen]), labels[unseen]) / naive
            assert gain > 0.03 if finds else -0.05 < gain < 0.01
