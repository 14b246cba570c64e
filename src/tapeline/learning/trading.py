"""What following a model would have earned, before and after the costs of trading.

One unit long or short for one horizon at each row where the model sees an edge. It is an account of what was said, not
a simulation of orders: it knows no queue, no market impact, no funding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tapeline.clock import DAY
from tapeline.evaluate import Evaluation
from tapeline.learning.comparing import lags_for, long_run_variance
from tapeline.learning.resample import BlockBootstrap, Interval
from tapeline.models.targets import TARGETS
from tapeline.types import Float

YEAR = 365 * DAY
_EULER = 0.5772156649015329
_PATHS = 200
_NOTHING = Interval(0.0, 0.0, 0.0)
_UNKNOWN = Interval(math.nan, math.nan, math.nan)


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
    """What following a model would have earned.

    Attributes:
        model: who was followed.
        trades: at how many rows.
        gross: mean log return per trade.
        net: that less the round trip.
        cost: of the round trip.
        turnover: how often the capital is turned over in a day, where each trade holds 1 / (rows of a horizon) of it.
        sharpe: mean over deviation of the net earnings, annualised; NaN without trades.
        drawdown: the largest fall of the summed net earnings, as a share of the capital.
        deflated: the probability that the true Sharpe ratio is above the best that chance gives of so many tries.
        tries: how many models were tried.
        sided: whether what was said names a side to take at all.
        least: trades were made where more than this was promised.
    """

    model: str
    trades: int
    gross: Interval
    net: Interval
    cost: float
    turnover: float = 0.0
    sharpe: Interval = _UNKNOWN
    drawdown: Interval = _NOTHING
    deflated: float = math.nan
    tries: int = 1
    sided: bool = True
    least: float = 0.0

    @property
    def survives(self) -> bool:
        """Return whether the whole interval of the net edge is above zero."""
        return self.net.low > 0

    @property
    def text(self) -> str:
        """Return the finding as one sentence."""
        if not self.sided:
            return f"{self.model} names no side to take: nothing to trade"
        if not self.trades and self.least:
            return f"{self.model} never promises more than {_bp(self.least)} bp, the costs of a trade: nothing to trade"
        if not self.trades:
            return f"{self.model} never differs from the simplest baseline: nothing to trade"
        gross = f"{_bp(self.gross.value)} bp [{_bp(self.gross.low)}, {_bp(self.gross.high)}] a trade before costs"
        verdict = "survives" if self.survives else "does not survive"
        costs = f"a round trip costs {_bp(self.cost)} bp: the edge {verdict} the costs"
        return f"trading {self.model} would have earned {gross}; {costs}"


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What is needed to turn answers into earnings, for the test rows (m).

    Attributes:
        returns: log returns over the horizon (m).
        usual: the mean size of a return before the first test row: what a sure direction would be worth.
        step: ns between rows.
        moved: which share of all rows these are; on the others the price stays and a trade earns 0.
    """

    returns: Float
    usual: float
    step: int
    moved: float = 1.0


def expected(evaluation: Evaluation, model: str, usual: float) -> Float:
    """Return the log return that a model's answers promise beyond those of the simplest baseline (m); 0 for others.

    Args:
        evaluation: of one target.
        model: whose answers.
        usual: the mean size of a return, by which probabilities are multiplied.
    """
    said, simplest = (evaluation.said[name] for name in (model, evaluation.baselines[0]))
    if evaluation.target == "return":
        return said - simplest
    if evaluation.target == "direction":
        return 2 * (said - simplest) * usual
    if not TARGETS[evaluation.target].sided:
        return np.zeros(len(said))
    lean = (said - simplest)[:, [0, -1]]
    return (lean[:, 1] - lean[:, 0]) * usual


def earnings(evaluation: Evaluation, model: str, costs: Costs, market: Market, *, least: float = 0.0) -> Float:
    """Return the net log return of each row (m); 0 where an edge of more than ``least`` is not promised."""
    promised = expected(evaluation, model, market.usual)
    sides = np.where(np.abs(promised) > least, np.sign(promised), 0.0)
    return sides * market.returns - np.abs(sides) * costs.round_trip


def trading(
    evaluation: Evaluation,
    model: str,
    costs: Costs,
    market: Market,
    *,
    level: float,
    least: float = 0.0,
    rivals: Sequence[Float] = (),
) -> Trading:
    """Return what following a model would have earned out of sample, before and after costs.

    Args:
        evaluation: of one target.
        model: the model to follow.
        costs: per side.
        market: returns and what answers are worth.
        level: of the intervals.
        least: trades are made where more than this is promised.
        rivals: the earnings of every other model that was tried (m each), for the deflated Sharpe ratio.
    """
    net = earnings(evaluation, model, costs, market, least=least)
    traded = np.abs(expected(evaluation, model, market.usual)) > least
    cost, count = costs.round_trip, int(traded.sum())
    if not count:
        sided = TARGETS[evaluation.target].sided
        return Trading(model, 0, _NOTHING, _NOTHING, cost, sided=sided, least=least)
    gross = _scaled(_per_trade(evaluation.bootstrap, (net + cost)[traded], level), market.moved)
    after = Interval(gross.value - cost, gross.low - cost, gross.high - cost)
    overlap = evaluation.bootstrap.overlap
    days = len(net) * market.step / DAY
    made = _sharpe(evaluation.bootstrap, net, level, market.step)
    lucky = deflated_sharpe(net, [net, *rivals], overlap)
    fall = _drawdown(evaluation.bootstrap, net / overlap, level)
    turnover = 2 * count / overlap / days
    return Trading(model, count, gross, after, cost, turnover, made, fall, lucky, max(1, len(rivals) + 1))


