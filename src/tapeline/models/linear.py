"""Linear models: Huber regression for the return, logistic regression by SGD for the direction.

Inputs are standardised by the mean and standard deviation of training and held at 5 of these. The strength of the
ridge is chosen on the last fifth of the training rows, then the model is fitted on all of them.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from tapeline.errors import InputError
from tapeline.models.base import Explanation, Model, State, inner_split, log_odds, probability, share_up
from tapeline.types import Float

_LIMIT = 5.0
_RIDGES = (0.01, 0.1, 1.0, 10.0)
_HUBER = 1.345
_PASSES = 50


@dataclass(frozen=True, slots=True)
class Scaler:
    """Standardise inputs by their mean and standard deviation in training, held at 5; a constant input becomes 0."""

    mean: Float
    scale: Float

    @classmethod
    def of(cls, rows: Float) -> Self:
        """Learn from training rows (n x k)."""
        constant = rows.min(axis=0) == rows.max(axis=0)
        spread = rows.std(axis=0)
        return cls(rows.mean(axis=0), np.where(constant | ~(spread > 0), np.inf, spread))

    def apply(self, rows: Float) -> Float:
        """Return the standardised rows (n x k), each number by the same elementwise operations."""
        return np.minimum(np.maximum((rows - self.mean) / self.scale, -_LIMIT), _LIMIT)

    def state(self) -> State:
        """Return mean and scale as plain values; the scale of a constant input is null."""
        scale = [value if math.isfinite(value) else None for value in self.scale.tolist()]
        return {"mean": self.mean.tolist(), "scale": scale}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from its plain values."""
        scale = np.array([math.inf if value is None else value for value in state["scale"]], np.float64)
        mean = np.array(state["mean"], np.float64)
        if mean.shape != scale.shape or mean.ndim != 1:
            raise ValueError("mean and scale are not of one length")
        return cls(mean, scale)


