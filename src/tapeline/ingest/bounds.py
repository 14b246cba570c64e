"""How long ingest waits, and how much it keeps while it waits."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Self

from tapeline.clock import SECOND, parse_duration
from tapeline.config import Settings


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one connection; times are seconds.

    Attributes:
        open: to connect, TLS included.
        answer: to answer a login or a subscription.
        proof: between two pings, by whose pongs it is known that nothing was said that is still to be heard.
        gather: messages that come so soon after a batch are read together, for each batch has its price.
        settle: an instrument without a trade for so long after a doubt is asked for by REST.
        linger: a new gap has so long to fill by itself: messages may come out of order.
        backoff: the longest first wait between two attempts; it doubles with each failure.
        backoff_cap: the longest wait of all.
        steady: a connection that lasted so long makes the next wait a first one.
        gap_timeout: a gap of which nothing came in so long of asking is given up.
        max_ahead: a live trade stamped further ahead of its receipt is set aside.
        backfill: how much of the past is asked for an instrument that is new.
        rest: for one REST answer, at most.
        prompt: for one REST answer, at least: between both, as long as the answers so far let expect.
        tries: how often one REST request is made.
        beside: walks past gaps of one instrument that go on side by side.
        walks: how often a venue that answers may leave ids out before they are given up.
        messages: that wait to be read; beyond it the socket is read more slowly.
        message_bytes: of one message; a larger one closes the connection.
        body_bytes: of one REST answer.
        letters_burst: bytes of dead letters that a connection may store at once.
        letters_rate: bytes of them a second beyond; what is more is counted, and not kept.
        held: live trades of an instrument that wait while older ones are fetched.
    """

    open: float = 10.0
    answer: float = 10.0
    proof: float = 0.5
    gather: float = 0.001
    settle: float = 2.0
    linger: float = 0.2
    backoff: float = 0.5
    backoff_cap: float = 30.0
    steady: float = 60.0
    gap_timeout: float = 60.0
    max_ahead: float = 60.0
    backfill: float = 3600.0
    rest: float = 10.0
    prompt: float = 1.0
    tries: int = 4
    beside: int = 4
    walks: int = 3
    messages: int = 4096
    message_bytes: int = 8 << 20
    body_bytes: int = 64 << 20
    letters_burst: int = 1 << 20
    letters_rate: float = 4096.0
    held: int = 200_000

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the bounds that the settings ask for."""
        return cls(
            backoff_cap=parse_duration(settings.backoff_cap) / SECOND,
            gap_timeout=parse_duration(settings.gap_timeout) / SECOND,
            max_ahead=parse_duration(settings.max_ahead) / SECOND,
            backfill=parse_duration(settings.backfill) / SECOND,
        )


class Backoff:
    """Waits between attempts: exponential, capped, with full jitter, so that clients do not come back all at once.

    >>> from random import Random
    >>> waits = Backoff(1.0, 4.0, Random(1)); [waits.next() <= most for most in (1, 2, 4, 4)]
    [True, True, True, True]
    """

    def __init__(self, first: float, cap: float, random: Random) -> None:
        self._first = first
        self._cap = cap
        self._random = random
        self._failures = 0

    def next(self) -> float:
        """Return how many seconds to wait: evenly from 0 to min(cap, first * 2^failures)."""
        most = min(self._cap, self._first * 2 ** min(self._failures, 32))
        self._failures += 1
        return self._random.uniform(0.0, most)

    def reset(self) -> None:
        """Begin anew: all went well for a while."""
        self._failures = 0
