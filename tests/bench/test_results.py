from __future__ import annotations

import json
from pathlib import Path

import pytest

import results


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "deep" / "results.json"
    monkeypatch.setenv("TAPELINE_BENCH_RESULTS", str(file))
    return file


def test_results_are_merged_by_name(path: Path) -> None:
    results.record("b", 1.0, "ms", None, None, "old")
    results.record("a", 30.0, "trades/s", 10.0, 3.0, "make bench")
    results.record("b", 2.0, "ms", 1.0, 2.0, "new")
    assert json.loads(path.read_text()) == {
        "a": {"value": 30.0, "unit": "trades/s", "peer": 10.0, "ratio": 3.0, "command": "make bench"},
        "b": {"value": 2.0, "unit": "ms", "peer": 1.0, "ratio": 2.0, "command": "new"},
    }
    assert list(results.read()) == ["a", "b"]


def test_a_result_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    results.record("replay", 30e6, "trades/s", 10e6, 3.0, "make bench")
    results.record("size", 7.5, "bytes", None, None, "make bench")
    assert capsys.readouterr().out.splitlines() == [
        "replay: 3e+07 trades/s, peer 1e+07 trades/s, ratio 3x",
        "size: 7.5 bytes",
    ]


def test_results_lie_beside_the_benches_by_default(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.delenv("TAPELINE_BENCH_RESULTS")
    assert results.results_path() == root / "bench" / "results.json"
