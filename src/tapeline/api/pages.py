"""The page at ``/`` as it was built into the package, ``/docs``, and what stands there while no page is built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import tapeline
from tapeline.api import reference

DIST = Path(tapeline.__file__).parent / "web" / "dist"
_FALLBACK = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tapeline</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/style.css"></head>
<body><h1>Tapeline runs</h1>
<p>The page is not built into this installation. In a checkout build it with: <code>make page</code></p>
<p>Meanwhile: <a href="/docs">the API</a>, <a href="/v1/status">the status</a>, <a href="/metrics">the metrics</a>.</p>
</body></html>"""

router = APIRouter(include_in_schema=False)


class Assets(StaticFiles):
    """Files whose names change with their content: a browser may keep them for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file with its cache headers."""
        found = await super().get_response(path, scope)
        found.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return found


@router.get("/")
async def index() -> Response:
    """Give the page, or say how to build it."""
    file = DIST / "index.html"
    if not file.is_file():
        return HTMLResponse(_FALLBACK, headers={"Cache-Control": "no-cache"})
    return FileResponse(file, headers={"Cache-Control": "no-cache"})


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Give all routes as a page."""
    return HTMLResponse(reference.page(request.app.openapi()))


@router.get("/docs/style.css")
async def style() -> Response:
    """Give the style of the plain pages."""
    return Response(reference.STYLE, media_type="text/css")


def mount(app: FastAPI) -> None:
    """Serve the built page: its assets, and the other files of its root such as the icon."""
    app.include_router(router)
    if (DIST / "assets").is_dir():
        app.mount("/assets", Assets(directory=DIST / "assets"))
    for file in sorted(DIST.glob("*.*")) if DIST.is_dir() else []:
        if file.name != "index.html":
            app.add_api_route(f"/{file.name}", _file(file), include_in_schema=False)


def _file(file: Path) -> Callable[[], Awaitable[Response]]:
    async def give() -> Response:
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    return give
