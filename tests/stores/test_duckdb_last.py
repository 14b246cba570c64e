"""The last rows: found near the end of a table, wherever that is, and never others than sorting all of it gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tapeline.stores import rows
from tapeline.stores._duckdb_last import stretches
from tapeline.stores._duckdb_schema import columns_of
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import CANDLE

NAMES = ("A-USD.SIM", "B-USD.SIM")
TIMES = {
    "even": np.arange(500) * 60,
    "dense at first": np.concatenate((np.arange(400), 10_000 + 1_000 * np.arange(100))),
    "dense at last": np.concatenate((1_000 * np.arange(100), 200_000 + np.arange(400))),
    "one far away": np.append(np.arange(499), 1 << 60),
    "before 1970": np.arange(500) * 60 - (1 << 62),
}


@pytest.fixture(scope="module", params=TIMES)
def times(request: pytest.FixtureRequest) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    found: np.ndarray[tuple[int], np.dtype[np.int64]] = TIMES[request.param]
    return found


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, times: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Iterator[DuckDBStore]:
    """Return a store of candles at these times, which all tests only read."""
    store = DuckDBStore(tmp_path_factory.mktemp("last") / "tape.duckdb", threads=1)
    candles = np.zeros(len(times), CANDLE)
    candles["open_time"], candles["close_time"] = times, times + 60
    for name in NAMES:
        for timeframe in ("1m", "5m"):
            store.append("candles", rows.from_candles(name, timeframe, candles, source="imported"))
    yield store
    store.close()


@pytest.mark.parametrize("limit", [0, 1, 2, 10, 99, 101, 401, 499, 500, 501, 5_000])
@pytest.mark.parametrize("asked", [{}, {"instrument": NAMES[0]}, {"instrument": NAMES[0], "timeframe": "1m"}], ids=len)
def test_they_are_those_that_sorting_all_gives(store: DuckDBStore, asked: dict[str, str], limit: int) -> None:
    whole: pa.Table = store.read("candles", **asked)  # type: ignore[arg-type]
    last = store.read("candles", limit=limit, **asked)  # type: ignore[arg-type]
    assert last.equals(whole.slice(max(0, len(whole) - limit)))


def test_pages_are_the_same_rows(store: DuckDBStore) -> None:
    whole = store.read("candles", instrument=NAMES[0], timeframe="1m")["open_time"].to_pylist()
    reader, found = store.reader(), list[int]()
    before: tuple[int | str, ...] = ()
    while True:
        table, before = reader.page("candles", 70, instrument=NAMES[0], before=before, timeframe="1m")
        found = table["open_time"].to_pylist() + found
        if not before:
            break
    reader.close()
    assert found == whole


def test_only_a_stretch_is_sorted_where_rows_are_even(tmp_path: Path) -> None:
    candles = np.zeros(10_000, CANDLE)
    candles["open_time"] = 60 * np.arange(10_000)
    with DuckDBStore(tmp_path / "tape.duckdb", threads=1) as store:
        store.append("candles", rows.from_candles(NAMES[0], "1m", candles, source="imported"))
        order = [columns_of("candles")[name] for name in ("timeframe", "open_time")]
        near, *wider = stretches(store._connection, "candles", (" WHERE instrument = ?", [NAMES[0]]), order, 100)
        ((count,),) = store._connection.execute(f"SELECT count(*) FROM candles{near[0]}", near[1]).fetchall()
    assert 100 <= count <= 250
    assert wider[-1] == (" WHERE instrument = ?", [NAMES[0]])
