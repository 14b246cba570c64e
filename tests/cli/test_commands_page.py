"""The examples of docs/commands.md are run, in order, in one folder; those that need a trained model are not."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from tests.cli.conftest import Result, Tapeline

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_examples_run(tapeline: Tapeline, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tapeline.duckdb").unlink()
    monkeypatch.setenv("TAPELINE_FEATURE_SETS", '["bars"]')
    given: dict[str, Result] = {}
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line)
            assert words[0] == "tapeline"
            given[line] = tapeline(*words[1:])
            assert given[line].code == 0, f"{line}: {given[line].err}"
            if "--json" in words:
                assert given[line].json
    assert len(given) > 15
    assert {"candles.csv", "features.parquet", "trades.parquet", "archive"} <= {path.name for path in folder.iterdir()}


def test_the_documented_report_of_an_import_is_the_one_given(tapeline: Tapeline) -> None:
    shapes = [
        json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    ]
    documented = next(shape for shape in shapes if "files" in shape)
    tapeline("simulate", "--trades", "50", "--out", "x.parquet")
    report = tapeline("import", "x.parquet", "--db", "x.duckdb", "--json").json
    assert list(report) == list(documented)
    assert list(report["files"][0]) == list(documented["files"][0])
    error = tapeline("candles", "X.Y", "--json").json
    assert list(error["error"]) == list(shapes[0]["error"])
