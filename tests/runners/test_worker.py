from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator

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
