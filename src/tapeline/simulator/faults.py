"""What can go wrong at a simulated venue: each fault by its name, with a probability, seeded and logged.

A fault never touches the true tape: what it hides, doubles or spoils on the way to a client, REST still tells rightly.
Each fault on each connection has a random sequence of its own, so that asking for one more changes no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from random import Random
from typing import NamedTuple

from tapeline.errors import UnknownName, UsageError


class Per(StrEnum):
    """What a probability is of."""

    SECOND = "second of a connection"
    CONNECTION = "connection"
    BATCH = "batch of new trades"
    MESSAGE = "message with trades"
    SUBSCRIPTION = "subscription"
    LOGIN = "login"
    REQUEST = "REST request"
    START = "start"


FAULTS: Mapping[str, tuple[Per, str]] = {
    "disconnect": (Per.SECOND, "the connection breaks without a word"),
    "stall": (Per.SECOND, "nothing is sent or read any more, yet the connection stays open"),
    "shutdown": (Per.SECOND, "the venue announces that it shuts down, then closes"),
    "garbage": (Per.SECOND, "a message of arbitrary bytes"),
    "huge": (Per.SECOND, "a message of 20 MB"),
    "daily-close": (Per.CONNECTION, "the venue closes it after 5 to 30 s, as others after 24 h"),
    "slow-reader": (Per.CONNECTION, "it is closed as soon as it is 16 KiB behind"),
    "fight": (Per.CONNECTION, "opening it breaks the other connections"),
    "drop": (Per.BATCH, "its trades are never told"),
    "duplicate": (Per.BATCH, "it is told twice"),
    "reorder": (Per.BATCH, "it is told after the next one"),
    "merge": (Per.BATCH, "it is told together with the next one"),
    "split": (Per.BATCH, "each of its trades is told by itself"),
    "overlap": (Per.BATCH, "up to 50 trades before it are told again"),
    "restart-ids": (Per.BATCH, "its ids begin at 1"),
    "malformed": (Per.MESSAGE, "cut off in the middle"),
    "wrong-types": (Per.MESSAGE, "a field of a trade is of another type"),
    "unknown-fields": (Per.MESSAGE, "fields nobody knows are added"),
    "price-zero": (Per.MESSAGE, "the price of a trade is 0"),
    "price-nan": (Per.MESSAGE, "the price of a trade is NaN"),
    "price-huge": (Per.MESSAGE, "the price of a trade is 1e400"),
    "negative-qty": (Per.MESSAGE, "the quantity of a trade is negative"),
    "future-stamp": (Per.MESSAGE, "a trade is stamped an hour to a year ahead"),
    "past-stamp": (Per.MESSAGE, "a trade is stamped an hour to a year ago"),
    "refuse-symbol": (Per.SUBSCRIPTION, "the venue refuses it"),
    "refuse-auth": (Per.LOGIN, "the venue refuses the key"),
    "rest-429": (Per.REQUEST, "over the limit"),
    "rest-418": (Per.REQUEST, "banned for a while"),
    "rest-5xx": (Per.REQUEST, "the venue is in trouble"),
    "rest-html": (Per.REQUEST, "a page of HTML with status 200"),
    "rest-timeout": (Per.REQUEST, "no answer ever comes"),
    "rest-truncated": (Per.REQUEST, "the answer ends in the middle"),
    "rest-empty": (Per.REQUEST, "a page of no rows"),
    "rest-cursor": (Per.REQUEST, "the page tells wrongly where the next begins"),
    "clock-skew": (Per.START, "the clock of the venue is up to 5 s off"),
}
"""Every fault: what its probability is of, and what happens."""


class Strike(NamedTuple):
    """A fault that struck: when (ns UTC), which, whom (connection 0: not of one), and what it hit."""

    at: int
    fault: str
    connection: int
    subject: str


Log = Callable[[Strike], None]


def no_log(strike: Strike) -> None:
    """Forget a strike."""


class Faults:
    """Decide when faults strike.

    Args:
        chances: the probability of each fault asked for.
        seed: the same seed strikes at the same opportunities.
        log: is told of each strike.

    Raises:
        UnknownName: a fault of that name does not exist.
        UsageError: a probability is not from 0 to 1.
    """

    def __init__(self, chances: Mapping[str, float] | None = None, *, seed: int = 0, log: Log = no_log) -> None:
        self._chances = {name: _chance(name, chance) for name, chance in (chances or {}).items() if chance}
        self._seed = seed
        self._log = log
        self._randoms: dict[tuple[str, int], Random] = {}
        self.counts: dict[str, int] = {}

    def any_of(self, names: Sequence[str]) -> list[str]:
        """Return those faults that were asked for."""
        return [name for name in names if name in self._chances]

    def random(self, name: str, connection: int = 0) -> Random:
        """Return the random sequence of a fault on a connection."""
        key = (name, connection)
        if key not in self._randoms:
            self._randoms[key] = Random(f"{self._seed} {name} {connection}")
        return self._randoms[key]

    def strikes(self, name: str, now: int, *, connection: int = 0, subject: str = "", times: float = 1.0) -> bool:
        """Return whether a fault strikes at an opportunity that counts for ``times`` of its unit, and log it."""
        chance = self._chances.get(name, 0.0)
        if not chance or self.random(name, connection).random() >= 1.0 - (1.0 - chance) ** times:
            return False
        self.counts[name] = self.counts.get(name, 0) + 1
        self._log(Strike(now, name, connection, subject))
        return True

    def forget(self, connection: int) -> None:
        """Forget the sequences of a connection that ended."""
        for name in FAULTS:
            self._randoms.pop((name, connection), None)


def _chance(name: str, chance: float) -> float:
    if name not in FAULTS:
        raise UnknownName("fault", "is not known", expected=f"one of: {', '.join(FAULTS)}", was=name)
    if not 0.0 <= chance <= 1.0:
        raise UsageError(f"fault {name}", "has no probability", expected="a number from 0 to 1", was=chance)
    return chance


def parse_fault(text: str) -> tuple[str, float]:
    """Read ``NAME=P``.

    Raises:
        UnknownName: no fault has that name.
        UsageError: P is not a number from 0 to 1.

    >>> parse_fault("drop=0.1")
    ('drop', 0.1)
    """
    name, _, chance = text.partition("=")
    try:
        return name, _chance(name, float(chance))
    except ValueError as error:
        raise UsageError(f"fault {name}", "has no probability", expected="NAME=P", was=text) from error
