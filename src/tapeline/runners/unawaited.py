"""Threads whose work nobody waits for at the end: they only read, and what they compute is computed again."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor


class Unawaited(ThreadPoolExecutor):
    """The default executor of a loop that ends at once, whatever its threads are doing.

    Set it with ``loop.set_default_executor``, and call `leave` when the loop has ended.
    """

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Begin nothing more, and wait for nothing."""
        del wait, cancel_futures
        super().shutdown(wait=False, cancel_futures=True)

    @property
    def busy(self) -> bool:
        """Return whether a thread still works."""
        for thread in self._threads:
            thread.join(timeout=0.05)
        return any(thread.is_alive() for thread in self._threads)

    def leave(self, code: int) -> None:
        """End the process with a code where a thread still works: Python would wait for it, but all is stored."""
        if self.busy:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
