"""The built wheel in an environment of its own, with nothing but what it asks for: as a user installs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.services

UV = Path(sys.executable).with_name("uv")

SMOKE = """
import json
import pyarrow as pa
import tapeline as tl

MINUTE = 60_000_000_000
trades = pa.table({
    "instrument": ["BTC-USD.SIM"] * 5,
    "trade_id": [1, 2, 3, 4, 5],
    "ts_event": [0, 1, MINUTE - 1, MINUTE, 2 * MINUTE],
    "price": [10.0, 12.0, 11.0, 13.0, 14.0],
    "qty": [1.0, 2.0, 3.0, 4.0, 5.0],
})
rows = pa.table(tl.candles(trades, "1m")).select(["open", "high", "low", "close", "volume"]).to_pylist()
print(json.dumps(rows[0]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Build the wheel and install it, with its locked dependencies and no others; return the folder of programs."""
    folder = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--wheel", "--out-dir", folder, root)
    run(UV, "venv", "--python", sys.executable, folder / "venv")
    asked = folder / "requirements.txt"
    run(UV, "export", "--frozen", "--no-default-groups", "--no-emit-project", "--output-file", asked, cwd=root)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    run(UV, "pip", "install", "--python", python, "--requirements", asked)
    run(UV, "pip", "install", "--python", python, "--no-deps", wheel)
    return python.parent


def run(*words: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_help(installed: Path, tmp_path: Path) -> None:
    assert "import" in run(installed / "tapeline", "--help", cwd=tmp_path)


def test_dependencies_agree(installed: Path) -> None:
    run(UV, "pip", "check", "--python", installed / "python")


def test_no_extra_is_there(installed: Path, tmp_path: Path) -> None:
    ask = "from importlib.util import find_spec; print(*[n for n in ('pandas', 'polars', 'pytest') if find_spec(n)])"
    assert run(installed / "python", "-c", ask, cwd=tmp_path).strip() == ""


def test_trades_become_candles(installed: Path, tmp_path: Path) -> None:
    first = json.loads(run(installed / "python", "-W", "error", "-c", SMOKE, cwd=tmp_path))
    assert first == {"open": 10.0, "high": 12.0, "low": 10.0, "close": 11.0, "volume": 6.0}


def test_the_parts_that_are_data_are_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    ask = "from tapeline.features import FeatureSet; print(len(FeatureSet.load('technical').names))"
    assert int(run(installed / "python", "-c", ask, cwd=tmp_path)) > 20
