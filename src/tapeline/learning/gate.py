"""The gate: may a model answer instead of the best baseline? And would its edge survive the costs of trading?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tapeline.evaluate import Evaluation, Score
from tapeline.learning.leaks import Leak
from tapeline.learning.resample import BlockBootstrap, Interval
from tapeline.types import Float


@dataclass(frozen=True, slots=True)
class Decision:
    """Who answers for a target from now on, and why."""

    target: str
    champion: str
    promoted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Costs:
    """What a trade costs, per side, in basis points of its value.

    The defaults are Binance's spot taker fee without discounts (10 bp) and half a spread of 1 bp.
    """

    fee_bp: float = 10.0
    half_spread_bp: float = 0.5

    @property
    def round_trip(self) -> float:
        """Return the cost of entering and leaving, as a fraction."""
        return 2 * (self.fee_bp + self.half_spread_bp) * 1e-4


@dataclass(frozen=True, slots=True)
class Trading:
    """What following a model would have earned: one unit long or short for one horizon at each row.

    ``gross`` is the mean log return per trade, ``net`` that less the round trip.
    """

    model: str
    trades: int
    gross: Interval
    net: Interval
    cost: float

    @property
    def survives(self) -> bool:
        """Return whether the whole interval of the net edge is above zero."""
        return self.net.low > 0

    @property
    def text(self) -> str:
        """Return the finding as one sentence."""
        if not self.trades:
            return f"{self.model} never differs from the simplest baseline: nothing to trade"
        gross = f"{_bp(self.gross.value)} bp [{_bp(self.gross.low)}, {_bp(self.gross.high)}] a trade before costs"
        verdict = "survives" if self.survives else "does not survive"
        costs = f"a round trip costs {_bp(self.cost)} bp: the edge {verdict} the costs"
        return f"trading {self.model} would have earned {gross}; {costs}"


def decide(
    evaluation: Evaluation, *, level: float, tried: int, leaks: Sequence[Leak] = (), shuffled: str = ""
) -> Decision:
    """Promote the best candidate if the lower end of its paired interval is above zero; else keep the best baseline.

    Args:
        evaluation: of one target.
        level: of the interval before the correction.
        tried: how many candidates the whole run tried.
        leaks: found in the inputs; any of them refuses.
        shuffled: why learning from shuffled outcomes was not the nothing it should be; refuses when not empty.
    """
    baseline = evaluation.best_baseline
    if not evaluation.candidates:
        return Decision(evaluation.target, baseline, False, "no edge found: no candidate was tried, only baselines")
    if evaluation.labels.min() == evaluation.labels.max():
        why = f"the outcome is constant ({evaluation.labels[0]:g}) in all {len(evaluation.labels)} test rows"
        return Decision(evaluation.target, baseline, False, f"no edge found: {why}")
    best = evaluation.score(evaluation.best_candidate)
    told = _told(best, evaluation, 1 - (1 - level) / tried, tried)
    if leaks:
        return Decision(evaluation.target, baseline, False, f"refused: {leaks[0]}")
    if not best.difference.low > 0:
        why = f"no edge found: {told}; an edge needs the lower end above 0"
        return Decision(evaluation.target, baseline, False, why)
    if shuffled:
        return Decision(evaluation.target, baseline, False, f"refused: {shuffled}")
    return Decision(evaluation.target, best.model, True, f"edge found: {told}")


def _told(best: Score, evaluation: Evaluation, level: float, tried: int) -> str:
    base = abs(evaluation.score(best.baseline).value.value) or 1.0
    gain, low, high = (100 * x / base for x in (best.difference.value, best.difference.low, best.difference.high))
    which = "better" if gain > 0 else "worse"
    how = f"{100 * level:g} % interval for {tried} candidate{'s' * (tried > 1)}, {evaluation.bootstrap.blocks} blocks"
    interval = f"[{low:+.3f} %, {high:+.3f} %]"
    return f"{best.model} is {abs(gain):.3f} % {which} in {best.metric} than {best.baseline} {interval} ({how})"


def trading(
    evaluation: Evaluation, model: str, costs: Costs, *, returns: Float, level: float, moved: float = 1.0
) -> Trading:
    """Return what following a model would have earned out of sample, before and after costs.

    The side is the sign of what the model says less what the simplest baseline says; equal means no trade.

    Args:
        evaluation: of one target.
        model: the model to follow.
        costs: per side.
        returns: the log returns of the test rows (m).
        level: of the interval.
        moved: which share of all rows these are; on the others the price stays and a trade earns 0.
    """
    sides = np.sign(evaluation.said[model] - evaluation.said[evaluation.baselines[0]])
    earned = (sides * returns)[sides != 0]
    if not len(earned):
        nothing = Interval(0.0, 0.0, 0.0)
        return Trading(model, 0, nothing, nothing, costs.round_trip)
    like = evaluation.bootstrap
    resampled = BlockBootstrap(
        len(earned), block=like.block, resamples=like.resamples, seed=like.seed, overlap=like.overlap
    )
    told = resampled.interval(earned, level)
    gross = Interval(moved * told.value, moved * told.low, moved * told.high)
    cost = costs.round_trip
    return Trading(model, len(earned), gross, Interval(gross.value - cost, gross.low - cost, gross.high - cost), cost)


def _bp(value: float) -> str:
    return f"{value * 1e4:.2f}"
