from __future__ import annotations

import math

import numpy as np
import pytest

from tapeline.clock import DAY, MINUTE
from tapeline.evaluate import Evaluation, evaluate
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import WalkForward, split
from tapeline.learning.trading import Costs, Market, deflated_sharpe, expected, fallen, trading
from tapeline.models.linear import Huber
from tapeline.models.naive import LastPrice
from tapeline.testing.models import planted

FREE = Costs(0.0, 0.0)


def evaluated(data: Dataset) -> Evaluation:
    folds = split(data, WalkForward(folds=3))
    return evaluate(data, "return", [LastPrice, Huber], folds=folds, seed=1, level=0.95, tried=1)


def market(data: Dataset, found: Evaluation) -> Market:
    return Market(data.returns[found.rows], 1e-4, MINUTE)


def test_it_earns_the_mean_of_the_returns_on_its_side_less_the_costs() -> None:
    data = planted(2, 2000, r2=0.3)
    found = evaluated(data)
    earned = trading(found, "huber", Costs(1.0, 0.5), market(data, found), level=0.95)
    mean = np.mean(np.sign(found.said["huber"]) * data.returns[found.rows])
    assert earned.gross.value == pytest.approx(mean)
    assert earned.cost == pytest.approx(3e-4)
    assert earned.net.value == pytest.approx(mean - 3e-4)
    assert not earned.survives
    assert "a round trip costs 3.00 bp: the edge does not survive the costs" in earned.text
    free = trading(found, "huber", FREE, market(data, found), level=0.95)
    assert free.survives
    assert free.text.endswith("the edge survives the costs")
    assert free.deflated > 0.99
    assert free.sharpe.low > 0 > earned.sharpe.high


def test_each_trade_turns_a_share_of_the_capital_over_twice() -> None:
    data = planted(2, 2000, r2=0.3)
    found = evaluated(data)
    earned = trading(found, "huber", FREE, market(data, found), level=0.95)
    rows = len(found.labels)
    assert earned.trades == rows
    assert earned.turnover == pytest.approx(2 * rows / 3 / (rows * MINUTE / DAY))


def test_only_what_promises_more_than_the_costs_is_traded() -> None:
    data = planted(2, 2000, r2=0.3)
    found = evaluated(data)
    promised = np.abs(expected(found, "huber", 1e-4))
    least = float(np.quantile(promised, 0.9))
    earned = trading(found, "huber", Costs(0.5, 0.0), market(data, found), level=0.95, least=least)
    assert earned.trades == (promised > least).sum()
    nothing = trading(found, "huber", FREE, market(data, found), level=0.95, least=1.0)
    assert nothing.trades == 0
    assert nothing.text == "huber never promises more than 10000.00 bp, the costs of a trade: nothing to trade"


def test_a_model_that_is_the_baseline_has_nothing_to_trade() -> None:
    data = planted(2, 600)
    found = evaluated(data)
    earned = trading(found, "last_price", Costs(), market(data, found), level=0.95)
    assert earned.trades == 0
    assert math.isnan(earned.sharpe.value)
    assert "nothing to trade" in earned.text


def test_a_sharpe_ratio_is_the_annualised_one_of_independent_rows() -> None:
    data = planted(5, 4000, r2=0.2, horizon=1)
    found = evaluated(data)
    earned = trading(found, "huber", FREE, market(data, found), level=0.95)
    net = np.sign(found.said["huber"]) * data.returns[found.rows]
    assert earned.sharpe.value == pytest.approx(net.mean() / net.std() * math.sqrt(365 * 24 * 60), rel=0.15)


def test_the_more_were_tried_the_less_the_best_is_worth() -> None:
    draw = np.random.default_rng(4)
    tries = [draw.normal(0, 1, 1000) for _ in range(50)]
    best = max(tries, key=lambda row: float(row.mean()))
    assert deflated_sharpe(best, [best], 1) > 0.95
    assert deflated_sharpe(best, tries, 1) < 0.9
    assert math.isnan(deflated_sharpe(np.zeros(10), tries, 1))


def test_a_fall_is_measured_from_the_highest_point() -> None:
    assert fallen(np.array([2.0, -1.0, 3.0, -2.5, -1.0, 5.0])) == 3.5
    assert fallen(np.array([1.0, 1.0])) == 0.0
    assert fallen(np.array([-1.0])) == 1.0
