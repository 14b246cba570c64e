from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tapeline.clock import parse_duration
from tapeline.errors import BrokenInvariant, UsageError
from tapeline.runners.worker import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


async def test_what_crashes_hangs_or_raises_is_told_and_the_next_is_served(worker: Worker) -> None:
    assert await worker.attempt(os._exit, 3, seconds=60) == (None, "its process died")
    _, problem = await worker.attempt(math.sqrt, -1.0, seconds=60)
    assert problem.startswith("ValueError: ")
    assert await worker.attempt(signal.pause, seconds=0.2) == (None, "gave no answer within 0.2 s")
    assert await worker.attempt(math.sqrt, 4.0, seconds=60) == (2.0, "")


async def test_work_that_is_needed_raises(worker: Worker) -> None:
    assert await worker.run("x", math.sqrt, 9.0) == 3.0
    with pytest.raises(UsageError, match=r"^duration: cannot be read: expected a number > 0 .*, was 'soon'$"):
        await worker.run("x", parse_duration, "soon")
    with pytest.raises(BrokenInvariant, match="x: has failed: expected a result, was 'ValueError"):
        await worker.run("x", math.sqrt, -1.0)
    with pytest.raises(BrokenInvariant, match="training x: its process died"):
        await worker.run("training x", os._exit, 3)


_KILLED = """
import asyncio, os, signal
from tapeline.runners.worker import Worker

async def main():
    worker = Worker()
    print(await worker.run("x", os.getpid), flush=True)
    await worker.run("x", signal.pause)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_it_ends_with_the_process_that_started_it_even_if_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(_KILLED)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        child = psutil.Process(int(started.stdout.readline()))
        started.kill()
    _, alive = psutil.wait_procs([child], timeout=60)
    assert not alive
