"""How long an answer is waited for: about as long as the last ones took, so that one that never comes costs little."""

from __future__ import annotations

from tapeline.ingest.bounds import Bounds

_SHARE, _DEVIATION_SHARE, _DEVIATIONS = 1 / 8, 1 / 4, 4
_MOST_DOUBLED = 64.0


class Prompt:
    """Bound the wait for an answer, as TCP does: the mean of the times so far and four times their deviation.

    It doubles with each answer that does not come, until one comes. It is never below ``prompt`` nor above ``rest``;
    before the first answer it is ``rest``.

    Source: RFC 6298, section 2.

    >>> wait = Prompt(Bounds(prompt=1.0, rest=10.0)); wait.seconds
    10.0
    >>> wait.answered(0.5); wait.seconds
    1.5
    >>> wait.silent(); wait.silent(); wait.seconds
    6.0
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._mean: float | None = None
        self._deviation = 0.0
        self._doubled = 1.0

    @property
    def seconds(self) -> float:
        """Return how long to wait for the next answer."""
        if self._mean is None:
            return self._bounds.rest
        expected = max(self._mean + _DEVIATIONS * self._deviation, self._bounds.prompt)
        return min(expected * self._doubled, self._bounds.rest)

    def answered(self, seconds: float) -> None:
        """Take note of how long an answer took."""
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
        else:
            self._deviation += _DEVIATION_SHARE * (abs(self._mean - seconds) - self._deviation)
            self._mean += _SHARE * (seconds - self._mean)
        self._doubled = 1.0

    def silent(self) -> None:
        """Take note of an answer that did not come."""
        self._doubled = min(2 * self._doubled, _MOST_DOUBLED)
