from __future__ import annotations

import json
from pathlib import Path

import pytest

from tapeline.clock import SECOND, ManualClock
from tapeline.monitor import health
from tapeline.monitor.health import HealthLog, with_reasons


def lines(path: Path) -> list[tuple[str, str, list[str]]]:
    read = (json.loads(line) for line in path.read_text().splitlines())
    return [(one["time"], one["health"], one["reasons"]) for one in read]


def test_a_line_stands_for_each_change_and_none_for_the_same(tmp_path: Path) -> None:
    clock, path = ManualClock(0), tmp_path / "a.jsonl"
    log = HealthLog(path, clock=clock)
    for word, why in (("healthy", []), ("healthy", []), ("degraded", ["x"]), ("degraded", ["y"]), ("healthy", [])):
        log.take(word, why)
        clock.advance(SECOND)
    assert lines(path) == [
        ("1970-01-01T00:00:00Z", "healthy", []),
        ("1970-01-01T00:00:02Z", "degraded", ["x"]),
        ("1970-01-01T00:00:03Z", "degraded", ["y"]),
        ("1970-01-01T00:00:04Z", "healthy", []),
    ]


def test_a_full_file_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_LARGEST", 100)
    log = HealthLog(tmp_path / "a.jsonl", clock=ManualClock(0))
    for at in range(20):
        log.take("degraded", [str(at)])
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl", "a.jsonl.1"}
    assert lines(tmp_path / "a.jsonl")[-1][2] == ["19"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 500


def test_a_file_that_cannot_be_written_is_said_and_tried_again(tmp_path: Path) -> None:
    log = HealthLog(tmp_path / "none" / "a.jsonl", clock=ManualClock(0))
    log.take("healthy", [])
    assert log.problem == "health log: cannot be written: No such file or directory"
    (tmp_path / "none").mkdir()
    log.take("healthy", [])
    assert log.problem == ""
    assert len(lines(tmp_path / "none" / "a.jsonl")) == 1


def test_nothing_becomes_better_by_more_reasons() -> None:
    assert with_reasons("unhealthy", ["a"], ["b"]) == ("unhealthy", ["a", "b"])
    assert with_reasons("healthy", [], []) == ("healthy", [])
