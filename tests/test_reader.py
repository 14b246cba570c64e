"""A database read in a notebook."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.stored import IMPORTED, SETTINGS, START, TRADED, fill, trades

import tapeline as tl
from tapeline.clock import MINUTE
from tapeline.errors import MissingDependency, UnknownName, UnreadableFile, UsageError
from tapeline.stores.duckdb import DuckDBStore


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("reader") / "tape.duckdb"
    store = DuckDBStore(file, threads=1)
    fill(store)
    store.close()
    return file


@pytest.fixture
def tape(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tl.Tape]:
    monkeypatch.setenv("TAPELINE_TIMEFRAMES", json.dumps(SETTINGS.timeframes))
    monkeypatch.setenv("TAPELINE_FEATURE_SETS", json.dumps(SETTINGS.feature_sets))
    with tl.open(path, kind="arrow") as tape:
        yield tape


@pytest.mark.parametrize(
    ("kind", "table"),
    [(None, pd.DataFrame), ("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("arrow", pa.Table)],
)
def test_tables_come_as_asked(path: Path, kind: Any, table: type) -> None:
    with tl.open(path, kind=kind) as tape:
        assert isinstance(tape.trades(TRADED), table)
        assert isinstance(tape.instruments(), table)
        assert isinstance(tape.sql("SELECT 1 AS n"), table)
        assert isinstance(tape.predictions(), table)


def test_trades_are_those_stored(tape: tl.Tape) -> None:
    frame = trades()
    found = tape.trades(TRADED)
    assert found["ts_event"].cast(pa.int64()).to_pylist() == frame.ts_event.tolist()
    assert found["price"].to_pylist() == frame.price.tolist()
    cut = tape.trades(TRADED, start=START + MINUTE, end="2024-01-01T00:02Z")
    inside = (frame.ts_event >= START + MINUTE) & (frame.ts_event < START + 2 * MINUTE)
    assert cut["trade_id"].to_pylist() == frame.trade_id[inside].tolist()


def test_the_notebook_functions_give_what_is_stored(tape: tl.Tape) -> None:
    stored, made = tape.candles(TRADED), tl.candles(tape.trades(TRADED), "1m")
    for name in ("open_time", "open", "close", "vwap", "volume", "complete"):
        assert stored[name].combine_chunks().equals(made[name].combine_chunks())
    rows, again = tape.features(TRADED, "1m", "bars"), tl.features(made, "bars")
    for name in ("as_of", "version", "ma_5", "return_1", "complete"):
        assert rows[name].combine_chunks().equals(again[name].combine_chunks())


@pytest.mark.parametrize("start", ["2024-01-01T00:03:00Z", datetime(2024, 1, 1, 0, 3), START + 3 * MINUTE])  # noqa: DTZ001 - a naive time is UTC
def test_times_are_taken_in_any_form(tape: tl.Tape, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    found = tape.candles(TRADED, start=start)["open_time"].cast(pa.int64()).to_numpy()
    monkeypatch.undo()
    time.tzset()
    assert found[0] == START + 3 * MINUTE
    assert (np.diff(found) == MINUTE).all()


def test_instruments_say_what_is_proven(tape: tl.Tape) -> None:
    ours, theirs = tape.instruments().to_pylist()
    assert (ours["instrument"], ours["rows"], ours["completeness"]) == (TRADED, 6000, "proven by ids")
    assert (theirs["instrument"], theirs["holds"], theirs["open_gaps"]) == (IMPORTED, "candles 1m", None)


def test_numbers_that_are_not_current_are_folded_with_a_warning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPELINE_MAX_QUIET", "1d")
    with tl.open(path, kind="arrow") as tape:
        with pytest.warns(UserWarning, match="what is stored is not current"):
            tape.candles(TRADED)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tape.candles(IMPORTED)


def test_refusals(path: Path, tape: tl.Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match=r"^instrument X\.Y: is not in this database"):
        tape.trades("X.Y")
    with pytest.raises(UnreadableFile, match="is missing"):
        tl.open(path.with_name("absent.duckdb"))
    with pytest.raises(UsageError, match="kind is not known: expected pandas or polars or arrow, was 'spark'"):
        tl.open(path, kind="spark")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="sql: DELETE is not allowed"):
        tape.sql("DELETE FROM trades")
    monkeypatch.setattr("tapeline.reader.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"^polars: is not installed; pip install 'tapeline\[polars\]'"):
        tl.open(path, kind="polars")
    assert tl.open.__module__ == "tapeline.reader"


def test_the_functions_are_not_hidden_by_modules_of_their_names() -> None:
    import tapeline.candles
    import tapeline.features  # noqa: F401 - importing it is what is tested

    assert callable(tl.candles)
    assert callable(tl.features)
    assert set(tl.__all__) <= set(dir(tl))
