"""The simulated market: the same however it is cut, like real ones where it claims to be, and with no edge unasked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from tapeline.clock import DAY, MINUTE, SECOND
from tapeline.errors import UsageError
from tapeline.simulator import _process
from tapeline.simulator.market import JANUARY_2024, Market
from tapeline.types import Float, Frame

SEEDS = range(10)


@dataclass(frozen=True, slots=True)
class Bars:
    """What the tests need of closed windows: the log close, the volume, the share of buyers, the trades."""

    close_log: Float
    volume: Float
    pressure: Float
    trades: Float

    def forward(self, bars: int) -> Float:
        """Return the log return over the next ``bars``, one value less per bar."""
        return self.close_log[bars:] - self.close_log[:-bars]


def fold(market: Market, days: int, size: int = MINUTE) -> Bars:
    """Fold a market into windows by NumPy alone; a window without trades keeps the close before it."""
    n = days * DAY // size
    close, volume, buys, trades = np.full(n, np.nan), np.zeros(n), np.zeros(n), np.zeros(n)
    for frame in market.frames(duration=days * DAY, rows=1 << 18):
        window = (frame.ts_event - JANUARY_2024) // size
        close[window] = frame.price
        volume += np.bincount(window, frame.qty, n)
        buys += np.bincount(window, frame.qty * (frame.side > 0), n)
        trades += np.bincount(window, minlength=n)
    last = np.maximum.accumulate(np.where(trades > 0, np.arange(n), 0))
    share = np.divide(buys, volume, out=np.full(n, 0.5), where=volume > 0)
    return Bars(np.log(close[last]), volume, share, trades)


def correlation(left: NDArray[Any], right: NDArray[Any]) -> float:
    return float(np.corrcoef(left, right)[0, 1])


def evidence(bars: Bars, horizon: int, *, direction: bool) -> dict[str, float]:
    """Return per predictor the squared t of a regression of the next return (or its sign), robust to its variance."""
    forward = bars.forward(horizon)[horizon + 1 :: horizon]
    target = np.sign(forward) if direction else forward
    past = bars.forward(horizon)[1:][: -horizon or None][::horizon][: len(target)]
    rows = slice(horizon + 1, len(bars.close_log) - horizon, horizon)
    predictors = {
        "past return": past,
        "direction of the past return": np.sign(past),
        "size of the past return": np.abs(past),
        "buy pressure": bars.pressure[rows],
        "volume": np.log1p(bars.volume[rows]),
        "trades": bars.trades[rows],
    }
    result = {}
    for name, raw in predictors.items():
        x = raw - raw.mean()
        result[name] = float((x @ target) ** 2 / (x**2 @ target**2))
    return result


def found(markets: Iterable[Bars], horizon: int, *, direction: bool = False) -> set[str]:
    """Return the predictors whose evidence over all markets chance would give once in 10,000 times."""
    tables = [evidence(bars, horizon, direction=direction) for bars in markets]
    limit = chi2.ppf(0.9999, len(tables))
    return {name for name in tables[0] if sum(table[name] for table in tables) > limit}


@pytest.fixture(scope="module")
def month() -> Bars:
    return fold(Market(7, trades_per_second=3.0), 30)


@pytest.fixture(scope="module")
def usual() -> list[Bars]:
    """Return ten days each of markets as they are by default."""
    return [fold(Market(seed, trades_per_second=1.0), 10) for seed in SEEDS]


@pytest.mark.parametrize("rows", [1, 7, 1000, 1 << 16])
def test_the_cut_into_frames_changes_nothing(rows: int) -> None:
    """At this pace the trades span half a day, so that lulls and minutes without trades are cut through as well."""
    market = Market(3, edge=0.1, trades_per_second=0.1)
    whole = next(market.frames(trades=5000, rows=5000))
    frames = list(market.frames(trades=5000, rows=rows))
    assert max(map(len, frames)) == min(rows, 5000)
    for left, right in zip(whole.columns(), Frame.concat(frames).columns(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_each_walk_begins_anew_and_each_seed_walks_its_own_path() -> None:
    market = Market(1)
    first, again = (next(market.frames(trades=100)) for _ in range(2))
    np.testing.assert_array_equal(first.price, again.price)
    assert (first.price != next(Market(2).frames(trades=100)).price).any()


def test_random_numbers_are_those_of_splitmix64() -> None:
    """Compare with the numbers published for the seed 1234567."""
    state = np.zeros(1, _process.STATE)
    state["random"] = 1234567
    for expected in (6457827717110365317, 3203168211198807973, 9817491932198370423):
        assert _process._uniform(state[0]) == ((expected >> 12) + 0.5) * 2.0**-52


def test_trades_keep_the_rules_of_a_tape() -> None:
    start = JANUARY_2024 + 17 * SECOND + 5000
    frame = Frame.concat(list(Market(5, start=start, first_id=1000).frames(trades=200_000)))
    np.testing.assert_array_equal(frame.trade_id, np.arange(1000, 201_000))
    assert frame.ts_event[0] >= start
    assert (np.diff(frame.ts_event) >= 0).all()
    assert (frame.ts_event % 1000 == 0).all()
    assert (np.diff(frame.ts_init) >= 0).all()
    assert (frame.ts_init > frame.ts_event).all()
    assert (frame.ts_init - frame.ts_event).max() < SECOND
    assert set(frame.side.tolist()) == {-1, 1}
    assert set(frame.count.tolist()) == {1}


@pytest.mark.parametrize(("tick", "lot"), [(0.1, 1e-5), (0.25, 1.0), (5.0, 0.001)])
def test_prices_and_sizes_stand_on_their_grids(tick: float, lot: float) -> None:
    frame = next(Market(5, tick=tick, lot=lot).frames(trades=20_000))
    np.testing.assert_array_equal(frame.price, np.round(np.rint(frame.price / tick) * tick, 2))
    np.testing.assert_array_equal(frame.qty, np.round(np.rint(frame.qty / lot) * lot, 5))
    assert frame.qty.min() >= lot


def test_frames_end_where_they_are_told() -> None:
    market = Market(2)
    assert sum(map(len, market.frames(trades=2500, rows=1000))) == 2500
    day = list(market.frames(duration=DAY, rows=1000))
    assert day[-1].ts_event[-1] < JANUARY_2024 + DAY
    assert [len(frame) for frame in day[:-1]] == [1000] * (len(day) - 1)
    longer = Frame.concat(list(market.frames(trades=sum(map(len, day)) + 1)))
    assert longer.ts_event[-1] >= JANUARY_2024 + DAY
    assert list(market.frames(trades=0)) == list(market.frames(duration=0)) == []
    assert len(list(islice(market.frames(rows=1), 10))) == 10


def test_pace_and_volatility_are_those_asked_for(month: Bars) -> None:
    assert month.trades.mean() / 60 == pytest.approx(3.0, rel=0.1)
    assert month.forward(1).var() == pytest.approx(0.03**2 / 1440, rel=0.25)


def test_returns_have_fat_tails_and_volatility_clusters(month: Bars) -> None:
    returns = month.forward(1)
    assert ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2 > 5
    for lag in (1, 10, 60):
        assert correlation(np.abs(returns[:-lag]), np.abs(returns[lag:])) > 0.1
        assert abs(correlation(returns[:-lag], returns[lag:])) < 0.04


def test_orders_burst_and_sometimes_stop(month: Bars) -> None:
    assert 5 < (month.trades == 0).sum() / 30 < 30
    seconds = fold(Market(7, trades_per_second=3.0), 1, SECOND)
    assert (seconds.trades == 0).mean() > 0.1
    assert seconds.trades.var() / seconds.trades.mean() > 2
    hours = month.trades.reshape(30, 24, 60).sum((0, 2))
    assert hours.max() / hours.min() > 3


def test_an_order_may_sweep_several_trades_at_one_instant() -> None:
    frame = next(Market(7).frames(trades=10_000))
    same = np.diff(frame.ts_event) == 0
    assert 0.15 < same.mean() < 0.25
    assert (np.diff(frame.side.astype(int))[same] == 0).all()


def test_flow_lasts_and_follows_the_price(month: Bars) -> None:
    assert correlation(month.pressure[:-1], month.pressure[1:]) == pytest.approx(_process.PERSISTENCE, abs=0.03)
    assert correlation(month.pressure[1:], month.forward(1)) > 0.15


@pytest.mark.parametrize("direction", [False, True])
@pytest.mark.parametrize("horizon", [1, 5])
def test_by_default_there_is_nothing_to_find(usual: list[Bars], horizon: int, direction: bool) -> None:
    assert found(usual, horizon, direction=direction) == set()


def test_by_default_there_is_nothing_to_find_from_second_to_second() -> None:
    assert found((fold(Market(seed, trades_per_second=10.0), 1, SECOND) for seed in SEEDS), 1) == set()


def test_what_there_is_to_find_is_found() -> None:
    edge = (fold(Market(seed, trades_per_second=1.0, edge=0.01), 10) for seed in SEEDS[:4])
    assert "buy pressure" in found(edge, 5)
    bounce = (fold(Market(seed, trades_per_second=1.0, spread=300.0), 10) for seed in SEEDS[:4])
    assert "past return" in found(bounce, 1)


@pytest.mark.parametrize(
    ("edge", "minutes", "rate"), [(0.02, 5, 0.5), (0.1, 5, 2.0), (0.1, 1, 2.0), (0.04, 15, 0.5), (0.1, 5, 0.5)]
)
def test_the_edge_is_the_share_of_variance_asked_for(edge: float, minutes: int, rate: float) -> None:
    shares = []
    for seed in range(2):
        market = Market(seed, trades_per_second=rate, edge=edge, edge_horizon=minutes * MINUTE)
        bars = fold(market, 40)
        shares.append(correlation(bars.forward(minutes), bars.pressure[:-minutes]) ** 2)
    assert np.mean(shares) == pytest.approx(edge, rel=0.15)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"price": float("nan")}, "price is out of range: expected a finite number > 0, was nan"),
        ({"tick": 0.0}, "tick is out of range: expected a finite number > 0, was 0.0"),
        ({"lot": -1.0}, "lot is out of range: expected a finite number > 0, was -1.0"),
        (
            {"trades_per_second": float("inf")},
            "trades_per_second is out of range: expected a finite number > 0, was inf",
        ),
        ({"seed": -1}, "seed is out of range: expected a whole number >= 0, was -1"),
        ({"spread": -0.5}, "spread is out of range: expected a number of ticks >= 0, was -0.5"),
        ({"edge": 0.25}, "edge is out of range: expected a share from 0 to below 0.25 over 5m, was 0.25"),
        ({"edge_horizon": 90 * SECOND}, "edge_horizon is out of range: expected whole minutes, was '90s'"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Market(**({"seed": 1} | arguments))
    assert str(caught.value) == f"simulator market: {text}"


def test_frames_of_no_rows_are_refused() -> None:
    with pytest.raises(UsageError, match="rows is out of range: expected > 0, was 0"):
        next(Market(1).frames(rows=0))


def test_more_pace_does_not_change_the_grid_of_time() -> None:
    frame = next(Market(1, trades_per_second=1000.0).frames(trades=100_000))
    gaps = [int(right - left) for left, right in pairwise(frame.ts_event[::1000].tolist())]
    assert min(gaps) > 0
    assert len(frame) / ((frame.ts_event[-1] - frame.ts_event[0]) / SECOND) > 50


def test_a_steady_market_has_the_same_pace_at_every_hour_and_no_lulls() -> None:
    hours = fold(Market(3, trades_per_second=20.0, steady=True), 1, 3600 * SECOND).trades
    assert hours / 3600 == pytest.approx(20.0, rel=0.05)
    assert fold(Market(3, trades_per_second=20.0, steady=True), 1).trades.min() > 0
    usual = fold(Market(3, trades_per_second=20.0), 1, 3600 * SECOND).trades
    assert usual.max() > 2 * usual.min()
