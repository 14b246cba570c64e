"""How long a gap is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tapeline.ingest.base import Missing
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.walking import size


@dataclass(slots=True)
class _Wait:
    """Of one gap since anything of it came: when it was last asked for in vain, for how long, how often walked past."""

    size: int
    asked: float | None = None
    vain: float = 0.0
    walks: int = 0


class Patience:
    """Say which gaps are over.

    A gap is over when nothing of it came in ``gap_timeout`` of asking; and when the venue answered a few walks without
    an id of it, but not before a quarter of that time: what REST gives may lag behind what was live. Until it is asked
    for no time counts: it may lie behind millions of other trades, or wait for its turn under the venue's limits. Nor
    does time count in which nobody asks, for the connection is down or others have their turn: between two attempts no
    more than that quarter.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._quarter = bounds.gap_timeout / 4
        self._waits: dict[tuple[str, int], _Wait] = {}

    def over(self, instrument: str, gaps: Sequence[Missing]) -> list[Missing]:
        """Take note of all gaps that an instrument has, and return those that are waited for no longer."""
        kept = {gap.last for gap in gaps}
        for key in [key for key in self._waits if key[0] == instrument and key[1] not in kept]:
            del self._waits[key]
        return [gap for gap in gaps if self._is_over(gap)]

    def _is_over(self, gap: Missing) -> bool:
        wait = self._waits.get((gap.instrument, gap.last))
        if wait is None or size(gap) < wait.size:
            self._waits[gap.instrument, gap.last] = _Wait(size(gap))
            return False
        refused = wait.walks >= self._bounds.walks and wait.vain >= self._quarter
        return refused or wait.vain >= self._bounds.gap_timeout

    def came(self, gaps: Iterable[Missing], newest: int) -> None:
        """Take note that a walk past gaps has come up to an id: those behind it are still to be asked for."""
        for wait in self._waits_of(gap for gap in gaps if gap.last > newest):
            wait.asked, wait.vain = None, 0.0

    def failed(self, gaps: Iterable[Missing], asked: float) -> None:
        """Take note of a walk past gaps that was last asked for at ``asked``, and ended before it had passed them."""
        for wait in self._waits_of(gaps):
            wait.vain += 0.0 if wait.asked is None else min(asked - wait.asked, self._quarter)
            wait.asked = asked

    def walked(self, gaps: Iterable[Missing], asked: float) -> None:
        """Take note of a walk that went past gaps to its end."""
        self.failed(gaps := list(gaps), asked)
        for wait in self._waits_of(gaps):
            wait.walks += 1

    def _waits_of(self, gaps: Iterable[Missing]) -> list[_Wait]:
        waits = (self._waits.get((gap.instrument, gap.last)) for gap in gaps)
        return [wait for wait in waits if wait is not None]
