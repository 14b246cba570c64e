"""What a start costs, in modules: the times themselves are in bench/startup.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numba", "pyarrow", "duckdb", "sklearn", "scipy", "lightgbm", "matplotlib", "pandas", "polars", "talib")

ASK = f"""
import sys
try:
    {{statement}}
except SystemExit:
    pass
print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("import tapeline", id="import"),
        pytest.param("sys.argv = ['tapeline', '--help']; from tapeline.cli import main; main()", id="help"),
        pytest.param("import tapeline.types, tapeline.errors, tapeline.clock", id="nouns"),
    ],
)
def test_a_start_imports_nothing_heavy(statement: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", ASK.format(statement=statement)], capture_output=True, text=True, check=False
    )
    assert (run.stderr.strip(), run.returncode) == ("", 0)
