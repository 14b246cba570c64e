"""Wall time that does not go back."""

from __future__ import annotations

import time
from collections.abc import Callable

from tapeline.clock import SECOND, Clock


class SteadyClock:
    """Tell a clock's time, and go on from where it was when that clock is set back.

    With a clock an hour behind, every live trade would seem to come from the future and be set aside. A jump ahead is
    believed; one that undoes an earlier setting back is taken for that.

    Args:
        clock: may be set by others.
        timer: ns of a clock that only runs forward.
    """

    def __init__(self, clock: Clock, timer: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._timer = timer
        self._wall, self._at = clock.now(), timer()
        self._behind = 0

    def now(self) -> int:
        """Return the present instant, ns UTC."""
        wall, at = self._clock.now(), self._timer()
        jump = wall - self._wall - (at - self._at)
        if wall < self._wall:
            self._behind -= jump
        elif jump > SECOND:
            self._behind = max(0, self._behind - jump)
        self._wall, self._at = wall, at
        return wall + self._behind
