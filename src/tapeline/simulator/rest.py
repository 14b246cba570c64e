"""REST of a simulated venue, and what goes wrong on the way from it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

import websockets

from tapeline.clock import SECOND
from tapeline.simulator.faults import Faults
from tapeline.simulator.venue import Request, Response, Venue

_HTML: Mapping[str, str] = {"content-type": "text/html; charset=UTF-8"}
_STATUSES = {"rest-429": (429,), "rest-418": (418,), "rest-5xx": (500, 502, 503, 504, 520)}
_INSTEAD = (*_STATUSES, "rest-html", "rest-timeout")


class Rest:
    """Answer requests, truly or not.

    Args:
        venue: whose answers they are.
        faults: what goes wrong.
        over: the end of the server: what waits for no answer waits until then.
    """

    def __init__(self, venue: Venue, faults: Faults, over: asyncio.Event) -> None:
        self._venue = venue
        self._faults = faults
        self._over = over

    async def answer(self, request: Request, now: int) -> websockets.Response:
        """Return the answer to a GET request."""
        subject = request.path
        for fault in _INSTEAD:
            if self._faults.strikes(fault, now, subject=subject):
                return await self._instead(fault, now)
        tapes = self._venue.tapes
        if self._faults.strikes("rest-empty", now, subject=subject):
            tapes = {name: tape.without_rows() for name, tape in tapes.items()}
        response = self._venue.rest(request, tapes, now)
        if self._faults.strikes("rest-cursor", now, subject=subject):
            response = self._venue.wrong_cursor(response, self._faults.random("rest-cursor"))
        return as_http(response, now, cut_off=self._faults.strikes("rest-truncated", now, subject=subject))

    async def _instead(self, fault: str, now: int) -> websockets.Response:
        if fault == "rest-timeout":
            await self._over.wait()
        if fault in _STATUSES:
            return as_http(self._venue.failure(self._faults.random(fault).choice(_STATUSES[fault])), now)
        return as_http(Response(200, b"<!DOCTYPE html><html><body>Maintenance</body></html>", _HTML), now)


def as_http(response: Response, now: int, *, cut_off: bool = False) -> websockets.Response:
    """Return an answer as the socket takes it; ``cut_off`` keeps half of the body but not its length."""
    headers = websockets.Headers({name.title(): value for name, value in response.headers.items()})
    headers["Content-Length"] = str(len(response.body))
    headers["Connection"] = "close"
    headers["Date"] = formatdate(now // SECOND, usegmt=True)
    known = {status.value for status in HTTPStatus}
    phrase = HTTPStatus(response.status).phrase if response.status in known else "Error"
    body = response.body[: len(response.body) // 2] if cut_off else response.body
    return websockets.Response(response.status, phrase, headers, body)
