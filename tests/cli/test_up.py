"""The whole live process, in this one: simulated venue, sockets, folds, database, API, and what it tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Tapeline

from tapeline.clock import HOUR
from tapeline.config import Settings
from tapeline.runners import simulated
from tapeline.runners.owner import note_of

HEAVY = {
    *("pandas", "polars", "scipy.stats", "sklearn", "lightgbm", "onnx", "onnxruntime", "skl2onnx", "river", "torch"),
    *("matplotlib", "plotly", "optuna", "pandera", "mlflow", "talib"),
}
"""What only training, figures, notebooks, or a model of one kind need."""
UP = """
import os, sys
from tapeline.clock import HOUR
from tapeline.runners import simulated
from tapeline.cli import main
simulated.PAIRS = {"BTC-USD": HOUR}
def tell(code=None, leave=os._exit):
    print(*sys.modules, file=sys.stderr, flush=True)
    if code is not None:
        leave(code)

os._exit = tell  # how it ends where a thread still works: see tapeline.runners.unawaited
try:
    main()
finally:
    tell()
"""


@pytest.fixture
def short_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "PAIRS", {"BTC-USD": 2 * HOUR, "ETH-USD": HOUR})


def up(db: Path, **settings: str) -> tuple[list[dict[str, Any]], str]:
    """Run it on the simulated market until it serves and a candle closes; return what it told, and its stderr.

    Its last line of stderr names all modules it has imported.
    """
    environment = os.environ | {f"TAPELINE_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-c", UP, "up", "--demo", "--headless", "--port", "0", "--db", str(db)]
    errors, told, ended = db.with_suffix(".err"), list[dict[str, Any]](), False
    with (
        errors.open("w") as file,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=file, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            told.append(json.loads(line))
            if not ended and {"serving", "candle"} <= {line["event"] for line in told}:
                ended = True
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 0, errors.read_text()
    return told, errors.read_text()


def test_the_demo_follows_the_simulated_venue_and_leaves_a_database_that_verifies(
    tapeline: Tapeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, settings = tmp_path / "live.duckdb", {"TIMEFRAMES": "1s 1m", "PREDICT": ""}

    first, again = up(db, **settings), up(db, **settings)

    for told, _ in (first, again):
        (serving,) = (line for line in told if line["event"] == "serving")
        assert serving["address"].startswith("http://127.0.0.1:")
        assert {"live", "healing"} & {line["state"] for line in told if line["event"] == "connection"}
        assert {line["instrument"] for line in told if line["event"] == "candle"} == {"BTC-USD.SIM"}
    assert "SIMULATED trades imported" in first[1]
    assert "SIMULATED trades imported" not in again[1]
    assert "leaked" not in first[1] + again[1]
    assert not note_of(db).exists()
    for name, value in settings.items():
        monkeypatch.setenv(f"TAPELINE_{name}", value)
    verified = tapeline("verify", "--db", str(db))
    assert verified.code == 0, verified.out
    for _, errors in (first, again):
        imported = set(errors.split())
        assert {"duckdb", "numba", "fastapi"} <= imported
        assert imported & HEAVY == set(), "heavy libraries without a model"


def test_the_second_process_is_refused_by_the_name_of_the_first(
    tapeline: Tapeline, tmp_path: Path, short_past: None
) -> None:
    from tapeline.clock import ManualClock
    from tapeline.runners.owner import owning
    from tapeline.stores.duckdb import DuckDBStore

    db = tmp_path / "live.duckdb"
    with DuckDBStore(db), owning(db, "http://127.0.0.1:8787", clock=ManualClock(0)):
        second = tapeline("up", "--demo", "--port", "0", "--seconds", "1", "--db", str(db))
        verified = tapeline("verify", "--db", str(db))

    for refused in (second, verified):  # what is written to meanwhile cannot be proven
        assert refused.code == 2
        assert f"PID {os.getpid()}" in refused.err
        assert "http://127.0.0.1:8787" in refused.err


def test_check_prints_the_settings_and_hides_secrets(tapeline: Tapeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPELINE_TOKEN", "very-secret")
    monkeypatch.setenv("TAPELINE_MASSIVE_KEY", "other-secret")
    monkeypatch.setenv("TAPELINE_KRAKEN_URL", "wss://me:secret@127.0.0.1:1/v2")

    shown = tapeline("up", "BTC-USD.KRAKEN", "--check", "--json")
    lines = tapeline("up", "--check")

    assert shown.json["instruments"] == ["BTC-USD.KRAKEN"]
    assert shown.json.keys() == Settings.model_fields.keys()
    assert [line.partition(" = ")[0] for line in lines.out.splitlines()] == list(Settings.model_fields)
    assert "secret" not in shown.out + lines.out
    assert "token = **********" in lines.out
    assert "kraken_url = wss://me:**********@127.0.0.1:1/v2" in lines.out


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TAPELINE_INSTRUMENTS", "btc", "settings instruments"),
        ("TAPELINE_PREDICT", "1m/90s", "a multiple of 1m"),
        ("TAPELINE_GAP_TIMEOUT", "soon", "gap_timeout"),
        ("TAPELINE_KRAKEN_URL", "ftp://x", "settings kraken_url"),
        ("TAPELINE_KRAKEN_FEED", "nothing", "settings kraken_feed"),
        ("TAPELINE_COINBASE_FEED", "nothing", "settings coinbase_feed"),
        ("TAPELINE_BINANCE_REST_URL", "ftp://x", "settings binance_rest_url"),
        ("TAPELINE_PREDICT", "3m/6m", "one of the timeframes"),
        ("TAPELINE_SETS", "/nowhere", "settings sets"),
        ("TAPELINE_FEATURE_SETS", "nothing", "feature set nothing"),
        ("TAPELINE_INSTRUMENTS", "NOPE", "cannot be followed"),
        ("TAPELINE_INSTRUMENTS", "MASSIVE", "settings massive_key"),
        ("TAPELINE_HOST", "0.0.0.0", "settings host"),
        ("TAPELINE_CORS", "example.com", "settings cors"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_rule(
    tapeline: Tapeline, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)

    for more in (("--seconds", "1"), ("--check",)):
        refused = tapeline("up", "--port", "0", *more)
        assert refused.code == 2, more
        assert told in refused.err


def test_a_variable_that_is_misspelt_is_named(tapeline: Tapeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPELINE_QEUE", "3")

    assert "TAPELINE_QEUE is no setting and is not read: TAPELINE_QUEUE is one" in tapeline("up", "--check").err
