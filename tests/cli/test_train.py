"""``tapeline train`` on what a user may have: a price that never moves, candles of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Tapeline
from tests.learned import NAME, candles

from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import Records


def stored(folder: Path, made: Records) -> Path:
    """Return a database with these candles, imported."""
    path = folder / "learn.duckdb"
    with DuckDBStore(path, threads=1) as store, store.transaction():
        store.append("candles", rows.from_candles(NAME, "1m", made, source="imported"))
    return path


@pytest.fixture
def still(folder: Path) -> Path:
    """A database with candles whose price never moves."""
    made = candles(500)
    for name in ("open", "high", "low", "close"):
        made[name] = 100.0
    return stored(folder, made)


def test_a_constant_target_is_no_edge_and_no_share_is_invented(tapeline: Tapeline, still: Path) -> None:
    command = ("train", NAME, "--db", still, "--set", "bars", "--model", "huber", "--folds", "2")
    shown = tapeline(*command)
    assert shown.code == 0, shown.err
    assert "  huber              unknown: the baseline makes no error to compare with" in shown.out
    assert "champion: last_price. no edge found: the outcome is constant (0) in all" in shown.out
    assert "huber cannot be better in mse than last_price, which makes no error" in shown.out
    told = tapeline(*command, "--json").json
    assert "the outcome is constant (0)" in told["targets"]["return"]["reason"]
    assert {row["difference"] for row in told["models"] if row["metric"] == "mse"} == {0.0}
    again = tapeline("report", "--db", still).out
    assert "unknown: the baseline makes no error" in again
    assert f"run {told['run']} of {NAME}, registered in {still}" in again
    elsewhere = tapeline("report")
    assert "no model of this run is registered in tapeline.duckdb" in elsewhere.err


@pytest.mark.parametrize("edge", ["0.2", "0"])
def test_a_planted_edge_is_promoted_and_nothing_else(tapeline: Tapeline, folder: Path, edge: str) -> None:
    market = ("--seed", "3", "--duration", "2d", "--rate", "0.5", "--steady", "--edge", edge)
    assert tapeline("simulate", *market, "--out", "edge.parquet").code == 0
    assert tapeline("import", "edge.parquet", "--db", "edge.duckdb").code == 0
    told = tapeline("train", "BTC-USD.SIM", "--db", "edge.duckdb", "--model", "huber", "--folds", "3", "--json").json
    assert (told["feature_set"], told["promoted"]) == ("market", edge != "0")


def test_a_schedule_takes_the_settings_alone(tapeline: Tapeline) -> None:
    refused = tapeline("train", "--schedule", "--folds", "3", "--seed", "1")
    assert (refused.code, "takes no other option of training" in refused.err) == (2, True)
    assert "folds, seed" in refused.err
    assert tapeline("train").code == 2
    few = tapeline("train", "--schedule", "--json")
    assert few.code == 1
    assert {one["status"] for one in few.json} == {"not trained"}
