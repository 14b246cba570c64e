"""The price of one pair over several venues: from the candles alone, and never from simulated ones and real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import CANDLE, Records


def candles(*given: tuple[float, float, float, int]) -> Records:
    """Return one-minute candles of (close, volume, vwap, trades)."""
    made = np.zeros(len(given), CANDLE)
    made["open_time"] = MINUTE * np.arange(len(given))
    made["close_time"] = made["open_time"] + MINUTE
    close, volume, vwap, trades = (np.array(column) for column in zip(*given, strict=True))
    for name in ("open", "high", "low", "close"):
        made[name] = close
    made["volume"], made["vwap"], made["quote_volume"], made["trades"] = volume, vwap, vwap * volume, trades
    made["complete"] = True
    return made


def test_venues_that_traded_are_put_together(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "a.duckdb") as store:
        kraken = candles((100.0, 1.0, 99.0, 3), (101.0, 4.0, 101.0, 2), (101.0, 0.0, 101.0, 0))
        kraken["complete"][1] = False
        for name, made in {
            "BTC-USD.KRAKEN": kraken,
            "BTC-USD.COINBASE": candles((102.0, 3.0, 101.0, 5), (100.5, 1.0, 100.0, 1), (103.0, 2.0, 102.0, 1)),
            "BTC-USD.SIM": candles((5.0, 9.0, 5.0, 9)),
            "BTC-USDT.BINANCE": candles((7.0, 1.0, 7.0, 1)),
        }.items():
            store.append("candles", rows.from_candles(name, "1m", made))
        table = store.sql("SELECT * FROM consolidated WHERE pair = 'BTC-USD' AND NOT simulated ORDER BY open_time")
        found = table.select(["venues", "last", "vwap", "spread", "volume", "complete"]).to_pylist()
        assert [tuple(row.values()) for row in found] == [
            (2, 102.0, 100.5, 2.0, 4.0, True),
            (2, 101.0, pytest.approx(100.8), 0.5, 5.0, False),
            (1, 103.0, 102.0, 0.0, 2.0, True),
        ]
        others = store.sql("SELECT pair, simulated, venues, last FROM consolidated ORDER BY pair, simulated DESC")
        assert others.to_pylist()[0] == {"pair": "BTC-USD", "simulated": True, "venues": 1, "last": 5.0}
        assert others.to_pylist()[-1] == {"pair": "BTC-USDT", "simulated": False, "venues": 1, "last": 7.0}
    with DuckDBStore(tmp_path / "a.duckdb", read_only=True) as store:
        assert store.sql("SELECT count(*) AS n FROM consolidated").to_pylist() == [{"n": 5}]
