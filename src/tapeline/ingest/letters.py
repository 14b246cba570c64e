"""Dead letters of a connection, up to a rate: what a venue sends is no reason to fill a disk."""

from __future__ import annotations

from collections.abc import Iterable

from tapeline.ingest.bounds import Bounds
from tapeline.types import DeadLetter


class Letters:
    """Keep dead letters raw while there is room: ``letters_burst`` bytes, which ``letters_rate`` bytes a second refill.

    One that is larger than the room still goes in, and those after it wait for longer.

    >>> from tapeline.ingest.bounds import Bounds
    >>> letters = Letters(Bounds(letters_burst=10, letters_rate=1.0))
    >>> one = DeadLetter("kraken trade", "message: is no JSON", b"{" * 12, 0)
    >>> [len(letters.keep([one], now)) for now in (0.0, 1.0, 5.0)]
    [1, 0, 1]
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._room = float(bounds.letters_burst)
        self._at = 0.0

    def keep(self, letters: Iterable[DeadLetter], now: float) -> list[DeadLetter]:
        """Return those letters that are kept at an instant (s, of a clock that only runs forward)."""
        refilled = self._room + (now - self._at) * self._bounds.letters_rate
        self._room, self._at = min(refilled, self._bounds.letters_burst), now
        kept = []
        for letter in letters:
            if self._room > 0:
                self._room -= len(letter.raw)
                kept.append(letter)
        return kept
