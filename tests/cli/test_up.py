"""The whole live process, in this one: simulated venue, sockets, folds, database, API, and what it tells."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.cli.conftest import Tapeline

from tapeline.clock import HOUR
from tapeline.runners import simulated
from tapeline.runners.owner import note_of


@pytest.fixture
def short_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "PAIRS", {"BTC-USD": 2 * HOUR, "ETH-USD": HOUR})


def test_the_demo_follows_the_simulated_venue_and_leaves_a_database_that_verifies(
    tapeline: Tapeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_past: None
) -> None:
    monkeypatch.setenv("TAPELINE_TIMEFRAMES", "1s 1m")
    monkeypatch.setenv("TAPELINE_FEATURE_SETS", "bars")
    monkeypatch.setenv("TAPELINE_PREDICT", "")
    db = str(tmp_path / "live.duckdb")

    first = tapeline("up", "--demo", "--headless", "--port", "0", "--seconds", "4", "--db", db)
    again = tapeline("up", "--demo", "--headless", "--port", "0", "--seconds", "3", "--db", db)

    for run in (first, again):
        assert run.code == 0, run.err
        told = [json.loads(line) for line in run.out.splitlines()]
        (serving,) = (line for line in told if line["event"] == "serving")
        assert serving["address"].startswith("http://127.0.0.1:")
        assert {"live", "healing"} & {line["state"] for line in told if line["event"] == "connection"}
        closed = {line["instrument"] for line in told if line["event"] == "candle"}
        assert closed  # a simulated market may be quiet for some seconds
        assert closed <= {"BTC-USD.SIM", "ETH-USD.SIM"}
    assert "SIMULATED trades imported" in first.err
    assert "SIMULATED trades imported" not in again.err
    assert not note_of(Path(db)).exists()
    verified = tapeline("verify", "--db", db)
    assert verified.code == 0, verified.out


def test_the_second_process_is_refused_by_the_name_of_the_first(
    tapeline: Tapeline, tmp_path: Path, short_past: None
) -> None:
    from tapeline.clock import ManualClock
    from tapeline.runners.owner import owning
    from tapeline.stores.duckdb import DuckDBStore

    db = tmp_path / "live.duckdb"
    with DuckDBStore(db), owning(db, "http://127.0.0.1:8787", clock=ManualClock(0)):
        refused = tapeline("up", "--demo", "--port", "0", "--seconds", "1", "--db", str(db))

    assert refused.code == 2
    assert f"PID {os.getpid()}" in refused.err
    assert "http://127.0.0.1:8787" in refused.err


def test_check_prints_the_settings_and_hides_secrets(tapeline: Tapeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPELINE_TOKEN", "very-secret")
    monkeypatch.setenv("TAPELINE_MASSIVE_KEY", "other-secret")

    shown = tapeline("up", "BTC-USD.KRAKEN", "--check", "--json")
    lines = tapeline("up", "--check")

    assert shown.json["instruments"] == ["BTC-USD.KRAKEN"]
    assert "secret" not in shown.out + lines.out
    assert "token = **********" in lines.out


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TAPELINE_INSTRUMENTS", "btc", "settings instruments"),
        ("TAPELINE_PREDICT", "1m/90s", "a multiple of 1m"),
        ("TAPELINE_GAP_TIMEOUT", "soon", "gap_timeout"),
        ("TAPELINE_KRAKEN_URL", "ftp://x", "settings kraken_url"),
        ("TAPELINE_KRAKEN_FEED", "nothing", "settings kraken_feed"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_rule(
    tapeline: Tapeline, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)

    refused = tapeline("up", "--port", "0", "--seconds", "1")

    assert refused.code == 2
    assert told in refused.err
