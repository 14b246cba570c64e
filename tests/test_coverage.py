"""What a store holds, told from its rows."""

from __future__ import annotations

from pathlib import Path

from tests.stored import TRADED, fill, trades

from tapeline.coverage import coverage, open_gaps
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore


def test_gaps_count_until_they_are_healed(tmp_path: Path) -> None:
    frame = trades(500)
    store = DuckDBStore(tmp_path / "tape.duckdb", threads=1)
    fill(store, frame.take((frame.trade_id < 100) | (frame.trade_id > 109)))
    fields = ("instrument", "first_missing", "last_missing", "status")
    healed = dict(zip(fields, (TRADED, 50, 59, "healed"), strict=True))
    store.append("gaps", rows.from_dicts("gaps", healed))
    told = coverage(store)[0]
    listed = [(gap["first_missing"], gap["missing"]) for gap in open_gaps(store)]
    store.close()
    assert (told.open_gaps, told.missing, told.completeness) == (1, 10, "gaps")
    assert listed == [(100, 10)]


def test_ids_that_are_not_contiguous_prove_nothing(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "tape.duckdb", threads=1)
    seen = {"instrument": "SPY.US", "venue": "US", "id_kind": "row", "contiguous": False, "first_seen": 0}
    store.append("instruments", rows.from_dicts("instruments", seen))
    told = coverage(store)[0]
    store.close()
    assert (told.rows, told.first, told.open_gaps, told.completeness) == (0, None, None, "unproven")
    assert told.to_json()["first"] is None
