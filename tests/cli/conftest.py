"""The command line in this process, on a small database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.stored import SETTINGS, fill

from tapeline import cli
from tapeline.stores.duckdb import DuckDBStore


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


Tapeline = Callable[..., Result]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "tape.duckdb"
    store = DuckDBStore(path, threads=1)
    fill(store)
    store.close()
    return path


@pytest.fixture
def folder(tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ``tapeline.duckdb`` in it."""
    shutil.copy(template, tmp_path / "tapeline.duckdb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPELINE_DB", raising=False)
    monkeypatch.setenv("TAPELINE_TIMEFRAMES", json.dumps(SETTINGS.timeframes))
    monkeypatch.setenv("TAPELINE_FEATURE_SETS", json.dumps(SETTINGS.feature_sets))
    return tmp_path


@pytest.fixture
def tapeline(folder: Path, capfd: pytest.CaptureFixture[str]) -> Tapeline:
    """Run a command in the working folder."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        return Result(code, *capfd.readouterr())

    return run
