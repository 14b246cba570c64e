"""Is there an edge where none can be? Asked of the champion-to-be before it is promoted.

`tapeline.learning.leaks` looks for inputs that know the future; this looks for a procedure that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tapeline.evaluate import Evaluation
from tapeline.learning.dataset import Dataset
from tapeline.learning.leaks import shuffled
from tapeline.learning.reading import judged_by
from tapeline.models.targets import TARGETS
from tapeline.types import Float

LEVEL = 0.99
TOO_GOOD = 0.95
"""A rank correlation of an input with the outcome beyond which the input is taken for the outcome itself."""

Walk = Callable[[Dataset, Float], Evaluation]
"""Walk the champion-to-be and the baselines over a dataset with other outcomes, with intervals at `LEVEL`."""


def find_in_nothing(dataset: Dataset, target: str, name: str, walk: Walk, *, seed: int) -> str:
    """Say in which of three placebos a model finds an edge over the best baseline, empty where in none.

    Outcomes in random order; outcomes moved by a quarter to three quarters of the rows; inputs replaced by noise.

    Args:
        dataset: the rows of the target.
        target: whose outcomes.
        name: of the model.
        walk: walks it and the baselines.
        seed: of the placebos.
    """
    for what, data, outcomes in _placebos(dataset, target, seed):
        if walk(data, outcomes).score(name).difference.low > 0:
            return f"{name} also finds an edge in {what}: the procedure leaks"
    return ""


def _placebos(dataset: Dataset, target: str, seed: int) -> Iterator[tuple[str, Dataset, Float]]:
    if target == "anomaly":
        return  # its outcomes are planted in the very rows that are asked about: there is nothing to find elsewhere
    outcomes = judged_by(dataset, target, seed)
    yield "shuffled outcomes", dataset, shuffled(outcomes, seed)
    if "volatility" in {target, TARGETS[target].read_as}:
        return  # it is foretold by the hour of the day, also days later
    generator = np.random.default_rng(seed)
    n = len(outcomes)
    yield "shifted outcomes", dataset, np.roll(outcomes, int(generator.integers(n // 4, 3 * n // 4)))
    yield "inputs of noise", _with_noise(dataset, generator), outcomes


def _with_noise(dataset: Dataset, generator: np.random.Generator) -> Dataset:
    """Return the rows with noise as inputs, the past return too: it may well foretell something."""
    history, place = dataset.standing()
    noise = generator.normal(size=history.inputs.shape)
    return replace(dataset, inputs=noise[place], history=replace(history, inputs=noise), place=place)


def inputs_that_are_outcomes(dataset: Dataset, target: str) -> str:
    """Name an input that orders the rows as their outcomes do (rank correlation beyond `TOO_GOOD`), empty without.

    Market data foretells a small share of a return; what foretells nearly all of it was made of it.
    """
    from scipy.stats import rankdata

    ranks = rankdata(judged_by(dataset, target, 0))
    if ranks.min() == ranks.max():
        return ""
    for name, column in zip(dataset.columns, dataset.inputs.T, strict=True):
        if column.min() < column.max():
            correlation = float(np.corrcoef(rankdata(column), ranks)[0, 1])
            if abs(correlation) > TOO_GOOD:
                return f"column {name} is the outcome: their rank correlation is {correlation:.3f}"
    return ""
