"""What an engine learns of a target, and how its scores become the answer: the links.

An engine (trees, a network) learns a plain number or a class and gives scores. ``base`` is the score of a row of which
nothing is known, so an engine that finds nothing leaves the answer of the simplest baseline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from tapeline.models.base import State, log_odds, probability, share_up
from tapeline.models.targets import TARGETS
from tapeline.types import Float

_LIMIT = 6.0
_SLOPES = (0.0, 2.0)
_STEPS = 40


@dataclass(frozen=True, slots=True)
class Goal:
    """One target as an engine sees it.

    Attributes:
        target: its name.
        base: the scores of a row of which nothing is known, one per number the model says.
        scale: what one unit of score is worth; 1 for probabilities.

    The link is ``scale * score`` for a return, ``exp(scale * score)`` for a volatility (whose logarithm is learnt, so
    the answer is its median), the logistic function for a direction, softmax for classes.
    """

    target: str
    base: tuple[float, ...]
    scale: float = 1.0

    @classmethod
    def of(cls, target: str, labels: Float) -> Self:
        """Learn base and scale from the outcomes of training (n)."""
        if target == "return":
            return cls(target, (0.0,), float(labels.std()) or 1.0)
        if target == "direction":
            return cls(target, (log_odds(share_up(labels)),))
        if target == "volatility":
            logs = np.log(floored(labels))
            scale = float(logs.std()) or 1.0
            return cls(target, (float(logs.mean()) / scale,), scale)
        return cls(target, tuple(math.log(share) for share in class_shares(labels, TARGETS[target].width)))

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it again from its plain values."""
        base = tuple(float(value) for value in state["base"])
        if len(base) != TARGETS[state["target"]].width:
            raise ValueError("the base has not one score per number said")
        return cls(str(state["target"]), base, float(state["scale"]))

    @property
    def classes(self) -> int:
        """Return how many classes an engine has to tell apart; 0 where it learns a number."""
        return 2 if self.target == "direction" else len(TARGETS[self.target].classes)

    @property
    def unit(self) -> str:
        """Return the unit in which a prediction is explained."""
        names = {"return": "log return", "direction": "log odds of going up", "volatility": "log volatility"}
        return names.get(self.target, "log odds of the likeliest class")

    def learnt(self, labels: Float) -> Float:
        """Return what an engine learns (n): numbers of standard size held at 6, or the position of the class."""
        if self.classes:
            return labels
        known = np.log(floored(labels)) if self.target == "volatility" else labels
        return np.clip(known / self.scale - self.base[0], -_LIMIT, _LIMIT)

    def said(self, scores: Float) -> Float:
        """Return the answer for whole scores (n x width): one number per row (n), or one per class."""
        if self.target == "return":
            return self.scale * scores[:, 0]
        if self.target == "direction":
            return probability(scores[:, 0])
        if self.target == "volatility":
            return np.array([math.exp(min(max(self.scale * score, -700.0), 700.0)) for score in scores[:, 0].tolist()])
        return softmax(scores)

    def explained(self, scores: Float, which: int) -> Float:
        """Return scores in the `unit` of explanations (n); ``which`` is the class that is explained."""
        if self.target in {"return", "volatility"}:
            return self.scale * scores[:, 0]
        if self.target == "direction":
            return scores[:, 0]
        others: Float = np.logaddexp.reduce(np.delete(scores, which, axis=1), axis=1)
        return scores[:, which] - others

    def loss(self, added: Float, learnt: Float, weights: Float | None = None) -> float:
        """Return the mean loss of what an engine adds to the base (n x width): squared error, or log loss."""
        scores = np.asarray(self.base) + added
        if not self.classes:
            losses = (learnt - added[:, 0]) ** 2
        elif self.target == "direction":
            losses = np.logaddexp(0, scores[:, 0]) - learnt * scores[:, 0]
        else:
            hit = scores[np.arange(len(learnt)), learnt.astype(np.int64)]
            losses = np.logaddexp.reduce(scores, axis=1) - hit
        return float(np.average(losses, weights=weights))

    def slope(self, added: Float, learnt: Float, weights: Float | None = None) -> float:
        """Return by what factor an engine's scores are to be trusted, from rows it did not learn from.

        For numbers it is the least-squares slope, between 0 and 1. For probabilities it is Platt's, between 0 and 2
        and at least as good as 1 in log loss there (temperature scaling where there are several classes): too sure an
        engine is held back, one that knows nothing is switched off.

        Source: Platt (1999), Probabilistic outputs for support vector machines; Guo et al. (2017), On calibration of
        modern neural networks.
        """
        if not self.classes:
            counted = added[:, 0] if weights is None else weights * added[:, 0]
            power = float(counted @ added[:, 0])
            return min(max(float(counted @ learnt) / power, 0.0), 1.0) if power else 0.0
        low, high = _SLOPES
        for _ in range(_STEPS):  # the loss is convex in the slope
            third = (high - low) / 3
            if self.loss((low + third) * added, learnt, weights) <= self.loss((high - third) * added, learnt, weights):
                high -= third
            else:
                low += third
        return low if low > 1e-6 else 0.0


def class_shares(labels: Float, classes: int) -> list[float]:
    """Return Laplace's estimate of how often each class comes, (count + 1) / (n + classes).

    >>> class_shares(np.array([0.0, 2.0, 2.0]), 3)
    [0.3333333333333333, 0.16666666666666666, 0.5]
    """
    counts = np.bincount(labels.astype(np.int64), minlength=classes)
    return [(count + 1) / (len(labels) + classes) for count in counts.tolist()]


def floored(volatility: Float) -> Float:
    """Return volatilities with a number in place of 0, which has no logarithm.

    It is a tenth of the median positive one, or the least positive one if that is less.
    """
    positive = volatility[volatility > 0]
    least = min(0.1 * float(np.median(positive)), float(positive.min())) if len(positive) else 1e-9
    return np.maximum(volatility, least)


def softmax(scores: Float) -> Float:
    """Turn scores (n x c) into probabilities, held above 1e-9, row by row by libm: see `probability`."""
    rows = []
    for row in scores.tolist():
        top = max(row)
        parts = [max(math.exp(max(score - top, -700.0)), 1e-9) for score in row]
        total = math.fsum(parts)
        rows.append([part / total for part in parts])
    return np.array(rows, np.float64).reshape(scores.shape)
