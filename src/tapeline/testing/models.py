"""The conformance suite of models: subclass the suite that `suite_for` names for your model, and say which it is.

::

    class TestMine(CandidateSuite):
        model = Mine

`ModelSuite` is for baselines, `CandidateSuite` for models that have to beat them, `AnomalySuite`, `RegimeSuite` and
`TrendSuite` for the targets that have no outcomes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import ClassVar

import numpy as np
import pytest

from tapeline import labels
from tapeline.clock import MINUTE
from tapeline.errors import InputError, NotEnoughData, UsageError
from tapeline.learning.dataset import Dataset
from tapeline.learning.fitting import fit
from tapeline.learning.outcomes import BAND, BARRIER, Labels
from tapeline.models.base import Model, Online
from tapeline.models.targets import TARGETS
from tapeline.types import Float

_COLUMNS = ("signal", "noise_1", "noise_2", "noise_3")


def planted(
    seed: int, rows: int = 900, *, horizon: int = 3, r2: float = 0.0, shuffle: bool = False, tails: float = 5.0
) -> Dataset:
    """Make a dataset of which everything is known.

    A random walk (Student's t steps) seen every minute, outcomes over ``horizon`` minutes, so neighbours overlap. The
    column ``signal`` explains the share ``r2`` of the variance of the outcome, and of the logarithm of the volatility;
    others are noise, the last one is the past return. With ``shuffle`` outcomes are put in random order.

    >>> planted(0, 100).inputs.shape
    (100, 5)
    """
    draw = np.random.default_rng(seed)
    steps = 1e-4 * draw.standard_t(tails, rows + 2 * horizon)
    sums = np.convolve(steps, np.ones(horizon), "valid")
    past, returns = sums[:rows], sums[horizon : horizon + rows]
    walked, squares = returns, np.convolve(steps**2, np.ones(horizon), "valid")
    inputs = np.column_stack((draw.normal(size=(rows, len(_COLUMNS))), past))
    spread = 1e-4 * np.sqrt(tails / (tails - 2) * horizon)
    if r2:
        returns = returns + spread * np.sqrt(r2 / (1 - r2)) * inputs[:, 0]
    loudness = spread * np.exp(0.5 * (np.sqrt(r2) * inputs[:, 0] + np.sqrt(1 - r2) * draw.normal(size=rows)))
    if shuffle:
        returns, loudness = draw.permutation(returns), draw.permutation(loudness)
    as_of = np.arange(1, rows + 1, dtype=np.int64) * MINUTE
    close = 100 * np.exp(np.cumsum(steps[:rows]))
    columns = (*_COLUMNS, f"return_{horizon}")
    span = horizon * MINUTE
    others = {
        "direction3": Labels(labels.direction3(returns, BAND * spread), as_of + span),
        "barrier": Labels(labels.direction3(returns, BARRIER * spread), as_of + span),
        "volatility": Labels(loudness, as_of + span),
        "variance_ratio": Labels(labels.variance_ratio(walked, np.sqrt(squares[horizon:][:rows])), as_of + span),
    }
    task = ("BTC-USD.SIM", "1m", span, "planted", "0", columns, 4)
    return Dataset(*task, as_of, inputs, close, returns, as_of + span, others=others)


def suite_for(kind: type[Model]) -> type[ModelSuite]:
    """Return the suite that a model has to pass."""
    unsupervised = {"anomaly": AnomalySuite, "regime": RegimeSuite, "trend": TrendSuite}
    if kind.target in unsupervised:
        return unsupervised[kind.target]
    return ModelSuite if kind.baseline else CandidateSuite


class ModelSuite:
    """What holds for every model."""

    model: ClassVar[type[Model]]

    def data(self, seed: int, rows: int = 900, *, r2: float = 0.0, shuffle: bool = False) -> Dataset:
        """Return planted rows that have an outcome and a window."""
        made = planted(seed, rows + self.model.window - 1, r2=r2, shuffle=shuffle)
        return made.for_target(self.model.target, self.model.window)

    def fitted(self, data: Dataset, rows: slice = slice(None), seed: int = 7) -> Model:
        """Fit the model to rows of a dataset."""
        return fit(self.model, data, rows=rows, seed=seed)

    @classmethod
    @cache
    def learned(cls) -> tuple[Dataset, Model, Float]:
        """Return usual rows, the model fitted to them once for all tests that only ask it, and what it is shown."""
        suite = cls()
        data = suite.data(1, 500, r2=0.2)
        return data, suite.fitted(data), data.shown(cls.model)

    def loss(self, said: Float, outcomes: Float) -> float:
        """Return the mean of what decides: squared error (of the logarithm, for a volatility), or log loss."""
        if self.model.target == "return":
            return float(np.mean((said - outcomes) ** 2))
        if self.model.target == "volatility":
            return float(np.mean((np.log(said) - np.log(outcomes)) ** 2))
        if TARGETS[self.model.target].classes:
            return float(-np.mean(np.log(said[np.arange(len(said)), outcomes.astype(int)])))
        return float(-np.mean(np.log(np.where(outcomes > 0, said, 1 - said))))

    def check_output(self, said: Float, rows: int) -> None:
        """Assert one usable answer per row."""
        width = TARGETS[self.model.target].width
        assert said.shape == ((rows,) if width == 1 else (rows, width))
        assert said.dtype == np.float64
        assert TARGETS[self.model.target].usable(said).all()

    def test_answers_each_row(self) -> None:
        """Answer in the form and the bounds of the target."""
        _, model, rows = self.learned()
        self.check_output(model.predict(rows), len(rows))
        self.check_output(model.predict(rows[:0]), 0)

    def test_same_seed_same_bytes(self) -> None:
        """Learn the same from the same."""
        data, model, _ = self.learned()
        assert self.fitted(data).dump() == model.dump()

    def test_saved_and_loaded_predicts_the_same_bits(self) -> None:
        """Come back from JSON as it went."""
        _, model, rows = self.learned()
        again = self.model.load(model.dump())
        assert again.dump() == model.dump()
        assert again.predict(rows).tobytes() == model.predict(rows).tobytes()

    def test_a_row_alone_is_the_row_among_others(self) -> None:
        """Predict the same bits one by one, in cuts, and from other memory layouts."""
        _, model, rows = self.learned()
        whole = model.predict(rows).tobytes()
        single = [model.predict(rows[row : row + 1]) for row in range(len(rows))]
        assert np.concatenate(single).tobytes() == whole
        cuts = [model.predict(part) for part in np.array_split(rows, [1, 2, 9, 100, 101, 355])]
        assert np.concatenate(cuts).tobytes() == whole
        assert model.predict(np.asfortranarray(rows)).tobytes() == whole

    def test_leaves_its_inputs_alone(self) -> None:
        """Change neither rows nor labels."""
        data = self.data(5, 300)
        rows, outcomes = data.shown(self.model), data.labels(self.model.target)
        before = rows.tobytes(), outcomes.tobytes()
        self.model().fit(rows, outcomes, seed=1, overlap=3, past=4).predict(rows)
        assert (rows.tobytes(), outcomes.tobytes()) == before

    @pytest.mark.parametrize("label", [0.0, 1.0])
    def test_a_constant_outcome(self, label: float) -> None:
        """Learn from one class, or from a price that never moves."""
        data = self.data(6, 200)
        rows = data.shown(self.model)
        model = self.model().fit(rows, np.full(len(rows), label), seed=1, overlap=3, past=4)
        self.check_output(model.predict(rows), len(rows))

    def test_constant_and_odd_columns(self) -> None:
        """Bear inputs that never move, and inputs of any scale."""
        data = self.data(7, 300, r2=0.2)
        for scale, shift in ((np.zeros(5), 0.0), (np.zeros(5), 1.0), (np.array([1e12, 1e-12, 1.0, 0.0, 1e6]), 0.0)):
            odd = replace(data, inputs=data.inputs * scale + shift, history=None, place=None)
            odd = odd.for_target(self.model.target, self.model.window)
            model, rows = self.fitted(odd), odd.shown(self.model)
            self.check_output(model.predict(rows), len(rows))
            self.check_output(model.predict(rows * 1e3 + 1.0), len(rows))

    def test_few_rows(self) -> None:
        """Learn something usable from 20 rows; refuse fewer by name."""
        data = self.data(8, 30)
        model = self.fitted(data, slice(0, 20))
        rows = data.shown(self.model)
        self.check_output(model.predict(rows), len(rows))
        with pytest.raises(NotEnoughData, match=f"model {self.model.name} .*too few rows.*at least 20, was 19"):
            self.fitted(data, slice(0, 19))

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_refuses_inputs_that_are_no_numbers(self, bad: float) -> None:
        """Name the column that is unknown or infinite."""
        data = self.data(8, 60)
        history, place = data.standing()
        inputs = history.inputs.copy()
        inputs[:, 2] = bad
        wrong = replace(data, inputs=inputs[place], history=replace(history, inputs=inputs), place=place)
        with pytest.raises((InputError, UsageError), match=f"model {self.model.name}"):
            fit(self.model, wrong, seed=1)

    def test_refuses_what_is_not_its_own(self) -> None:
        """Name what is wrong with bytes that are no such model."""
        _, model, _ = self.learned()
        saved = model.dump()
        cuts = [saved[:end] for end in range(0, len(saved), max(1, len(saved) // 7))]
        foreign = [b"null", b"[]", b"{}", b"\xff\xfe", saved.replace(self.model.name.encode(), b"other", 1)]
        empty = f'{{"model": "{self.model.name}", "target": "{self.model.target}", "state": []}}'.encode()
        for raw in [*cuts, *foreign, *([empty] if model.state() else [])]:
            with pytest.raises(InputError, match=self.model.name):
                self.model.load(raw)

    def test_contributions_add_up(self) -> None:
        """Explain a prediction as a base and one number per column."""
        _, model, rows = self.learned()
        for row in rows[:5]:
            told = model.explain(row)
            assert len(told.contributions) == row.shape[-1]
            terms = [told.base, *told.contributions]
            near = 1e-6 * sum(map(abs, terms))  # some engines add in single precision, where terms cancel out
            assert sum(terms) == pytest.approx(self.explained(model.predict(row[None])[0]), rel=0, abs=near)

    def explained(self, said: Float) -> float:
        """Return the number that an explanation adds up to."""
        if self.model.target in {"return", "anomaly"}:
            return float(said)
        if self.model.target == "volatility":
            return math.log(said)
        chance = float(said.max()) if said.ndim else float(said)
        return math.log(chance / (1 - chance))

    def test_goes_on_learning_where_it_can(self) -> None:
        """Learn row by row after `fit`; saved and loaded in between changes no bit."""
        data = self.data(12, 600, r2=0.3)
        rows, outcomes = data.shown(self.model), data.labels(self.model.target)
        model = self.fitted(data, slice(0, 300))
        if not isinstance(model, Online):
            return
        again = self.model.load(model.dump())
        assert isinstance(again, Online)
        before = model.dump()
        for row, outcome in zip(rows[300:], outcomes[300:].tolist(), strict=True):
            model.learn_one(row, outcome)
            again.learn_one(row, outcome)
        again = self.model.load(again.dump())
        assert model.dump() == again.dump() != before
        self.check_output(model.predict(rows), len(rows))


class CandidateSuite(ModelSuite):
    """What also holds for a model that is no baseline."""

    def gain(self, *, shuffle: bool) -> float:
        """Return which share of the constant's loss is saved on unseen rows."""
        data = self.data(11, 2500, r2=0.2, shuffle=shuffle)
        outcomes, rows = data.labels(self.model.target), data.shown(self.model)
        learn, unseen = slice(0, len(rows) * 3 // 5), slice(len(rows) * 3 // 5 + 3, len(rows))
        said = self.fitted(data, learn).predict(rows[unseen])
        return 1 - self.loss(said, outcomes[unseen]) / self.loss(self.constant(outcomes[learn], said), outcomes[unseen])

    def constant(self, outcomes: Float, like: Float) -> Float:
        """Return what someone says who knows nothing but the outcomes of training, once per row of ``like``."""
        if TARGETS[self.model.target].classes:
            return np.tile(np.bincount(outcomes.astype(int), minlength=3) / len(outcomes), (len(like), 1))
        middle = {"return": 0.0, "volatility": float(np.exp(np.log(np.abs(outcomes) + 1e-300).mean()))}
        return np.full(len(like), middle.get(self.model.target, float(outcomes.mean())))

    def test_finds_a_planted_signal(self) -> None:
        """Beat the constant on unseen rows."""
        assert self.gain(shuffle=False) > 0.03

    def test_finds_only_what_is_there(self) -> None:
        """Change next to nothing where outcomes are shuffled."""
        assert -0.05 < self.gain(shuffle=True) < 0.01


class AnomalySuite(ModelSuite):
    """What holds for models of the target ``anomaly``."""

    @pytest.mark.parametrize("rate", [0.01, 0.05])
    def test_on_quiet_rows_the_rate_is_the_one_asked_for(self, rate: float) -> None:
        """Say more than 1 - rate of the share ``rate`` of unseen rows that are like those of training."""
        data = self.data(13, 8000)
        rows = data.shown(self.model)
        flagged = self.fitted(data, slice(0, 5000)).predict(rows[5000:]) > 1 - rate
        assert rate / 3 < flagged.mean() < 2.5 * rate

    def test_planted_spikes_are_found(self) -> None:
        """Call nearly all rows odd in which every input is 8 standard deviations away."""
        data = self.data(14, 3000)
        rows = data.shown(self.model)
        model = self.fitted(data, slice(0, 2000))
        odd = rows[2000:] + 8 * rows.std(axis=0)
        assert (model.predict(odd) > 0.99).mean() > 0.9


class DescribingSuite(ModelSuite):
    """What holds for models of the targets that are `read_as` something: what follows decides nothing."""

    def test_only_the_past_is_used(self) -> None:
        """Say the same of a row whatever comes later."""
        target = self.model.target
        data = self.data(16, 400)
        model, rows = self.fitted(data), data.shown(self.model)
        later = replace(data, inputs=np.where(np.arange(len(data))[:, None] > 150, 9.0, data.inputs), history=None)
        assert data.as_of[0] == later.as_of[0]
        again = later.for_target(target, self.model.window)
        same = np.isin(data.as_of, again.as_of) & (data.as_of <= data.as_of[150])
        changed = again.shown(self.model)[: int(same.sum())]
        assert model.predict(changed).tobytes() == model.predict(rows[same]).tobytes()

    def test_inputs_it_does_not_read_may_be_unknown(self) -> None:
        """Say and explain the same, to the bit, where all inputs but those of `Model.reads` are NaN."""
        data = self.data(17, 400)
        model, rows = self.fitted(data), data.shown(self.model)[:20]
        assert model.reads is not None
        unknown = np.full_like(rows, np.nan)
        unknown[..., list(model.reads)] = rows[..., list(model.reads)]
        assert model.predict(unknown).tobytes() == model.predict(rows).tobytes()
        assert model.explain(unknown[0]) == model.explain(rows[0])


class RegimeSuite(DescribingSuite):
    """What holds for models of the target ``regime``."""

    def test_planted_regimes_are_told_apart(self) -> None:
        """Name the loud and the quiet stretches of a market that changes every 500 rows."""
        data = planted(15, 4000)
        loudness = np.repeat([0.3, 1.0, 4.0, 1.0], 500)[np.arange(4000) % 2000]
        inputs = data.inputs.copy()
        inputs[:, 4] *= loudness
        data = replace(data, inputs=inputs).for_target("regime", self.model.window)
        said = self.fitted(data, slice(0, 2500)).predict(data.shown(self.model))
        settled = np.arange(4000)[-len(said) :] % 500 > 60
        where = loudness[-len(said) :]
        assert (said[settled & (where == 4.0)].argmax(axis=1) == 2).mean() > 0.9
        assert (said[settled & (where == 0.3)].argmax(axis=1) == 0).mean() > 0.9
        assert (said[settled & (where == 1.0)].argmax(axis=1) == 1).mean() > 0.7


class TrendSuite(DescribingSuite):
    """What holds for models of the target ``trend``."""

    def test_planted_trends_are_told_from_ranges_however_loud(self) -> None:
        """Name the stretches whose steps follow or undo each other, in a market that is loud in half of either."""
        horizon, rows = 3, 6000
        place = np.arange(rows) % 2000
        trends, loud = place >= 1000, place % 1000 >= 500
        steps = np.random.default_rng(15).normal(size=rows + horizon - 1)
        for row in range(1, len(steps)):
            steps[row] += (0.8 if trends[max(0, row - horizon + 1)] else -0.8) * steps[row - 1]
        data = planted(15, rows, horizon=horizon)
        inputs = data.inputs.copy()
        inputs[:, 4] = 1e-4 * np.convolve(steps, np.ones(horizon), "valid") * np.where(loud, 4.0, 1.0)
        data = replace(data, inputs=inputs).for_target("trend", self.model.window)
        said = self.fitted(data, slice(0, 4000)).predict(data.shown(self.model))
        settled, where = place[-len(said) :] % 500 > 60, trends[-len(said) :]
        assert (said[settled & where].argmax(axis=1) == 1).mean() > 0.9
        assert (said[settled & ~where].argmax(axis=1) == 0).mean() > 0.9
