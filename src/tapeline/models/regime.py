"""How restless the market is: low, normal or high volatility, by a hidden Markov model of the past return.

The return over the horizon before a row is normal with mean 0 and one standard deviation per regime; regimes follow
each other as a Markov chain. Only the past is used: the answer is the filtered probability after the window's last row,
begun from the shares of the regimes. Overlapping returns say the same thing several times: each counts 1 / overlap.
Trend and range are told apart by the same chain of other numbers: `tapeline.models.trend`.

Source: Rabiner (1989), A tutorial on hidden Markov models; Hamilton (1989) for regimes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numba import njit

from tapeline.errors import InputError
from tapeline.models.base import Explanation, Model, State, log_odds
from tapeline.models.explaining import attribute, reference
from tapeline.models.targets import TARGETS
from tapeline.types import Float

_PASSES = 30
_LEAST_CHANCE = 1e-6
_LIMIT = 1e3


class HiddenMarkov(Model):
    """A regime per class, learnt by expectation maximisation (Baum-Welch) on stretches of one window each."""

    name = "hmm"
    target = "regime"
    window = 60

    def __init__(self) -> None:
        self.past = -1
        self.counts = 1.0
        self.unit = 1.0
        self.usual: Float = np.empty(0)
        self.shares: Float = np.empty(0)
        self.chain: Float = np.empty((0, 0))
        self.spread: Float = np.empty(0)

    @property
    def reads(self) -> Sequence[int]:
        """Return the place of the past return."""
        return (self.past,)

    def _usual(self, rows: Float) -> Float:
        """Return the row that explanations begin from (k)."""
        return reference(rows)

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
        """Learn chain and spreads; nothing is random but the data."""
        self.past, self.counts = past % rows.shape[-1], 1 / max(1, overlap)
        self.usual = self._usual(rows)
        whole = self._seen(rows[:: self.window])
        regimes = TARGETS[self.target].width
        self.unit = float(np.sqrt(np.mean(whole**2))) or 1.0
        moves = np.ascontiguousarray(np.clip(whole / self.unit, -_LIMIT, _LIMIT))
        self.spread = np.maximum.accumulate(np.maximum(self._begin(moves), 1e-3) * (1 + 1e-3 * np.arange(regimes)))
        self.shares = np.full(regimes, 1 / regimes)
        self.chain = np.full((regimes, regimes), 0.01) + (1 - 0.01 * regimes) * np.eye(regimes)
        for _ in range(_PASSES):
            self.shares, self.chain, spread = _improved(moves, self.shares, self.chain, self.spread, self.counts)
            self.spread = np.maximum(spread, 1e-3)
        order = np.argsort(self.spread, kind="stable")
        self.shares, self.spread = self.shares[order], self.spread[order]
        self.chain = np.ascontiguousarray(self.chain[order][:, order])
        return self

    def _begin(self, moves: Float) -> Float:
        """Return the spreads from which learning begins, the least first."""
        return np.quantile(np.abs(moves), (0.2, 0.5, 0.9))

    def _seen(self, rows: Float) -> Float:
        """Return what the chain sees of each window (n x window)."""
        return rows[:, :, self.past]

    def predict(self, rows: Float) -> Float:
        """Return the probability of each class at the end of each window, the lowest first (n x classes)."""
        if not len(self.shares):
            raise InputError(f"model {self.name}", "has learnt nothing", expected="fit or load first", was="neither")
        moves = np.ascontiguousarray(np.clip(self._seen(rows) / self.unit, -_LIMIT, _LIMIT))
        said: Float = _filtered(moves, self.shares, self.chain, self.spread, self.counts)
        return said

    def explain(self, row: Float) -> Explanation:
        """Return what the past returns of the window added to the log odds of the likeliest regime."""
        which = int(self.predict(row[None])[0].argmax())

        def score(rows: Float) -> Float:
            return np.array([log_odds(chance) for chance in self.predict(rows)[:, which].tolist()])

        return attribute(score, self.usual, row, "log odds of the likeliest class")

    def state(self) -> State:
        """Return shares, chain and spreads."""
        arrays = {name: getattr(self, name).tolist() for name in ("usual", "shares", "chain", "spread")}
        return {"past": self.past, "counts": self.counts, "unit": self.unit, **arrays}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make it from shares, chain and spreads."""
        made = cls()
        made.past, made.counts, made.unit = int(state["past"]), float(state["counts"]), float(state["unit"])
        for name in ("usual", "shares", "chain", "spread"):
            setattr(made, name, np.array(state[name], np.float64))
        regimes = TARGETS[cls.target].width
        if made.chain.shape != (regimes, regimes) or not made.shares.shape == made.spread.shape == (regimes,):
            raise ValueError("there is not one regime per class")
        return made


@njit(cache=True, nogil=True)
def _fits(move: float, spread: Any, counts: float) -> Any:
    """Return how well one return fits each regime: the normal density to the power ``counts``, at most 1."""
    logs = counts * (-0.5 * (move / spread) ** 2 - np.log(spread))
    return np.maximum(np.exp(logs - logs.max()), 1e-300)


@njit(cache=True, nogil=True)
def _next(chance: Any, chain: Any) -> Any:
    """Return the probabilities one step later."""
    later = np.zeros(len(chance))
    for regime in range(len(chance)):
        later += chance[regime] * chain[regime]
    return later


@njit(cache=True, nogil=True)
def _filtered(moves: Any, shares: Any, chain: Any, spread: Any, counts: float) -> Any:
    """Return the filtered probabilities after the last return of each window."""
    said = np.empty((len(moves), len(shares)))
    for row in range(len(moves)):
        chance = shares.copy()
        for step in range(moves.shape[1]):
            chance = (_next(chance, chain) if step else chance) * _fits(moves[row, step], spread, counts)
            chance /= chance.sum()
        chance = np.maximum(chance, _LEAST_CHANCE)
        said[row] = chance / chance.sum()
    return said


@njit(cache=True, nogil=True)
def _improved(moves: Any, shares: Any, chain: Any, spread: Any, counts: float) -> Any:
    """Return shares, chain and spreads after one pass of expectation maximisation over all stretches."""
    steps, regimes = moves.shape[1], len(shares)
    ahead, back = np.empty((steps, regimes)), np.empty((steps, regimes))
    weight, square = np.full(regimes, 1e-9), np.zeros(regimes)
    follow = np.full((regimes, regimes), 1e-3)
    for row in range(len(moves)):
        for step in range(steps):
            before = _next(ahead[step - 1], chain) if step else shares
            ahead[step] = before * _fits(moves[row, step], spread, counts)
            ahead[step] /= ahead[step].sum()
        back[-1] = 1.0
        for step in range(steps - 2, -1, -1):
            later = _fits(moves[row, step + 1], spread, counts) * back[step + 1]
            joint = ahead[step].reshape(-1, 1) * chain * later
            follow += joint / joint.sum()
            back[step] = (chain * later).sum(axis=1)
            back[step] /= back[step].sum()
        for step in range(steps):
            chance = ahead[step] * back[step]
            chance /= chance.sum()
            weight += chance
            square += chance * moves[row, step] ** 2
    for regime in range(regimes):
        follow[regime] /= follow[regime].sum()
    return weight / weight.sum(), follow, np.sqrt(square / weight)
