"""What a storm was: what happened, what went wrong, what became of it, and what it cost. How to have it again."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.storm import Storm, Venue

_VARIABLES = ("TAPELINE_SEED", "TAPELINE_STORM_SECONDS", "TAPELINE_STORM_RATE", "TAPELINE_STORM_VENUES")
_SHOWN = 12
_MB = 1 << 20
_GROWS = 1.5


@contextmanager
def tallied(storm: Storm, seed: int) -> Iterator[None]:
    """Say of what happens inside how to have it again, and in the end what it was."""
    wall, cpu = time.perf_counter(), time.process_time()
    again = _again(seed)
    print(again)
    try:
        yield
    except AssertionError as error:
        error.add_note(f"to have this storm again: {again}")
        raise
    finally:
        print("\n".join(_told(storm)))
        print(f"{time.process_time() - cpu:.0f} s of CPU, {time.perf_counter() - wall:.0f} s on the wall")


def _again(seed: int) -> str:
    test = os.environ.get("PYTEST_CURRENT_TEST", "tests/chaos/test_faults.py").removesuffix(" (call)")
    told = {**os.environ, "TAPELINE_SEED": str(seed)}
    variables = " ".join(f"{name}={told[name]}" for name in _VARIABLES if name in told)
    return f"{variables} python -m pytest -m chaos '{test}'"


def _told(storm: Storm) -> Iterator[str]:
    for name, venue in storm.venues.items():
        yield f"{name}: {_venue(storm, name, venue)}"
    struck = sum((Counter(venue.spells.counts) for venue in storm.venues.values()), Counter[str]())
    yield "struck: " + ", ".join(f"{fault} {count:,}" for fault, count in sorted(struck.items()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield f"memory: {peak // _MB:,} MB at most; at {_memory(storm)}"


def _venue(storm: Storm, name: str, venue: Venue) -> str:
    facts, status = storm.writer.keeper.facts.get(venue.instrument), storm.status(name)
    if facts is None:
        return f"nothing stored, {status.state}: {status.reason}"
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(facts.totals.items()) if count)
    gaps = ", ".join(f"{count:,} {what}" for what, count in facts.gaps.items())
    return (
        f"{len(venue.truth()):,} trades truly, {facts.trades:,} stored ({counts}), gaps {gaps}; "
        f"{status.connects} connections, {status.requests:,} requests, {status.state}"
    )


def _memory(storm: Storm) -> str:
    """Return what was in memory during a storm, and what of it was the true tapes: they grow, it should not."""
    seen = storm.memory[:: max(1, len(storm.memory) // _SHOWN)]
    shown = (f"{second:.0f} s {used // _MB:,} ({tapes // _MB:,} of them true tapes)" for second, used, tapes in seen)
    return ", ".join(shown)


def check_memory(storm: Storm) -> None:
    """Check that beside the true tapes no more is in memory than soon after the beginning."""
    beside = [used - tapes for _, used, tapes in storm.memory]
    later = beside[len(beside) // 4 :]
    assert max(later) < _GROWS * later[0], f"memory grew: {_memory(storm)}"


def in_memory() -> int:
    """Return how many bytes this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
