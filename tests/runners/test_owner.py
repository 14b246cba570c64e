"""The note beside a database: who owns it, and who only seems to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapeline.clock import ManualClock
from tapeline.errors import StoreLocked
from tapeline.runners.owner import note_of, owner_of, owning, told

GONE = 2**22 + 1
"""No process has this id: it is above the most there can be."""


def locked(pid: int) -> StoreLocked:
    return StoreLocked("database a", "is open elsewhere", expected="no other process", was=f"python (PID {pid})")


def test_the_note_is_there_while_the_database_is_owned(tmp_path: Path) -> None:
    db = tmp_path / "a.duckdb"
    with owning(db, "http://127.0.0.1:8787", clock=ManualClock(0)):
        owner = owner_of(db)
        assert owner is not None
        assert (owner.pid, owner.started, owner.url) == (os.getpid(), "1970-01-01T00:00:00Z", "http://127.0.0.1:8787")
        error = told(db, locked(os.getpid()))
        assert f"was 'tapeline (PID {os.getpid()}) since 1970-01-01T00:00:00Z'" in str(error)
        assert error.next_step == "ask it at http://127.0.0.1:8787, or stop it first"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"rubbish", b'{"pid": "x"}', b'{"pid": %d, "started": "", "url": ""}' % GONE])
def test_a_note_that_a_killed_process_left_is_not_believed(tmp_path: Path, content: bytes) -> None:
    db = tmp_path / "a.duckdb"
    note_of(db).write_bytes(content)
    assert owner_of(db) is None
    assert told(db, locked(5)).was == "python (PID 5)"
    with owning(db, "", clock=ManualClock(0)):
        assert owner_of(db) is not None


def test_another_holder_than_the_note_says_is_not_given_its_address(tmp_path: Path) -> None:
    db = tmp_path / "a.duckdb"
    with owning(db, "http://127.0.0.1:1", clock=ManualClock(0)):
        assert told(db, locked(1)).was == "python (PID 1)"
