"""``tapeline up`` as a process, killed and stopped at random moments: what truly happened is what is stored.

``TAPELINE_SEED`` picks the moments, ``TAPELINE_KILLS`` how often (default 20), ``TAPELINE_STOPPED`` for how many
seconds it is stopped after them (default 3).
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from random import Random

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.chaos.processes import INSTRUMENT, LONG, SETTINGS, Up, self_signed, tapeline, venue, wait_for
from tests.chaos.truth import Stored, content

from tapeline.clock import SECOND, SystemClock
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore

pytestmark = pytest.mark.services

SEED = int(os.environ.get("TAPELINE_SEED", "1"))
KILLS = int(os.environ.get("TAPELINE_KILLS", "20"))
STOPPED = float(os.environ.get("TAPELINE_STOPPED", "3"))
FAULTS = ("disconnect=0.02", "drop=0.02", "duplicate=0.02", "reorder=0.02", "malformed=0.01", "rest-5xx=0.05")


def options() -> list[str]:
    return ["--rate", "100", "--seed", str(SEED), *(word for fault in FAULTS for word in ("--fault", fault))]


def check(db: Path, truth: Path, trades: int) -> None:
    """Check that the stored tape is the true one, and all that is stored is what the tape gives.

    What the venue dropped at the very end is not healed yet: it is said to be missing, and nothing else is.
    """
    with DuckDBStore(db, read_only=True) as store:
        stored = Stored.of(store, INSTRUMENT, ())
    true = content(rows.to_frame(INSTRUMENT, pq.read_table(truth)))
    ids = np.sort(stored.frame.trade_id)
    assert len(ids) >= trades
    assert sorted([*ids.tolist(), *stored.missing("open").tolist()]) == list(range(ids[0], ids[-1] + 1))
    assert {number for number, row in content(stored.frame).items() if true[number] != row} == set()
    assert {gap["status"] for gap in stored.gaps} <= {"healed", "open"}
    assert stored.late == 0
    done = subprocess.run(
        tapeline("--db", str(db), "verify"), env=os.environ | SETTINGS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    print(f"TAPELINE_SEED={SEED}")
    random, clock, db = Random(SEED), SystemClock(), tmp_path / "a.duckdb"
    with venue(tmp_path, *options()) as url:
        for kill in range(KILLS):
            with Up(db, url) as up:
                if kill % 4:
                    up.wait_for("serving")
                clock.wait(random.uniform(0.0, 1.5))
                assert up.process.poll() is None, up.output.read_text()
        with Up(db, url) as up:
            up.wait_for("candle")
            os.kill(up.process.pid, signal.SIGSTOP)
            clock.wait(STOPPED)
            os.kill(up.process.pid, signal.SIGCONT)
            up.wait_until_healed()
            up.end()
    check(db, tmp_path / "truth.parquet", 500)


def test_sigterm_ends_it_in_two_seconds_with_everything_committed(tmp_path: Path) -> None:
    """On a busy machine they are longer: there it ends sooner than it starts, for which it needs 3 s of a core."""
    started, taken, clock = [], [], SystemClock()
    with venue(tmp_path, "--rate", "100") as url:
        for _ in range(3):
            begun = clock.now()
            with Up(tmp_path / "a.duckdb", url) as up:
                up.wait_for("serving")
                started.append((clock.now() - begun) / SECOND)
                up.wait_until_healed()
                taken.append(up.end())
    check(tmp_path / "a.duckdb", tmp_path / "truth.parquet", 500)
    assert min(taken) < max(2.0, min(started)), (taken, started)


def test_a_second_one_on_the_same_database_is_refused_by_name_of_the_first(tmp_path: Path) -> None:
    with venue(tmp_path, "--rate", "10") as url, Up(tmp_path / "a.duckdb", url) as first:
        address = first.wait_for("serving")["address"]
        with Up(tmp_path / "a.duckdb", url) as second:
            assert second.process.wait(LONG) == 2
            told = second.output.read_text()
        assert f"tapeline (PID {first.process.pid})" in told
        assert address in told
        first.end()


def test_a_certificate_that_nobody_vouches_for_is_named_and_asked_for_ever_less(tmp_path: Path) -> None:
    with self_signed(tmp_path) as (url, greeted), Up(tmp_path / "a.duckdb", url) as up:
        assert "self-signed certificate" in up.wait_for("connection", state="waiting")["reason"]
        wait_for(lambda: len(greeted) > 5, "trying again")
        waits = np.diff(greeted)
        assert waits.sum() > 0.5, "it tries without a pause"
        up.end()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://kraken.invalid"])
def test_without_a_network_it_waits_for_one(url: str, tmp_path: Path) -> None:
    with Up(tmp_path / "a.duckdb", url) as up:
        told = up.wait_for("connection", state="waiting")
        assert "is out of reach" in told["reason"]
        up.end()
