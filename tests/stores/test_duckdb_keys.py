from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tapeline.stores._duckdb_keys import Keys
from tapeline.stores.base import KINDS
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


@pytest.mark.parametrize(("at", "verb"), [(10, "INSERT OR IGNORE"), (9, "INSERT OR IGNORE"), (11, "INSERT")])
def test_only_predictions_that_may_be_stored_are_looked_up(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch, at: int, verb: str
) -> None:
    store.append("predictions", _predictions(("BTC-USD.SIM", 10), ("ETH-USD.SIM", 20)))
    verbs: list[str] = []
    insert = DuckDBStore._insert

    def noted(self: DuckDBStore, kind: Any, rows: pa.Table, verb: str) -> int:
        verbs.append(verb)
        return insert(self, kind, rows, verb)

    monkeypatch.setattr(DuckDBStore, "_insert", noted)
    assert store.append("predictions", _predictions(("BTC-USD.SIM", at), ("SOL-USD.SIM", 1))) == 1 + (at != 10)
    assert store.append("predictions", _predictions(("BTC-USD.SIM", at))) == 0
    assert verbs == [verb, "INSERT OR IGNORE"]


def test_predictions_of_a_transaction_that_failed_can_be_stored_again(store: DuckDBStore) -> None:
    with suppress(ZeroDivisionError), store.transaction():
        store.append("predictions", _predictions(("BTC-USD.SIM", 10)))
        raise ZeroDivisionError
    assert store.append("predictions", _predictions(("BTC-USD.SIM", 10))) == 1


def _predictions(*made: tuple[str, int]) -> pa.Table:
    numbers = {"horizon": 5, "target_time": 5, "made_at": 1, "value": 0.1, "low": 0.0, "high": 0.2, "p_up": 0.5}
    texts = ("timeframe", "model", "model_version", "feature_set", "feature_version", "row_hash")
    same = {**numbers, "close": 1.0, **dict.fromkeys(texts, "1m")}
    given = [{"id": f"{name} {at}", "instrument": name, "as_of": at, **same} for name, at in made]
    return pa.Table.from_pylist(given, KINDS["predictions"].schema)
