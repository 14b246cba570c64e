from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tapeline.stores._duckdb_keys import Keys
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.rows import from_candles
from tapeline.types import CANDLE


def test_only_rows_of_the_same_series_are_compared(store: DuckDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    monkeypatch.setattr(Keys, "batch", _noting(Keys.batch, compared))
    for timeframe, hours in (("1m", [1, 2]), ("1h", [1]), ("1m", [3]), ("1h", [1, 2])):
        store.append("candles", _candles(timeframe, hours))
    assert compared == [2]
    stored = [(row["timeframe"], row["open_time"]) for row in store.read("candles").to_pylist()]
    assert stored == [("1h", 1), ("1h", 2), ("1m", 1), ("1m", 2), ("1m", 3)]


def _noting(batch: Any, sizes: list[int]) -> Any:
    def noted(keys: Keys, rows: pa.Table) -> Any:
        sizes.append(len(rows))
        return batch(keys, rows)

    return noted


def _candles(timeframe: str, times: list[int]) -> pa.Table:
    records = np.zeros(len(times), CANDLE)
    records["open_time"] = times
    return from_candles("BTC-USD.SIM", timeframe, records)
