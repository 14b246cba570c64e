import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.errors import UsageError
from tapeline.monitor.anomaly import AnomalyDetector
from tapeline.types import CANDLE, Float, Records


def candles(seed: int, rows: int) -> tuple[Records, Float]:
    """Return candles with volatility that clusters and heavy tails, and their log returns."""
    random = np.random.default_rng(seed)
    wave = np.exp(0.5 * np.sin(np.arange(rows) / 300))
    returns = 1e-4 * wave * random.standard_t(5, rows)
    made = np.zeros(rows, CANDLE)
    made["open_time"] = np.arange(rows) * MINUTE
    made["close_time"] = made["open_time"] + MINUTE
    made["close"] = 100 * np.exp(np.cumsum(returns))
    made["volume"] = wave * random.lognormal(0, 0.5, rows)
    return made, returns


def test_quiet_data_is_flagged_as_often_as_was_asked_for() -> None:
    rates = []
    for seed in range(5):
        flags = [one.is_anomaly for one in AnomalyDetector(rate=0.01).update(candles(seed, 6000)[0])]
        known = [flag for flag in flags if flag is not None]
        rates.append(sum(known) / len(known))
    print(f"asked for 1 %, flagged {np.mean(rates):.2%} of quiet candles")
    assert 0.005 < np.mean(rates) < 0.015


def test_planted_spikes_are_found() -> None:
    rows = candles(3, 6000)[0]
    planted = np.arange(1000, 6000, 250)
    rows["volume"][planted[::2]] *= 15
    for at in planted[1::2]:
        rows["close"][at:] *= np.exp(0.004)

    flags = np.array([bool(one.is_anomaly) for one in AnomalyDetector(rate=0.006).update(rows)])

    recall, precision = flags[planted].mean(), flags[planted].sum() / flags.sum()
    print(f"planted spikes: recall {recall:.0%}, precision {precision:.0%}")
    assert recall >= 0.95
    assert precision >= 0.6


def test_warming_up_is_a_state_and_no_verdict() -> None:
    first = AnomalyDetector().update(candles(1, 10)[0])
    assert all(one.is_anomaly is None and np.isnan(one.price_rank) for one in first)


def test_a_gap_makes_no_move() -> None:
    rows = candles(1, 3000)[0]
    rows["open_time"][2000:] += 60 * MINUTE
    rows["close_time"][2000:] += 60 * MINUTE
    rows["close"][2000:] *= 2

    at_gap = AnomalyDetector().update(rows)[2000]

    assert np.isnan(at_gap.price)


def test_a_window_that_cannot_tell_so_rare_a_thing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 2000 candles"):
        AnomalyDetector(rate=0.001, window=100)
