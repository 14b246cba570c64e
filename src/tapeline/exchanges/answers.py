"""What REST answers of all venues have in common: which are worth asking for again, and how their rows are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tapeline.errors import MalformedMessage, VenueBusy, VenueRefused
from tapeline.exchanges.base import Request, Response

T = TypeVar("T")

_SECONDS = re.compile(r"\d{1,7}(?:\.\d{1,3})?", re.ASCII)
_BUSY = frozenset({408, 418, 425, 429})


def check_answer(where: str, response: Response) -> None:
    """Return where a response is a whole JSON document with status 200.

    A page of a proxy, a redirect and a body cut short are taken for trouble that passes, whatever the status.

    Raises:
        VenueBusy: status 408, 418, 425, 429, 5xx or 3xx, or no JSON; with the seconds of ``Retry-After``.
        VenueRefused: any other status.

    >>> check_answer("kraken Trades", Response(200, {}, b"{}"))
    """
    status, found = response.status, _shown(response.body)
    if status in _BUSY or status >= 500 or status < 200:
        raise VenueBusy(where, f"the venue answered {status} {found}".rstrip(), retry_after=retry_after(response))
    if not _is_json(response.body):
        problem = f"the answer ({status}) is no whole JSON document"
        raise VenueBusy(where, problem, expected="JSON", was=found, retry_after=retry_after(response))
    if 300 <= status < 400:
        raise VenueBusy(where, f"the venue sent us elsewhere ({status})", expected="200", was=status)
    if status != 200:
        raise VenueRefused(where, f"the venue answered {status} {found}", next_step="it will not answer this request")


def read_or(decoder: msgspec.json.Decoder[T], body: bytes, otherwise: T) -> T:
    """Return what a body says where it is of this form, ``otherwise`` where it is not: that is for others to refuse."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return otherwise


def read_rows(rows: Iterable[msgspec.Raw], read: Callable[[bytes], T]) -> tuple[list[T], list[MalformedMessage]]:
    """Read rows one by one; those that ``read`` refuses are returned beside the others."""
    found: list[T] = []
    bad: list[MalformedMessage] = []
    for row in rows:
        try:
            found.append(read(bytes(row)))
        except MalformedMessage as error:
            bad.append(error)
    return found, bad


def following(address: str, below: str) -> Request | None:
    """Return the request for the next page, None where the address of it is none of those ``below`` a path.

    Only path and query are followed, so that a key goes to no other host.
    """
    parts = urlsplit(address)
    params = dict(parse_qsl(parts.query))
    return Request(parts.path, params) if parts.path.startswith(below) and params else None


def retry_after(response: Response) -> float:
    """Return the seconds of ``Retry-After``; 0 where there is none or a date stands there."""
    text = response.headers.get("retry-after", "").strip()
    return float(text) if _SECONDS.fullmatch(text) else 0.0


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _shown(body: bytes) -> str:
    return " ".join(body[:200].decode(errors="replace").split())[:80]
