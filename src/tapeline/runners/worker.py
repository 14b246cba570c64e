"""A process of our own for work that may take long, crash or hang: whatever it does, the live process goes on."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from tapeline.errors import BrokenInvariant, TapelineError

Result = TypeVar("Result")


class Worker:
    """Run functions in another process, one after another; it is started when first needed, and after a failure."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, where: str, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function there, and return what it returns or raise an error of ours that it raises.

        Raises:
            BrokenInvariant: the process died, or failed otherwise.
        """
        future = self._begin(function, arguments)
        future.add_done_callback(_seen)
        await asyncio.wait([future])
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, TapelineError):
            raise error
        if isinstance(error, BrokenProcessPool):
            self._pool = None
            raise BrokenInvariant(where, "its process died", expected="a result", was="none") from error
        raise BrokenInvariant(
            where, "has failed", expected="a result", was=f"{type(error).__name__}: {error}"
        ) from error

    async def attempt(
        self, function: Callable[..., Result], *arguments: Any, seconds: float
    ) -> tuple[Result | None, str]:
        """Run a function there that nothing depends on: return what it returns, or None and what went wrong."""
        future = self._begin(function, arguments)
        future.add_done_callback(_seen)
        done, _ = await asyncio.wait([future], timeout=seconds)
        if not done:
            self.close()
            return None, f"gave no answer within {seconds:g} s"
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            self._pool = None
            return None, "its process died"
        if error is not None:
            return None, f"{type(error).__name__}: {error}"
        return future.result(), ""

    def _begin(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> asyncio.Future[Result]:
        loop = asyncio.get_running_loop()
        if self._pool is not None:
            try:
                return loop.run_in_executor(self._pool, function, *arguments)
            except BrokenProcessPool:
                self.close()  # it died while it had nothing to do
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_belong_to_us)
        return loop.run_in_executor(self._pool, function, *arguments)

    def close(self) -> None:
        """End the process, whatever it is doing. Idempotent."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()


def _belong_to_us() -> None:
    """Let Ctrl-C end the process that started this one, and end with it, even where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_us, name="tapeline-parent", daemon=True).start()


def _end_with_us() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _seen(future: asyncio.Future[Any]) -> None:
    """Look at an error that nobody waits for any more."""
    if not future.cancelled():
        future.exception()
