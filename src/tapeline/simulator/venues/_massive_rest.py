"""REST of the simulated Massive: trades by ns with cursors, aggregates, and what conditions mean.

Source: the REST specification in massive-com/client-python. The texts of its refusals are as others met them.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from tapeline.clock import DAY, HOUR, MINUTE, SECOND
from tapeline.simulator.tape import Listing, Tape, Tapes
from tapeline.simulator.venue import Request, Response
from tapeline.simulator.venues._answers import Budget, Refusal, answer, instant, whole
from tapeline.simulator.venues._bars import Bar, bars
from tapeline.simulator.venues._massive_conditions import CONDITIONS
from tapeline.simulator.venues._massive_words import rest_rows

_TRADES = re.compile(r"/v3/trades/([\w.:-]+)")
_AGGS = re.compile(r"/v2/aggs/ticker/([\w.:-]+)/range/(\d{1,4})/(second|minute|hour|day)/([\d-]+)/([\d-]+)")
_SPANS = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY}
_MS = 1_000_000
_CURSOR = re.compile(rb'"next_url":"[^"]*cursor=([\w=-]+)')
_TEXTS = {
    401: "Unknown API Key",
    429: "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue.",
}


def failure(status: int, text: str = "") -> Response:
    """Return an error body."""
    told = text or _TEXTS.get(status, "Internal server error")
    return answer({"status": "ERROR", "request_id": f"{status:032x}", "error": told}, status)


def wrong_cursor(response: Response, random: Random) -> Response:
    """Return a page whose ``next_url`` leads up to a thousand rows astray."""

    def other(match: re.Match[bytes]) -> bytes:
        low, high, *rest = _opened(match[1].decode(), 4)
        astray = random.choice((-1, 1)) * random.randint(1, 1000)
        told = _sealed(max(0, int(low) + astray), max(0, int(high) + astray), *rest).encode()
        return match[0].replace(match[1], told)

    return response._replace(body=_CURSOR.sub(other, response.body))


class Rest:
    """Answer requests that carry a key; more than a hundred a second are refused."""

    def __init__(self, listings: Sequence[Listing], *, limited: bool) -> None:
        self._listings = {name: one for one in listings for name in _names(one)}
        self._limited = limited
        self._requests = Budget(100, SECOND)

    def answer(self, request: Request, tapes: Tapes, now: int) -> Response:
        """Answer a request."""
        key = request.headers.get("authorization", "").partition(" ")[2] or request.params.get("apiKey", "")
        if not key.strip():
            return failure(401, "API Key was not provided")
        if not self._requests.spend(now) and self._limited:
            return failure(429)
        try:
            document = self._document(request, tapes, now)
        except Refusal as refusal:
            return refusal.response
        return answer({"status": "OK", "request_id": f"{now:032x}"} | document)

    def _document(self, request: Request, tapes: Tapes, now: int) -> dict[str, Any]:
        if request.path == "/v3/reference/conditions":
            return _conditions(request)
        trades, aggs = _TRADES.fullmatch(request.path), _AGGS.fullmatch(request.path)
        found = trades or aggs
        if found is None:
            raise Refusal(failure(404, "not found"))
        listing = self._listings.get(found[1])
        if listing is None:
            return {"results": []}
        tape = tapes[listing.instrument]
        return _trades(tape, request) if trades else _aggs(tape, request, found)


def _names(listing: Listing) -> list[str]:
    """Return the tickers under which REST knows it."""
    if not listing.quote:
        return [listing.base]
    return [f"X:{listing.base}{listing.quote}", f"X:{listing.base}-{listing.quote}"]


def _bad(name: str, was: str) -> Refusal:
    return Refusal(failure(400, f"'{name}' could not be read: {was!r}"))


def _sealed(*parts: object) -> str:
    return urlsafe_b64encode("|".join(map(str, parts)).encode()).decode()


def _opened(cursor: str, count: int) -> list[str]:
    try:
        parts = urlsafe_b64decode(cursor).decode().split("|")
    except ValueError as error:
        raise _bad("cursor", cursor) from error
    if len(parts) != count:
        raise _bad("cursor", cursor)
    return parts


def _whole(name: str, text: str) -> int:
    value = whole(text)
    if value is None:
        raise _bad(name, text)
    return value


def _next_url(request: Request, path: str, *parts: object) -> dict[str, str]:
    return {"next_url": f"http://{request.headers.get('host', 'localhost')}{path}?cursor={_sealed(*parts)}"}


def _limit(request: Request, default: int, most: int) -> int:
    text = request.params.get("limit", str(default))
    value = _whole("limit", text)
    if not 1 <= value <= most:
        raise _bad("limit", text)
    return value


def _trades(tape: Tape, request: Request) -> dict[str, Any]:
    """Return a page; its cursor is what is left of the positions that were asked for first."""
    if "cursor" in request.params:
        *numbers, order = _opened(request.params["cursor"], 4)
        low, high, limit = (_whole("cursor", number) for number in numbers)
    else:
        low, high = _range(tape, request.params)
        order, limit = request.params.get("order", "desc"), _limit(request, 1000, 50_000)
    if order == "asc":
        rows, rest = tape.rows(low, min(high, low + limit)), (low + limit, high)
    else:
        rows, rest = tape.rows(max(low, high - limit), high), (low, max(low, high - limit))
    told = rest_rows(tape.listing, rows)
    more = _next_url(request, request.path, *rest, limit, order) if rest[0] < rest[1] else {}
    return {"results": told if order == "asc" else told[::-1], **more}


def _range(tape: Tape, params: Mapping[str, str]) -> tuple[int, int]:
    """Return the positions that the bounds on ``timestamp`` leave; a day alone is the whole of it."""
    low, high = tape.start, tape.end
    for suffix, later in ((".gte", 0), (".gt", 1)):
        if f"timestamp{suffix}" in params:
            low = max(low, tape.at_time(_time(params[f"timestamp{suffix}"], 1) + later))
    for suffix, later in ((".lt", 0), (".lte", 1)):
        if f"timestamp{suffix}" in params:
            high = min(high, tape.at_time(_time(params[f"timestamp{suffix}"], 1) + later))
    if "timestamp" in params:
        at = _time(params["timestamp"], 1)
        low, high = tape.at_time(at), tape.at_time(at + (DAY if "-" in params["timestamp"] else 1))
    return low, high


def _time(text: str, unit: int) -> int:
    found = instant(text, unit)
    if found is None:
        raise _bad("timestamp", text)
    return found


def _aggs(tape: Tape, request: Request, asked: re.Match[str]) -> dict[str, Any]:
    """Return a page of bars, at most as many as ``limit`` base aggregates make."""
    ticker, count, span, begin, end = asked.groups()
    size = int(count) * _SPANS[span]
    if not size:
        raise _bad("multiplier", count)
    sort, limit = request.params.get("sort", "asc"), _limit(request, 5000, 50_000)
    if "cursor" in request.params:
        sort, text = _opened(request.params["cursor"], 2)
        limit = _whole("cursor", text)
    start, stop = _time(begin, _MS), _time(end, _MS) + (DAY if "-" in end else _MS)
    found = bars(tape.rows(tape.at_time(start // size * size), tape.at_time(stop)), size)
    found = found if sort == "asc" else found[::-1]
    page = found[: max(1, limit // int(count))]
    more: dict[str, str] = {}
    if len(page) < len(found):
        edge = found[len(page)].open_time // _MS
        bounds = (edge, end) if sort == "asc" else (begin, edge + size // _MS - 1)
        path = f"/v2/aggs/ticker/{ticker}/range/{count}/{span}/{bounds[0]}/{bounds[1]}"
        more = _next_url(request, path, sort, limit)
    results = [_bar(bar) for bar in page]
    told = {"ticker": ticker, "queryCount": len(results), "resultsCount": len(results), "adjusted": True}
    return told | {"results": results, "count": len(results)} | more


def _bar(bar: Bar) -> dict[str, Any]:
    prices = {"o": bar.open, "c": bar.close, "h": bar.high, "l": bar.low}
    volume = {"v": round(bar.volume, 8), "vw": round(bar.quote_volume / bar.volume, 8), "n": bar.trades}
    return volume | prices | {"t": bar.open_time // _MS}


def _conditions(request: Request) -> dict[str, Any]:
    """Return a page of conditions; a cursor keeps what was asked for."""
    asked = request.params
    start, limit, kind = 0, _limit(request, 10, 1000), asked.get("asset_class", "")
    if "cursor" in asked:
        first, most, kind = _opened(asked["cursor"], 3)
        start, limit = _whole("cursor", first), _whole("cursor", most)
    found = [one for one in CONDITIONS if not kind or one["asset_class"] == kind]
    more = _next_url(request, request.path, start + limit, limit, kind) if start + limit < len(found) else {}
    return {"results": found[start : start + limit], "count": len(found), **more}
