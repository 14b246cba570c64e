from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapeline.evaluate import Evaluation, evaluate
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.placebo import LEVEL, find_in_nothing, inputs_that_are_outcomes
from tapeline.models.linear import Huber
from tapeline.models.naive import LastPrice
from tapeline.testing.models import planted
from tapeline.types import Float


def walk(data: Dataset, labels: Float) -> Evaluation:
    folds = split(data, WalkForward(folds=3))
    return evaluate(data, "return", [LastPrice, Huber], folds=folds, seed=1, level=LEVEL, tried=1, labels=labels)


@pytest.mark.parametrize("seed", range(5))
def test_an_honest_procedure_finds_nothing_in_nothing(seed: int) -> None:
    assert find_in_nothing(planted(seed, 900, r2=0.3), "return", "huber", walk, seed=seed) == ""


def test_a_procedure_that_fits_before_the_split_is_caught() -> None:
    """The planted leak: outcomes are looked at before they are split, so even shuffled ones are foretold."""

    def leaking(data: Dataset, labels: Float) -> Evaluation:
        inputs = data.inputs.copy()
        inputs[:, 0] = labels + 0.1 * labels.std() * np.random.default_rng(1).normal(size=len(labels))
        return walk(replace(data, inputs=inputs), labels)

    told = find_in_nothing(planted(1, 900), "return", "huber", leaking, seed=1)
    assert told == "huber also finds an edge in shuffled outcomes: the procedure leaks"


def test_a_model_that_earns_from_noise_is_caught() -> None:
    def knowing(data: Dataset, labels: Float) -> Evaluation:
        true = planted(1, 900, r2=0.3)
        same = labels.tobytes() == true.returns.tobytes()
        return walk(replace(data, inputs=true.inputs) if same else data, labels)

    told = find_in_nothing(planted(1, 900, r2=0.3), "return", "huber", knowing, seed=1)
    assert told == "huber also finds an edge in inputs of noise: the procedure leaks"


def test_an_input_that_is_the_outcome_is_named() -> None:
    data = planted(1, 600)
    assert inputs_that_are_outcomes(data, "return") == ""
    assert inputs_that_are_outcomes(planted(1, 2000, r2=0.5), "return") == ""
    data.inputs[:, 2] = -3 * data.returns + 1e-6
    assert inputs_that_are_outcomes(data, "return") == (
        "column noise_2 is the outcome: their rank correlation is -1.000"
    )


def test_constant_inputs_and_outcomes_are_no_leak() -> None:
    data = planted(1, 300)
    data.inputs[:, 1] = 1.0
    assert inputs_that_are_outcomes(data, "return") == ""
    data.returns[:] = 0.0
    assert inputs_that_are_outcomes(data, "return") == ""
