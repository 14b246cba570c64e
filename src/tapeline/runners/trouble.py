"""Trouble that lasts, such as a full disk, is told once, and so is its end."""

from __future__ import annotations

from collections.abc import Callable


class Trouble:
    """Something that is done again and again, and cannot be done for a while.

    Args:
        tell: is told when it begins, with each reason once, and when it is over.
        begun: what is told then, such as ``not monitored``.
        over: what is told in the end.
    """

    def __init__(self, tell: Callable[..., None], begun: str, over: str) -> None:
        self._tell = tell
        self._begun = begun
        self._over = over
        self._told: set[str] = set()

    def begin(self, reason: str) -> None:
        """Tell why it cannot be done, unless that was told."""
        if reason not in self._told:
            self._told.add(reason)
            self._tell(self._begun, reason=reason)

    def end(self) -> None:
        """Tell that it was done again, if it could not be."""
        if self._told:
            self._told.clear()
            self._tell(self._over)
