"""Parameters: the same names, rules and meaning in every route."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import Path, Query, Request
from fastapi.exceptions import RequestValidationError

from tapeline.api import patterns
from tapeline.clock import parse_time
from tapeline.errors import UsageError

MOST_ROWS = 10_000
_NS = 1 << 63

InstrumentName = Annotated[
    str, Query(pattern=patterns.INSTRUMENT, max_length=64, description="An instrument.", examples=["BTC-USD.SIM"])
]
OptionalInstrument = Annotated[
    str | None,
    Query(pattern=patterns.INSTRUMENT, max_length=64, description="Only this instrument.", examples=["BTC-USD.SIM"]),
]
TimeframeName = Annotated[
    str, Query(pattern=patterns.TIMEFRAME, max_length=16, description="Such as 1s, 1m, 4h, 1d, or 5m/1m.")
]
ModelName = Annotated[str, Path(pattern=patterns.MODEL, max_length=128)]
Id = Annotated[str, Path(pattern=patterns.ID, description="An id, or its beginning if that is unique.")]
Time = Annotated[str | None, Query(pattern=patterns.TIME, max_length=40, description="RFC 3339.")]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: what `Page.next` holds, readable by us alone."""

    before: tuple[int | str, ...] = ()

    @classmethod
    def read(cls, text: str | None) -> Place:
        """Read a cursor.

        Raises:
            UsageError: it is none that we gave.
        """
        if text is None:
            return cls()
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            before: list[int | str] = msgspec.json.decode(raw, type=list[int | str])
        except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
            raise _bad_cursor(text) from error
        if not before or any(isinstance(part, int) and not -_NS <= part < _NS for part in before):
            raise _bad_cursor(text)
        return cls(tuple(before))

    def text(self) -> str | None:
        """Write it as a cursor, None where there is no page before."""
        raw = msgspec.json.encode(self.before)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() if self.before else None


def _bad_cursor(text: str) -> UsageError:
    return UsageError("cursor", "cannot be used", expected="the next of an answer", was=text)


class Span:
    """The rows asked for: those in [start, end), the last ``limit`` of them, before the place of ``cursor``."""

    def __init__(
        self, start: str | None = None, end: str | None = None, limit: int = 1000, cursor: str | None = None
    ) -> None:
        self.start, self.end, self.limit = instant(start, "start"), instant(end, "end"), limit
        self.place = Place.read(cursor)
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise UsageError("start", "is not before end", expected=f"a time before {end}", was=start)

    def end_before(self) -> int | None:
        """Return the end of rows that are known by one time, with the cursor taken into account.

        Raises:
            UsageError: the cursor is of another route.
        """
        if not self.place.before:
            return self.end
        at = self.place.before[0]
        if len(self.place.before) != 1 or not isinstance(at, int):
            raise UsageError("cursor", "is of another route", expected="the next of an answer of this route", was=at)
        return at if self.end is None else min(at, self.end)


async def spanned(
    start: Annotated[Time, Query(description="First instant, RFC 3339.")] = None,
    end: Annotated[Time, Query(description="The instant after the last, RFC 3339.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="How many rows at most, the newest.")] = 1000,
    cursor: Annotated[
        str | None, Query(max_length=512, pattern=patterns.CURSOR, description="next of an answer.")
    ] = None,
) -> Span:
    """Return the rows asked for: a dependency of routes."""
    return Span(start, end, limit, cursor)


def instant(text: str | None, where: str) -> int | None:
    """Read a time as ns UTC; errors name ``where``.

    Raises:
        UsageError: there is no such time, or not one that 64 bits of ns hold.
    """
    if text is None:
        return None
    try:
        found = parse_time(text)
    except UsageError as error:
        raise UsageError(where, "cannot be read", expected=error.expected, was=text) from error
    if not -_NS <= found < _NS:
        raise UsageError(where, "is out of reach", expected="1677-09-22 to 2262-04-11", was=text)
    return found


async def known_parameters(request: Request) -> None:
    """Refuse parameters that the route does not have, or that are given twice: a dependency of all routes."""
    if not request.scope["query_string"]:
        return
    names, seen = _names(request.scope["route"].dependant), set()
    for name, _ in request.query_params.multi_items():
        if name not in names:
            rule = f"one of {', '.join(sorted(names))}" if names else "no parameter"
            raise _refused(name, rule, name)
        if name in seen:
            raise _refused(name, "one value", ", ".join(request.query_params.getlist(name)))
        seen.add(name)


def _refused(name: str, rule: str, was: str) -> RequestValidationError:
    return RequestValidationError([{"type": "refused", "loc": ("query", name), "msg": rule, "input": was}])


def _names(dependant: Any) -> set[str]:
    """Return the names of the query parameters of a route and of all it depends on."""
    found = {field.alias for field in dependant.query_params}
    return found.union(*(_names(one) for one in dependant.dependencies))
