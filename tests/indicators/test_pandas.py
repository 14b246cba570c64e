"""What TA-Lib does not have equals the same formula in pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.indicators.conftest import Compute

from tapeline.types import Float, Records


@pytest.fixture
def frame(market: Records) -> pd.DataFrame:
    return pd.DataFrame({name: market[name] for name in (market.dtype.names or ())})


def _expected(f: pd.DataFrame) -> dict[str, pd.Series]:
    returns = pd.Series(np.log(f["close"] / f["close"].shift()))
    traded = f["volume"].where(f["volume"] > 0)
    found = {f"realized_vol_{w}": returns.rolling(w).std() for w in (5, 15)}
    found |= {f"vwap_{w}": f["quote_volume"].rolling(w).sum() / f["volume"].rolling(w).sum() for w in (5, 14, 15)}
    found |= {"vol_5": returns.rolling(5).std(), "vol_10": returns.rolling(10).std()}
    found["cumulative_vwap"] = f["quote_volume"].cumsum() / f["volume"].cumsum()
    found["price_momentum_1"] = (f["close"] - f["open"]) / f["open"]
    found["price_momentum_5"] = f["close"].pct_change(5)
    found["return_1"] = f["close"].pct_change()
    found["volume_5"] = f["volume"].rolling(5).sum()
    found["volume_ratio_20"] = f["volume"] / f["volume"].rolling(20).mean()
    found["trade_count"] = f["trades"].astype(float)
    found["avg_trade_size"] = traded / f["trades"]
    found["buy_pressure"] = (f["buy_volume"] - (f["volume"] - f["buy_volume"])) / traded
    found["range"] = f["high"] - f["low"]
    for percent in (2, 0.05):
        found[f"big_move_{percent:g}".replace(".", "p")] = ((f["close"] / f["open"] - 1).abs() > percent / 100).astype(
            float
        )
    return found


def test_equals_pandas(compute: Compute, market: Records, frame: pd.DataFrame) -> None:
    ours = compute(market)
    for name, theirs in _expected(frame).items():
        near_zero = 1e-9 if "vol" in name else 1e-12  # pandas carries its sums along
        values: Float = theirs.to_numpy(np.float64)
        np.testing.assert_allclose(ours[name], values, rtol=1e-9, atol=near_zero, err_msg=name)


def test_a_window_without_volume_has_no_price(compute: Compute, quiet: Records) -> None:
    """The rolling price is unknown exactly where the last five candles are empty, and known right after."""
    rows = quiet.copy()
    for name in ("volume", "quote_volume", "buy_volume"):
        rows[name][100:110] = 0.0
    ours = compute(rows)
    empty = pd.Series(rows["volume"]).rolling(5).max().to_numpy() == 0.0
    assert empty[104:110].all()
    np.testing.assert_array_equal(np.isnan(ours["vwap_5"][4:]), empty[4:])


def test_a_side_unknown_makes_pressure_unknown(compute: Compute, quiet: Records) -> None:
    unknown = np.isnan(quiet["buy_volume"])
    assert unknown.any()
    assert np.isnan(compute(quiet)["buy_pressure"][unknown]).all()


def test_big_moves_are_flagged(compute: Compute, near: Records) -> None:
    flags = compute(near)["big_move_2"]
    assert set(np.unique(flags)) == {0.0, 1.0}
