"""Answers: JSON by msgspec, compressed and tagged off the loop, and what the OpenAPI document says of them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from tapeline import wire
from tapeline.api.context import context_of
from tapeline.documents import Problem
from tapeline.stores._duckdb_reader import Reader

PROBLEM = "application/problem+json"
_REF = "#/components/schemas/{name}"
_WORTH_PACKING = 1400
_ERRORS = {
    400: "Cannot be answered as put",
    401: "The token is missing or wrong",
    403: "Not allowed by the settings",
    404: "Unknown name",
    413: "The body is too large",
    414: "The query is too long",
    421: "The Host is not ours",
    422: "A parameter breaks its rule",
    429: "Too many requests",
    503: "Not now: the text says what is missing",
}
_EVERYWHERE, _FREE = (401, 413, 414, 421), ("/health", "/ready")
"""What any route may answer, and the routes that need no token even from another machine."""
_told: list[Any] = [Problem]


def told(kind: Any, description: str, *errors: int) -> dict[str, Any]:
    """Return what a route says of itself: the document it answers with, and the problems it may answer with."""
    _told.append(kind)
    schema = msgspec.json.schema_components([kind], ref_template=_REF)[0][0]
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": description, "content": {"application/json": {"schema": schema}}}
    }
    return {"responses": answers | problems(400, 422, 429, *errors), "response_class": Response}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the part of the OpenAPI document that tells problems of these statuses."""
    content = {PROBLEM: {"schema": {"$ref": _REF.format(name="Problem")}}}
    return {status: {"description": _ERRORS[status], "content": content} for status in statuses}


def body(kind: Any) -> dict[str, Any]:
    """Return what a route says of the JSON body it takes."""
    _told.append(kind)
    schema = msgspec.json.schema_components([kind], ref_template=_REF)[0][0]
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the schemas of all rows and documents."""
    if not app.openapi_schema:
        made = get_openapi(title=app.title, version=app.version, routes=app.routes, description=app.description)
        _tell_everywhere(made["paths"])
        components = made.setdefault("components", {})
        shapes = msgspec.json.schema_components(_told, ref_template=_REF)[1]
        components["schemas"] = {**shapes}
        bearer = {"type": "http", "scheme": "bearer", "description": "The token of the settings."}
        components["securitySchemes"] = {"token": bearer}
        app.openapi_schema = made
    return app.openapi_schema


def _tell_everywhere(paths: dict[str, Any]) -> None:
    """Add to each operation the problems that are found before any route."""
    for path, verbs in paths.items():
        free = {401} if path in _FREE else set()
        for route in verbs.values():
            for status, told in problems(*sorted({*_EVERYWHERE} - free)).items():
                route["responses"].setdefault(str(status), told)


async def answer(request: Request, make: Callable[[Reader], object]) -> Response:
    """Answer with a document made from the database."""
    return await context_of(request).read(lambda reader: packed(request, make(reader)))


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent of a document: its bytes, the tag of the document, and whether they are compressed."""

    raw: bytes
    tag: str
    small: bool


def packed(request: Request, document: object) -> Response:
    """Return a document as a response: 304 where the client has it, compressed where the client takes that."""
    return respond_with(request, body_of(document, small=takes_small(request)))


def takes_small(request: Request) -> bool:
    """Say whether a client takes what is compressed."""
    return "gzip" in request.headers.get("accept-encoding", "")


def body_of(document: object, *, small: bool) -> Body:
    """Return what is sent of a document; ``small``: compressed, where that pays."""
    raw = wire.encode(document)
    tag = f'"{blake2b(raw, digest_size=12).hexdigest()}"'
    small = small and len(raw) > _WORTH_PACKING
    return Body(gzip.compress(raw, 1, mtime=0) if small else raw, tag, small)


def respond_with(request: Request, body: Body) -> Response:
    """Return a body as a response: 304 where the client has it."""
    headers = {"ETag": body.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == body.tag:
        return Response(status_code=304, headers=headers)
    if body.small:
        headers["Content-Encoding"] = "gzip"
    return Response(body.raw, media_type="application/json", headers=headers)
