from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.stores.recorded import instrument_row, synthetic

from tapeline.stores.duckdb import DuckDBStore


@pytest.mark.parametrize("contiguous", [True, False])
def test_the_tape_is_in_order_however_it_came(store: DuckDBStore, contiguous: bool) -> None:
    store.append("instruments", instrument_row("BTC-USD.SIM", contiguous=contiguous))
    whole = synthetic(60_000)
    rng = np.random.default_rng(2)
    shuffled = whole.take(pa.array(rng.permutation(len(whole))))
    far = synthetic(10).set_column(1, "trade_id", pa.array(np.arange(10) + (1 << 62)))
    late = pa.array(whole["ts_event"].to_numpy()[-10:] + 10**15)
    far = far.set_column(2, "ts_event", late).set_column(3, "ts_init", late)
    for start in range(0, len(whole), 7_000):
        store.append("trades", shuffled.slice(start, 7_000))
    store.append("trades", far)
    tables = list(store.tape("BTC-USD.SIM", rows=1_000))
    assert max(len(table) for table in tables) <= 1_000
    assert len(tables) < 200
    expected = pa.concat_tables([whole, far])
    order = [("trade_id", "ascending")] if contiguous else [("ts_event", "ascending"), ("trade_id", "ascending")]
    assert pa.concat_tables(tables).equals(expected.sort_by(order))


def test_many_trades_of_one_instant_come_in_pieces(store: DuckDBStore) -> None:
    same = synthetic(5_000)
    stamps = pa.array(np.full(5_000, 10**18))
    store.append("trades", same.set_column(2, "ts_event", stamps).set_column(3, "ts_init", stamps))
    tables = list(store.tape("BTC-USD.SIM", rows=300))
    assert max(len(table) for table in tables) <= 300
    assert pa.concat_tables(tables)["trade_id"].to_pylist() == list(range(5_000))