def _per_trade(like: BlockBootstrap, earned: Float, level: float) -> Interval:
    made = BlockBootstrap(len(earned), block=like.block, resamples=like.resamples, seed=like.seed, overlap=like.overlap)
    return made.interval(earned, level)


def _scaled(told: Interval, factor: float) -> Interval:
    return Interval(factor * told.value, factor * told.low, factor * told.high)


def _sharpe(bootstrap: BlockBootstrap, net: Float, level: float, step: int) -> Interval:
    """Return the annualised Sharpe ratio; its deviation is the long-run one, as neighbours overlap.

    Source: Lo (2002), The statistics of Sharpe ratios.
    """
    variance = long_run_variance(net, lags_for(len(net), bootstrap.overlap))
    if not variance > 0:
        return _UNKNOWN
    return _scaled(bootstrap.interval(net, level), math.sqrt(YEAR / step / variance))


def deflated(ratio: float, rows: float, *, skewness: float, kurtosis: float, deviation: float, tries: int) -> float:
    """Return the probability that the true Sharpe ratio is above the best one that chance gives of so many tries.

    ``Phi((s - s0) sqrt(n - 1) / sqrt(1 - g3 s + (g4 - 1) / 4 s^2))`` where s0 is the expected maximum of N tries:
    ``deviation * ((1 - e) z(1 - 1 / N) + e z(1 - 1 / (N exp 1)))``, e = 0.577, and 0 for one.

    Args:
        ratio: Sharpe ratio s of a row, not annualised.
        rows: how many independent rows n.
        skewness: g3 of the earnings.
        kurtosis: g4 of the earnings, 3 for normal ones.
        deviation: of the Sharpe ratios of the tries.
        tries: how many models were tried, N.

    Source: Bailey and Lopez de Prado (2014), The deflated Sharpe ratio; its example:

    >>> annual = 250 ** 0.5
    >>> case = {"skewness": -3, "kurtosis": 10, "deviation": 0.5 ** 0.5 / annual, "tries": 100}
    >>> round(deflated(2.5 / annual, 1250, **case), 4)
    0.9004
    """
    normal, best = NormalDist(), 0.0
    if tries > 1:
        likely = (1 - _EULER) * normal.inv_cdf(1 - 1 / tries) + _EULER * normal.inv_cdf(1 - 1 / (tries * math.e))
        best = deviation * likely
    spread = 1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2
    return normal.cdf((ratio - best) * math.sqrt(max(rows - 1, 1) / max(spread, 1e-9)))


def deflated_sharpe(net: Float, tried: Sequence[Float], overlap: int) -> float:
    """Return `deflated` for the net earnings of one of several models that were tried; NaN where nothing varies."""
    size = float(net.std())
    if not size > 0:
        return math.nan
    ratios = np.array([row.mean() / row.std() for row in tried if row.std() > 0])
    z = (net - net.mean()) / size
    return deflated(
        float(net.mean()) / size,
        len(net) / overlap,
        skewness=float((z**3).mean()),
        kurtosis=float((z**4).mean()),
        deviation=float(ratios.std(ddof=1)) if len(ratios) > 1 else 0.0,
        tries=len(ratios),
    )


def fallen(path: Float) -> float:
    """Return the largest fall of a summed path from its highest point so far, starting at 0.

    >>> fallen(np.array([1.0, -3.0, 1.0]))
    3.0
    """
    level = np.concatenate(([0.0], np.cumsum(path)))
    return float((np.maximum.accumulate(level) - level).max())


def _drawdown(bootstrap: BlockBootstrap, net: Float, level: float) -> Interval:
    """Return the drawdown with the quantiles of that of resampled paths."""
    if bootstrap.blocks < 2:
        return Interval(fallen(net), math.nan, math.nan)
    generator = np.random.default_rng(bootstrap.seed)
    falls = []
    for _ in range(_PATHS):
        starts = generator.integers(0, len(net), bootstrap.blocks)
        rows = (starts[:, None] + np.arange(bootstrap.block)).ravel()[: len(net)] % len(net)
        falls.append(fallen(net[rows]))
    low, high = np.quantile(falls, ((1 - level) / 2, (1 + level) / 2))
    return Interval(fallen(net), float(low), float(high))


def _bp(value: float) -> str:
    return f"{value * 1e4:.2f}"
