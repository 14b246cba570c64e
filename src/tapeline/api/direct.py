"""The short way to the routes that are asked most often: past the routing and the dependencies of FastAPI.

They are routes of FastAPI all the same, which describes them and answers what does not come by this way: a query string
(they take none), another method, a path not quite theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tapeline.api.problems import ours
from tapeline.api.security import Forbidden, forbidden
from tapeline.errors import TapelineError

Route = Callable[[Request], Awaitable[Response]]


class Direct:
    """Answer ``POST`` to some paths at once.

    Args:
        app: answers everything else.
        routes: by whole path.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[str, Route]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        route = self._routes.get(scope.get("path", ""))
        if route is None or scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await route(request)
        except TapelineError as error:
            response = await ours(request, error)
        except Forbidden as error:
            response = await forbidden(request, error)
        await response(scope, receive, send)
