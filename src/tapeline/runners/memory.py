"""What a process that runs for long leaves out, and how it gives memory back: set once, before pyarrow is imported.

Only processes of our own call it (`tapeline up`), never a library that was imported into another program.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from importlib.abc import MetaPathFinder

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of the options of glibc's ``mallopt`` (malloc.h)."""
_LARGE = 128 << 10
"""Bytes from which an allocation is given back to the system when it is freed: what glibc begins with."""
_ARENAS = 2
"""The loop and the writer allocate all the time, the other threads now and then."""


def keep_small() -> None:
    """Leave pandas out, and let freed memory go back to the system.

    Left to itself, glibc gives each thread an arena of its own, which keeps the most that the thread ever needed, and
    raises the size from which it gives memory back with each large array that is freed; Arrow's own pool gives nothing
    back either. A live process whose monitors read days of candles from time to time keeps some 200 MB for them.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_ARENA_MAX, _ARENAS), (_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, _LARGE)):
            mallopt(option, value)
    _spare_pandas()


class _NoPandas(MetaPathFinder):
    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _spare_pandas() -> None:
    """Let pyarrow find no pandas where it looks for it, at its first array: nothing here uses its 35 MB.

    What asks for a data frame later has it imported then.
    """
    import pyarrow as pa

    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, finder := _NoPandas())
        try:
            pa.array([])
        finally:
            sys.meta_path.remove(finder)
