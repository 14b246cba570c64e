"""What is checked before any route: who asks, from where, how often and how much; and the headers of every answer."""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tapeline.api.problems import respond
from tapeline.config import Settings
from tapeline.documents import Problem
from tapeline.errors import UsageError

MOST_BODY = 1 << 20
MOST_QUERY = 8 << 10
_MOST_CLIENTS = 10_000
_PUBLIC = frozenset(["/", "/health", "/ready", "/favicon.ico", "/favicon.svg"])
_LOOPBACK_NAMES = frozenset(["localhost", "127.0.0.1", "::1"])
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
"""The headers of every answer."""
ADMITTED = "tapeline.admitted"
"""The field of a scope that was let through already."""
_Given = dict[bytes, bytes]
"""The headers of a request; of one given twice, the first."""


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Say whether a name or address is of this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_binding(settings: Settings) -> None:
    """Refuse to serve other machines without a token.

    Raises:
        UsageError: the host is not loopback, and no token is set.
    """
    if not is_loopback(settings.host) and not settings.token.get_secret_value():
        step = "set TAPELINE_TOKEN to a long secret, or keep host at 127.0.0.1"
        raise UsageError("settings host", "is open to others", expected="a token", was=settings.host, next_step=step)


def has_token(given: str, settings: Settings) -> bool:
    """Say whether an ``Authorization`` header, or the token itself, is the one of the settings; in constant time."""
    token = settings.token.get_secret_value()
    same = hmac.compare_digest(given.removeprefix("Bearer ").encode(), token.encode())
    return same and bool(token)


class Forbidden(Exception):
    """A request without the right to do what it asks."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


async def forbidden(request: Request, error: Exception) -> Response:
    """Answer a request that has no right to what it asks."""
    del request
    assert isinstance(error, Forbidden)
    headers = {"WWW-Authenticate": "Bearer"} if error.problem.status == 401 else None
    return respond(error.problem, headers)


async def may_write(request: Request) -> None:
    """Refuse a write without the token: a dependency of the routes that change anything.

    Raises:
        Forbidden: there is no token in the settings, or none in the request, or a wrong one.
    """
    settings: Settings = request.app.state.context.settings
    if not settings.token.get_secret_value():
        step = "set TAPELINE_TOKEN, restart, and send Authorization: Bearer TOKEN"
        raise forbid(403, "writes are off: no token is set", step)
    if not has_token(request.headers.get("authorization", ""), settings):
        raise Forbidden(_missing_token())


def forbid(status: int, what: str, step: str) -> Forbidden:
    """Return what refuses a request."""
    return Forbidden(_problem(status, what, step))


def _missing_token() -> Problem:
    return _problem(401, "the token is missing or wrong", "send Authorization: Bearer TOKEN, as set in TAPELINE_TOKEN")


def _problem(status: int, what: str, step: str) -> Problem:
    titles = {401: "Unauthorized", 403: "Forbidden", 413: "Content Too Large", 414: "URI Too Long", 421: "Misdirected"}
    title = titles.get(status, "Too Many Requests")
    return Problem(title, status, f"request: {what}; {step}", where="request", next_step=step)


class Guard:
    """Check every request and connection, and put the security headers on every answer.

    Args:
        app: what is guarded.
        rules: say who may enter.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with what is wrong."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        problem = None if scope.get(ADMITTED) else self._rules.refusal(scope)
        if scope["type"] == "websocket":
            if problem is not None:
                await send({"type": "websocket.close", "code": 1008, "reason": problem.title})
                return
            await self._app(scope, receive, send)
            return
        sender = _with_headers(send)
        if problem is not None:
            await refused(problem)(scope, receive, sender)
            return
        await self._app(scope, _Body(receive).receive, sender)


class Rules:
    """Who may ask: by host, origin, rate, size and token.

    Args:
        settings: host, token, origins, and how many requests a client may make a second on average (0: any number).
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rates = Rates(settings.rate_limit)
        self._local = is_loopback(settings.host)
        self._ours = {*_LOOPBACK_NAMES, settings.host}

    def refusal(self, scope: Scope) -> Problem | None:
        """Count a request, and return why it may not enter."""
        given: _Given = dict(reversed(scope["headers"]))
        if not self._host_is_ours(given.get(b"host", b"").decode("latin-1")):
            return _problem(421, "the Host is not ours", "call it as localhost or 127.0.0.1")
        if scope["type"] == "websocket" and not self._origin_is_ours(given):
            return _problem(403, "the Origin may not connect", "name it in TAPELINE_CORS")
        if len(scope["query_string"]) > MOST_QUERY:
            return _problem(414, f"the query is longer than {MOST_QUERY} bytes", "ask for less")
        often = self.too_often(scope)
        if often is not None:
            return often
        length = given.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MOST_BODY:
            return _problem(413, f"the body is larger than {MOST_BODY} bytes", "send less")
        if not self._may_enter(scope, given):
            return _missing_token()
        return None

    def too_often(self, scope: Scope) -> Problem | None:
        """Count a request whose like was let through, and return why it may not enter."""
        if self._rates.allow(_client(scope)):
            return None
        return _problem(429, f"more than {self._rates.per_second} a second", "ask less often")

    def _host_is_ours(self, host: str) -> bool:
        """Refuse foreign names on loopback: a web page could have its own name point here (DNS rebinding)."""
        return not self._local or (_name(host) in self._ours)

    def _origin_is_ours(self, given: _Given) -> bool:
        if b"origin" not in given:
            return True
        origin, host = (given.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
        return origin in self._settings.cors or urlsplit(origin).netloc == host

    def _may_enter(self, scope: Scope, given: _Given) -> bool:
        """Ask other machines for the token; free are the page, health, and WebSockets, which ask by themselves."""
        path = scope["path"]
        free = path in _PUBLIC or path.startswith("/assets/") or scope["type"] == "websocket"
        trusted = is_loopback(_client(scope)) or has_token(
            given.get(b"authorization", b"").decode("latin-1"), self._settings
        )
        scope.setdefault("state", {})["trusted"] = trusted
        return free or trusted


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""


def _name(host: str) -> str:
    return host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def refused(problem: Problem) -> Response:
    """Return the answer to a request that may not enter."""
    return respond(problem, {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}.get(problem.status))


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            own = {name.lower() for name, _ in headers}
            message["headers"] = headers + [pair for pair in RAW_HEADERS if pair[0] not in own]
        await send(message)

    return sender


class _Body:
    """Count what comes in: a body without a length may not be endless either."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > MOST_BODY:
            raise Forbidden(_problem(413, f"the body is larger than {MOST_BODY} bytes", "send less"))
        return message


class Rates:
    """How often each client asks: a bucket of twice as many requests as it may make a second."""

    def __init__(self, per_second: int) -> None:
        self.per_second = per_second
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, client: str) -> bool:
        """Count a request, and say whether it is within the rate."""
        if not self.per_second:
            return True
        now = asyncio.get_running_loop().time()
        most = 2.0 * self.per_second
        left, since = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - since) * self.per_second)
        self._buckets[client] = (max(left - 1, 0.0), now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1
