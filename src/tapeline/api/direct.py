"""The short way to the routes that are asked most often: from a whole request to the bytes of its answer, at once.

They are routes of FastAPI all the same, which describes them and answers what does not come by this way: another
method, a path not quite theirs, a query (they take none), a body in pieces, what must be waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

from fastapi import Response
from starlette.types import Scope

from tapeline.api.problems import respond_to
from tapeline.api.security import ADMITTED, RAW_HEADERS, Rules, refused
from tapeline.errors import TapelineError

Headers = Iterable[tuple[bytes, bytes]]
Route = Callable[[bytes], bytes | None]
"""Give for a body the JSON that answers it; None where that must be waited for."""

_MOST_BODY = 1 << 16
_NOT_PLAIN = frozenset([b"transfer-encoding", b"expect", b"upgrade"])
logger = logging.getLogger("tapeline.api")


def _lines(headers: Headers) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


class Direct:
    """Answer ``POST`` to some paths as the application does, but at once.

    Args:
        rules: say who may enter.
        routes: by whole path.
        cors: whether pages of other origins may ask: who names an Origin is left to the application.
    """

    def __init__(self, rules: Rules, routes: Mapping[str, Route], *, cors: bool) -> None:
        self._rules = rules
        self._routes = {path.encode(): (path, route) for path, route in routes.items()}
        self._not_plain = _NOT_PLAIN | {b"origin"} if cors else _NOT_PLAIN
        self._own = [(b"vary", b"Origin")] if cors else []
        self._json = _lines([(b"content-type", b"application/json"), *self._own, *RAW_HEADERS]) + b"\r\n"

    def takes(self, method: bytes, url: bytes, headers: Headers) -> bool:
        """Say whether a request is one of these, as its head tells."""
        if url not in self._routes or method != b"POST":
            return False
        given = dict(headers)
        length = given.get(b"content-length", b"")
        return length.isdigit() and int(length) <= _MOST_BODY and self._not_plain.isdisjoint(given)

    def answer(self, url: bytes, scope: Scope, body: bytes, usual: Headers, *, again: bool = False) -> bytes | None:
        """Return the whole answer to a request that this takes; None where the application must give it.

        One that may enter is marked as `ADMITTED` in its scope.

        Args:
            url: of the request.
            scope: of the request, as the server began it.
            body: all of it.
            usual: headers that the server adds to every answer.
            again: whether one with the same head was let through on the same line.
        """
        path, route = self._routes[url]
        scope["path"], scope["query_string"] = path, b""
        problem = self._rules.too_often(scope) if again else self._rules.refusal(scope)
        if problem is not None:
            return _written(refused(problem), usual)
        scope[ADMITTED] = True
        try:
            found = route(body)
        except TapelineError as error:
            return _written(respond_to(error), usual, self._own)
        except Exception:  # any bug: the long way meets it again and answers 500; here it would end the line
            logger.exception("bug in Tapeline: POST %s: asked again the long way", path)
            return None
        if found is None:
            return None
        return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n%b%b" % (_lines(usual), len(found), self._json, found)


def _written(response: Response, usual: Headers, more: Headers = ()) -> bytes:
    """Return a response as it goes over the line."""
    own = {name for name, _ in response.raw_headers}
    headers = [*usual, *response.raw_headers, *more, *(pair for pair in RAW_HEADERS if pair[0] not in own)]
    status = response.status_code
    first = b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())
    return first + _lines(headers) + b"\r\n" + bytes(response.body)
