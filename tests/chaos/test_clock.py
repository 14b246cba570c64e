"""``tapeline up`` while the clock of its machine is set: back an hour, ahead an hour, right again.

The clock is that of the process alone (libfaketime): install it with ``apt-get install faketime``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.processes import Up, venue, wait_for
from tests.chaos.test_kill_up import check, options

from tapeline.clock import HOUR, parse_time

pytestmark = pytest.mark.chaos

CANDLES = 5


def library() -> Path:
    """Return the library that fakes the time of a process with threads."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "libfaketime is not installed: apt-get install faketime"
    return found[0]


def wait_for_candles(up: Up, count: int) -> None:
    """Wait until it has told so many candles."""
    wait_for(lambda: len(up.lines("candle")) >= count, f"{count} candles")


def test_a_clock_that_is_set_moves_nothing(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    faked = {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    ahead = []
    with venue(tmp_path, *options()) as url, Up(tmp_path / "a.duckdb", url, **faked) as up:
        up.wait_until_healed()
        for told in ("-1h", "+1h", "+0"):
            offset.write_text(f"{told}\n")
            wait_for_candles(up, len(up.lines("candle")) + CANDLES)
            newest = up.lines("candle")[-1]
            ahead.append(round((parse_time(newest["time"]) - parse_time(newest["open_time"])) / HOUR))
        up.wait_until_healed()
        up.end()
    assert ahead == [-1, 1, 0], "the clock was not set"
    check(tmp_path / "a.duckdb", tmp_path / "truth.parquet", 500)
