"""What the servers of venues share: JSON answers, refusals, numbers in queries, and budgets of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tapeline.clock import parse_time
from tapeline.errors import UsageError
from tapeline.simulator.venue import JSON, Response

_MAX = 2**63 - 1


class Refusal(Exception):
    """Carry the answer that refuses a request up to the venue; it goes no further."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"refused with status {response.status}")
        self.response = response


def answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer.

    >>> answer({"iso": None}, 404).body
    b'{"iso":null}'
    """
    return Response(status, msgspec.json.encode(document), {**JSON, **(headers or {})})


def number(text: str) -> msgspec.Raw:
    """Return a bare JSON number, written as ``text`` has it.

    >>> msgspec.json.encode([number("1.50")])
    b'[1.50]'
    """
    return msgspec.Raw(text.encode())


def whole(text: str) -> int | None:
    """Read a whole number that fits in 63 bits, or return None.

    >>> whole("12"), whole("-1"), whole("1.5"), whole("9" * 20)
    (12, None, None, None)
    """
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    return value if 0 <= value <= _MAX else None


def instant(text: str, unit: int) -> int | None:
    """Read a time, RFC 3339 or a number of ``unit`` (ns), as ns UTC, or return None.

    >>> instant("1.5", 1_000_000_000), instant("1970-01-01T00:00:01Z", 1), instant("soon", 1)
    (1500000000, 1000000000, None)
    """
    seconds, _, fraction = text.partition(".")
    count = whole(seconds)
    if count is not None and (whole(fraction) is not None or not fraction):
        return count * unit + int(unit * float(f"0.{fraction or 0}"))
    try:
        return parse_time(text)
    except UsageError:
        return None


class Budget:
    """At most ``most`` in each window of ``per`` ns.

    >>> budget = Budget(2, 1_000_000_000)
    >>> [budget.spend(now) for now in (0, 1, 2, 1_000_000_000)]
    [True, True, False, True]
    """

    def __init__(self, most: float, per: int) -> None:
        self.most = most
        self.per = per
        self.used = 0.0
        self._window = -1

    def spend(self, now: int, weight: float = 1) -> bool:
        """Count ``weight`` and return whether the limit holds."""
        if now // self.per != self._window:
            self._window = now // self.per
            self.used = 0.0
        self.used += weight
        return self.used <= self.most

    def left(self, now: int) -> int:
        """Return the ns until the window ends."""
        return self.per - now % self.per
