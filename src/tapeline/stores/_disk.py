"""What a disk refuses, in our words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from tapeline.errors import StoreUnavailable


@contextmanager
def on_disk(where: str, expected: str) -> Iterator[None]:
    """Raise what the disk refuses inside as one of our errors.

    Raises:
        StoreUnavailable: it is full or read-only, or fails.
    """
    try:
        yield
    except OSError as error:
        raise refused_by_disk(where, expected, error) from error


def refused_by_disk(where: str, expected: str, error: OSError) -> StoreUnavailable:
    """Return the error of ours that says what the disk says."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    problem = "the disk is full" if full else "cannot be read or written"
    step = "free space and try again; all that was committed is kept" if full else "check the path and its rights"
    return StoreUnavailable(where, problem, expected=expected, was=str(error), next_step=step)
