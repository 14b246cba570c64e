"""Independent fits on all processors, in threads: what fits models leaves the interpreter for most of its time.

Every job has one processor: libraries that would spread over several are held to one thread, so a result does not
depend on how many processors there are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Job = Callable[[], T]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The place of a job that ended, what it gave, and the seconds of processor time it took."""

    place: int
    gave: T
    seconds: float


def together(jobs: Sequence[Job[T]], *, alone: bool = False) -> Iterator[Done[T]]:
    """Run jobs side by side and yield each as it ends; what one raises is raised here, and no further one begins.

    Args:
        jobs: they share nothing that they change.
        alone: run them one after the other, in this thread.
    """
    from threadpoolctl import threadpool_limits

    workers = min(processors(), len(jobs))
    with threadpool_limits(1):
        if alone or workers < 2:
            yield from (_timed(place, job) for place, job in enumerate(jobs))
            return
        pool = ThreadPoolExecutor(workers, "learning", initializer=_hold_to_one_thread)
        try:
            for future in as_completed([pool.submit(_timed, place, job) for place, job in enumerate(jobs)]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _timed(place: int, job: Job[T]) -> Done[T]:
    begun = time.thread_time()
    gave = job()
    return Done(place, gave, time.thread_time() - begun)


def _hold_to_one_thread() -> None:
    """Hold OpenMP to one thread: unlike linear algebra's, its limit is that of each thread that starts it."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="openmp")
