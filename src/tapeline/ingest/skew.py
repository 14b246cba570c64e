"""How far a venue's clock is ahead of ours."""

from __future__ import annotations

from collections import deque

import numpy as np

from tapeline.types import Frame

_WINDOW = 256
_EVERY = 32


class Skew:
    """Measure ts_event - ts_init over the last 256 live frames, the newest trade of each.

    Its 95th percentile is taken: a few false stamps do not count. What a message needs to come here makes it smaller,
    so a value > 0 is certain (the venue is ahead by at least that) and one < 0 only says: by at most that.
    """

    def __init__(self) -> None:
        self._ahead: deque[int] = deque(maxlen=_WINDOW)
        self._taken = 0
        self.value: int | None = None

    def take(self, frame: Frame) -> None:
        """Take a live frame (at least one trade)."""
        self._ahead.append(int(frame.ts_event[-1] - frame.ts_init[-1]))
        self._taken += 1
        if self.value is None or self._taken % _EVERY == 0:
            self.value = int(np.quantile(np.array(self._ahead), 0.95))
