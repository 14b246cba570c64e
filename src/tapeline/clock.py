"""Time: the only reader of the wall clock, and the texts of time at the outer edge.

Inside, every time is an int64 of nanoseconds since 1970-01-01 UTC. RFC 3339 exists only where a person or a
file meets Tapeline.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

from tapeline.errors import UsageError

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(?:([Zz])|([+-])(\d\d):?(\d\d))?"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 1_000_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_LONGEST = 36_500 * DAY


class Clock(Protocol):
    """Tell the time, in ns UTC."""

    def now(self) -> int:
        """Return the present instant, ns UTC."""


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> int:
        """Return the present instant, ns UTC."""
        return time.time_ns()

    def wait(self, seconds: float) -> None:
        """Wait until so many seconds have passed."""
        time.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is moved: for tests and replays.

    >>> clock = ManualClock(5); clock.advance(2); clock.now()
    7
    """

    def __init__(self, now: int = 0) -> None:
        self._now = now

    def now(self) -> int:
        """Return the instant it was last set to, ns UTC."""
        return self._now

    def advance(self, by: int) -> None:
        """Move on by ``by`` ns."""
        self._now += by


def format_time(ns: int) -> str:
    """Write ns UTC as RFC 3339, with as many digits as the instant has (0, 3, 6 or 9).

    >>> format_time(0), format_time(1_500_000_000), format_time(1)
    ('1970-01-01T00:00:00Z', '1970-01-01T00:00:01.500Z', '1970-01-01T00:00:00.000000001Z')
    """
    seconds, rest = divmod(int(ns), SECOND)
    text = _second(seconds)
    if not rest:
        return f"{text}Z"
    if rest % 1_000:
        return f"{text}.{rest:09d}Z"
    return f"{text}.{rest // 1_000:06d}Z" if rest % 1_000_000 else f"{text}.{rest // 1_000_000:03d}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def parse_time(text: str) -> int:
    """Read RFC 3339 (a date alone is its midnight; without an offset it is UTC) as ns UTC.

    Raises:
        UsageError: the text is no such time.

    >>> parse_time("2024-08-09T00:00:00.000000001Z") - parse_time("2024-08-09")
    1
    """
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise _bad_time(text)
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise _bad_time(text) from error
    if match[9]:
        shift = timedelta(hours=int(match[10]), minutes=int(match[11]))
        moment += shift if match[9] == "-" else -shift
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + int((match[7] or "").ljust(9, "0"))


def parse_duration(text: str, where: str = "duration") -> int:
    """Read a length of time such as ``250ms``, ``5s``, ``1m``, ``2h`` or ``7d`` as ns; errors name ``where``.

    Raises:
        UsageError: the text is no such duration, or it is not positive.

    >>> parse_duration("5m") == 5 * MINUTE
    True
    """
    match = _DURATION.fullmatch(text.strip())
    ns = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if ns < 1:
        rule = "a number > 0 with a unit ms, s, m, h or d, such as 5m"
        raise UsageError(where, "cannot be read", expected=rule, was=text)
    if ns > _LONGEST:
        raise UsageError(where, "is too long", expected="at most 36500d", was=text)
    return round(ns)


def format_duration(ns: int) -> str:
    """Write ns as the largest unit that divides it.

    >>> format_duration(300 * SECOND), format_duration(90 * SECOND)
    ('5m', '90s')
    """
    for unit in ("d", "h", "m", "s", "ms"):
        if ns % _UNITS[unit] == 0:
            return f"{ns // _UNITS[unit]}{unit}"
    return f"{ns}ns"


def _bad_time(text: str) -> UsageError:
    return UsageError("time", "cannot be read", expected="RFC 3339, such as 2024-08-09T00:00:00Z", was=text)
