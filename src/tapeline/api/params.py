"""Parameters: the same names, rules and meaning in every route."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import Path, Query, Request
from fastapi.exceptions import RequestValidationError

from tapeline.clock import parse_time
from tapeline.errors import UsageError

MOST_ROWS = 10_000
_NS = 1 << 63
_TIME = (
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([Tt ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?([Zz]|[+-]([01]\d|2[0-3]):?[0-5]\d)?)?$"
)
_NAME = r"^[A-Z0-9][A-Z0-9._:/-]*\.[A-Z0-9]+$"
_STEP = r"\d{1,6}(ms|s|m|h|d)"

InstrumentName = Annotated[
    str, Query(pattern=_NAME, max_length=64, description="An instrument.", examples=["BTC-USD.SIM"])
]
OptionalInstrument = Annotated[
    str | None, Query(pattern=_NAME, max_length=64, description="Only this instrument.", examples=["BTC-USD.SIM"])
]
TimeframeName = Annotated[
    str, Query(pattern=f"^{_STEP}(/{_STEP})?$", max_length=16, description="Such as 1s, 1m, 4h, 1d, or 5m/1m.")
]
ModelName = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:/+-]+$", max_length=128)]
Id = Annotated[str, Path(pattern=r"^[0-9a-f]{6,32}$", description="An id, or its beginning if that is unique.")]
Time = Annotated[str | None, Query(pattern=_TIME, max_length=40, description="RFC 3339.")]


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
        self.start, self.end, self.limit = instant(start), instant(end), limit
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
        str | None, Query(max_length=512, pattern=r"^[A-Za-z0-9_-]+$", description="next of an answer.")
    ] = None,
) -> Span:
    """Return the rows asked for: a dependency of routes."""
    return Span(start, end, limit, cursor)


def instant(text: str | None) -> int | None:
    """Read a time as ns UTC.

    Raises:
        UsageError: there is no such time, or not one that 64 bits of ns hold.
    """
    if text is None:
        return None
    found = parse_time(text)
    if not -_NS <= found < _NS:
        raise UsageError("time", "is out of reach", expected="1677-09-22 to 2262-04-11", was=text)
    return found


async def known_parameters(request: Request) -> None:
    """Refuse parameters that the route does not have: a dependency of all routes."""
    if not request.scope["query_string"]:
        return
    names = _names(request.scope["route"].dependant)
    for name in request.query_params:
        if name not in names:
            rule = f"one of {', '.join(sorted(names))}" if names else "no parameter"
            raise RequestValidationError([{"type": "unknown", "loc": ("query", name), "msg": rule, "input": name}])


def _names(dependant: Any) -> set[str]:
    """Return the names of the query parameters of a route and of all it depends on."""
    found = {field.alias for field in dependant.query_params}
    return found.union(*(_names(one) for one in dependant.dependencies))
