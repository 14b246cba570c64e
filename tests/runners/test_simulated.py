from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tapeline.clock import DAY, MINUTE
from tapeline.errors import UnreadableFile, UsageError
from tapeline.runners.simulated import PAIRS, Simulation

NOW = 1_750_000_000 * 10**9


def test_the_same_market_goes_on_after_a_restart(tmp_path: Path) -> None:
    begun = Simulation.beside(tmp_path / "a.duckdb", now=NOW, seed=3)

    again = Simulation.beside(tmp_path / "a.duckdb", now=NOW + 5 * DAY)

    assert again == begun
    assert begun.start == NOW - NOW % MINUTE


def test_another_market_in_the_same_place_is_refused_by_name(tmp_path: Path) -> None:
    Simulation.beside(tmp_path / "a.duckdb", now=NOW, seed=3)

    with pytest.raises(UsageError, match=r"is another market: expected seed 3, edge 0\.1, .*was 'seed 4'"):
        Simulation.beside(tmp_path / "a.duckdb", now=NOW, seed=4)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.duckdb.simulation.json").write_text('{"start": "soon"}')

    with pytest.raises(UnreadableFile, match=r"a\.duckdb\.simulation\.json: cannot be read"):
        Simulation.beside(tmp_path / "a.duckdb", now=NOW)


def test_the_past_ends_where_the_market_goes_live(tmp_path: Path) -> None:
    simulation = Simulation(start=NOW, trades_per_second=0.02)

    files = simulation.record(tmp_path)

    for file, past, name in zip(files, PAIRS.values(), simulation.instruments, strict=True):
        table = pq.read_table(file)
        ids, times = (table[column].to_numpy() for column in ("trade_id", "ts_event"))
        assert set(table["instrument"].to_pylist()) == {name}
        assert ids.tolist() == list(range(1, len(ids) + 1))
        assert times[0] >= NOW - past
        assert times[-1] <= NOW
        assert np.all(np.diff(times) >= 0)


def test_the_venue_goes_on_where_the_past_ends(tmp_path: Path) -> None:
    simulation = Simulation(start=NOW, trades_per_second=0.02)
    files = simulation.record(tmp_path)

    for file, source in zip(files, simulation.sources(), strict=True):
        told = source.until(NOW + 10 * MINUTE)
        past = pq.read_table(file)
        assert told.trade_id[: past.num_rows].tolist() == past["trade_id"].to_pylist()
        assert told.ts_event[: past.num_rows].tolist() == past["ts_event"].to_pylist()
        assert len(told) > past.num_rows
