"""How long a gap is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tapeline.ingest.base import Missing
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.walking import size


@dataclass(slots=True)
class _Wait:
    """Of one gap: when it was first asked for in vain since anything of it came, and how often it was walked past."""

    size: int
    since: float | None = None
    walks: int = 0


class Patience:
    """Say which gaps are over.

    A gap is over when nothing of it came in ``gap_timeout`` of asking; and when the venue answered a few walks without
    an id of it, but not before a quarter of that time: what REST gives may lag behind what was live. Until it is asked
    for no time counts: it may lie behind millions of other trades, or wait for its turn under the venue's limits.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._waits: dict[tuple[str, int], _Wait] = {}

    def over(self, instrument: str, gaps: Sequence[Missing], now: float) -> list[Missing]:
        """Take note of all gaps that an instrument has, and return those that are waited for no longer."""
        kept = {gap.last for gap in gaps}
        for key in [key for key in self._waits if key[0] == instrument and key[1] not in kept]:
            del self._waits[key]
        return [gap for gap in gaps if self._is_over(gap, now)]

    def _is_over(self, gap: Missing, now: float) -> bool:
        wait = self._waits.get((gap.instrument, gap.last))
        if wait is None or size(gap) < wait.size:
            self._waits[gap.instrument, gap.last] = _Wait(size(gap))
            return False
        age = 0.0 if wait.since is None else now - wait.since
        refused = wait.walks >= self._bounds.walks and age >= self._bounds.gap_timeout / 4
        return refused or age >= self._bounds.gap_timeout

    def came(self, gaps: Iterable[Missing], newest: int) -> None:
        """Take note that a walk past gaps has come up to an id: those behind it are still to be asked for."""
        for wait in self._waits_of(gap for gap in gaps if gap.last > newest):
            wait.since = None

    def failed(self, gaps: Iterable[Missing], since: float) -> None:
        """Take note of a walk past gaps that was asked for ``since``, and ended before it had passed them."""
        for wait in self._waits_of(gaps):
            wait.since = since if wait.since is None else wait.since

    def walked(self, gaps: Iterable[Missing], since: float) -> None:
        """Take note of a walk that went past gaps to its end."""
        self.failed(gaps := list(gaps), since)
        for wait in self._waits_of(gaps):
            wait.walks += 1

    def _waits_of(self, gaps: Iterable[Missing]) -> list[_Wait]:
        waits = (self._waits.get((gap.instrument, gap.last)) for gap in gaps)
        return [wait for wait in waits if wait is not None]
