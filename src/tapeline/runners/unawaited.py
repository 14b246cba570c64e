"""Threads whose work nobody waits for at the end: they only read, and what they compute is computed again."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn


class Unawaited(ThreadPoolExecutor):
    """The default executor of a loop that ends at once, whatever its threads are doing.

    Set it with ``loop.set_default_executor``, and call `leave` when the loop has ended.
    """

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Begin nothing more, and wait for nothing."""
        del wait, cancel_futures
        super().shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def leave(code: int) -> NoReturn:
        """End the process with a code, now that all is stored.

        Python would wait for threads that still work, and take apart for a second what the system takes back at once.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
