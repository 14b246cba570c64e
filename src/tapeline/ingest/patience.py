"""How long a gap is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tapeline.ingest.base import Missing
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.walking import size


@dataclass(slots=True)
class _Wait:
    since: float
    size: int
    walks: int = 0


class Patience:
    """Say which gaps are over.

    A gap is over when nothing of it came for ``gap_timeout``; and when the venue answered a few walks without an id
    of it, but not before a quarter of that time: what REST gives may lag behind what was live.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._waits: dict[tuple[str, int], _Wait] = {}

    def over(self, instrument: str, gaps: Sequence[Missing], now: float) -> list[Missing]:
        """Take note of all gaps that an instrument has, and return those that are waited for no longer."""
        kept = {(gap.instrument, gap.last) for gap in gaps}
        for key in [key for key in self._waits if key[0] == instrument and key not in kept]:
            del self._waits[key]
        return [gap for gap in gaps if self._is_over(gap, now)]

    def _is_over(self, gap: Missing, now: float) -> bool:
        wait = self._waits.get((gap.instrument, gap.last))
        if wait is None or size(gap) < wait.size:
            self._waits[gap.instrument, gap.last] = _Wait(now, size(gap))
            return False
        age = now - wait.since
        refused = wait.walks >= self._bounds.walks and age >= self._bounds.gap_timeout / 4
        return refused or age >= self._bounds.gap_timeout

    def walked(self, gaps: Iterable[Missing]) -> None:
        """Take note of a walk that went past gaps to its end."""
        for gap in gaps:
            if wait := self._waits.get((gap.instrument, gap.last)):
                wait.walks += 1

    def until(self, gaps: Iterable[Missing], now: float) -> float:
        """Return when the last of some gaps is over if nothing comes."""
        waits = [self._waits.get((gap.instrument, gap.last)) for gap in gaps]
        return max((wait.since for wait in waits if wait), default=now) + self._bounds.gap_timeout