class _Linear(Model):
    """A weighted sum of standardised inputs, always added in the order of the columns."""

    unit: ClassVar[str]
    alone = False

    def __init__(self, scaler: Scaler | None = None, weights: Float | None = None, base: float = 0.0) -> None:
        self.scaler = scaler
        self.weights = weights
        self.base = base

    def fit(
        self,
        rows: Float,
        labels: Float,
        *,
        seed: int,
        overlap: int = 1,
        past: int = -1,
        weights: Float | None = None,
    ) -> Self:
        """Choose the ridge by time inside the rows, then fit on all of them."""
        learn, choose = inner_split(len(rows), overlap)
        inner = Scaler.of(rows[learn])
        early, late = inner.apply(rows[learn]), inner.apply(rows[choose])
        losses = []
        for ridge in _RIDGES:
            found, base = self._solve(early, labels[learn], ridge, seed, None if weights is None else weights[learn])
            losses.append(self._loss(base + late @ found, labels[choose]))
        ridge = _RIDGES[int(np.argmin(losses))]
        self.scaler = Scaler.of(rows)
        self.weights, self.base = self._solve(self.scaler.apply(rows), labels, ridge, seed, weights)
        return self

    @staticmethod
    @abstractmethod
    def _solve(scaled: Float, labels: Float, ridge: float, seed: int, counts: Float | None) -> tuple[Float, float]:
        """Return weights and base; ``ridge`` is the penalty per row, ``counts`` how much each row counts."""

    @staticmethod
    @abstractmethod
    def _loss(scores: Float, labels: Float) -> float:
        """Return the mean loss by which the ridge is chosen."""

    def _terms(self, rows: Float) -> Float:
        """Return the base and each input's contribution (n x (k + 1)).

        BLAS adds in another order for one row than for many; `np.cumsum` over these adds one by one.
        """
        if self.scaler is None or self.weights is None:
            raise InputError(f"model {self.name}", "has learnt nothing", expected="fit or load first", was="neither")
        terms = np.empty((len(rows), len(self.weights) + 1))
        terms[:, 0] = self.base
        np.multiply(self.scaler.apply(rows), self.weights, out=terms[:, 1:])
        return terms

    def scores(self, rows: Float) -> Float:
        """Return base + sum of weight * standardised input (n)."""
        total: Float = self._terms(rows).cumsum(axis=1)[:, -1]
        return total

    def explain(self, row: Float) -> Explanation:
        """Return weight * standardised input of each column."""
        return Explanation(self.base, tuple(self._terms(row[None])[0, 1:].tolist()), self.unit)

    def state(self) -> State:
        """Return weights and scaling; the scale of a constant input is null."""
        if self.scaler is None or self.weights is None:
            raise InputError(f"model {self.name}", "has learnt nothing", expected="fit first", was="no weights")
        return {**self.scaler.state(), "weights": self.weights.tolist(), "base": self.base}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from weights and scaling."""
        scaler = Scaler.from_state(state)
        weights = np.array(state["weights"], np.float64)
        if scaler.mean.shape != weights.shape:
            raise ValueError("mean, scale and weights are not of one length")
        return cls(scaler, weights, float(state["base"]))


class Huber(_Linear):
    """Regress the return with Huber's loss (1.345 scales), so that a few wild moves do not set the weights.

    Minimises ``mean(h(y - b - z w)) + ridge / 2 * |w|^2`` by iterated reweighting; the scale is 1.4826 times the median
    absolute return, or the standard deviation where most returns are 0.

    Source: Huber (1964), Robust estimation of a location parameter.
    """

    name = "huber"
    target = "return"
    unit = "log return"

    def predict(self, rows: Float) -> Float:
        """Return the expected log return of each row (n)."""
        return self.scores(rows)

    @staticmethod
    def _solve(scaled: Float, labels: Float, ridge: float, seed: int, counts: Float | None) -> tuple[Float, float]:
        scale = 1.4826 * float(np.median(np.abs(labels))) or float(labels.std())
        return Huber.solve(scaled, labels, bound=_HUBER * scale, ridge=ridge, counts=counts)

    @staticmethod
    def solve(
        scaled: Float, labels: Float, *, bound: float, ridge: float, counts: Float | None = None
    ) -> tuple[Float, float]:
        """Return weights (k) and base for residuals that count in full up to ``bound``."""
        design = np.column_stack((np.ones(len(scaled)), scaled))
        penalty = np.diag([1e-12, *[ridge * len(scaled)] * scaled.shape[1]])
        solution: Float = np.zeros(design.shape[1])
        count: Float = np.ones(len(scaled)) if counts is None else counts
        weight = count
        for _ in range(_PASSES):
            previous = solution
            weighted = design * weight[:, None]
            solution = np.asarray(np.linalg.solve(design.T @ weighted + penalty, weighted.T @ labels), np.float64)
            if bound == 0 or float(np.abs(solution - previous).max()) <= 1e-9 * bound:
                break
            weight = count * bound / np.maximum(np.abs(labels - design @ solution), bound)
        return solution[1:], float(solution[0])

    @staticmethod
    def _loss(scores: Float, labels: Float) -> float:
        return float(np.mean((labels - scores) ** 2))


class Logistic(_Linear):
    """Classify the direction by logistic regression: averaged stochastic gradient descent (scikit-learn)."""

    name = "logistic"
    target = "direction"
    unit = "log odds of going up"

    def predict(self, rows: Float) -> Float:
        """Return the probability of going up for each row (n)."""
        return probability(self.scores(rows))

    @staticmethod
    def _solve(scaled: Float, labels: Float, ridge: float, seed: int, counts: Float | None) -> tuple[Float, float]:
        from sklearn.linear_model import SGDClassifier

        base = log_odds(share_up(labels))
        if labels.min() == labels.max():
            return np.zeros(scaled.shape[1]), base
        epochs = min(_PASSES, max(5, math.ceil(1e6 / len(labels))))
        model = SGDClassifier(
            loss="log_loss", alpha=ridge / 4, average=True, max_iter=epochs, tol=None, random_state=seed
        )
        begin = {"coef_init": np.zeros((1, scaled.shape[1])), "intercept_init": np.array([base])}
        model.fit(scaled, labels, sample_weight=counts, **begin)
        return model.coef_[0], float(model.intercept_[0])

    @staticmethod
    def _loss(scores: Float, labels: Float) -> float:
        return float(np.mean(np.logaddexp(0, scores) - labels * scores))
