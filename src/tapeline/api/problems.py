"""Errors as RFC 9457 problem documents: where, what was expected, what was found, what to do next.

No text holds a stack trace or a path of this machine.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tapeline import wire
from tapeline.api import patterns
from tapeline.api.answers import PROBLEM
from tapeline.documents import Problem
from tapeline.errors import (
    InputError,
    MissingDependency,
    NotEnoughData,
    StoreError,
    TapelineError,
    UnknownName,
    UsageError,
    VenueError,
)

_STATUS: dict[type[TapelineError], int] = {
    UnknownName: 404,
    NotEnoughData: 503,
    UsageError: 400,
    InputError: 400,
    StoreError: 503,
    VenueError: 503,
    MissingDependency: 503,
}
_MOST_TEXT, _MOST_SHOWN = 8_000, 200
_log = logging.getLogger("tapeline.api")


class NotReady(TapelineError):
    """Say that a number cannot be given now, and what is missing; ``state`` holds it as fields."""

    retryable: ClassVar[bool] = True

    def __init__(self, where: str, problem: str, *, state: dict[str, Any], next_step: str) -> None:
        self.state = state
        super().__init__(where, problem, next_step=next_step)


def install(app: FastAPI) -> None:
    """Let an application answer every error with a problem document."""
    app.add_exception_handler(TapelineError, ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _bug)


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return a problem as a response."""
    return Response(wire.encode(problem), problem.status, headers, PROBLEM)


def problem_of(error: TapelineError) -> Problem:
    """Return what an error of ours tells; of a path only the last part is told."""
    found = (number for kind, number in _STATUS.items() if isinstance(error, kind))
    status = 503 if isinstance(error, NotReady) else next(found, 500)
    parts = {name: _plain(getattr(error, name)) for name in ("where", "expected", "was", "next_step")}
    detail = str(error)
    if isinstance(error, StoreError | InputError):
        parts, detail = {name: _without_path(text) for name, text in parts.items()}, _without_path(detail)
    state = error.state if isinstance(error, NotReady) else {}
    return Problem(HTTPStatus(status).phrase, status, detail, state=state, **parts)


def _plain(value: object) -> str:
    """Return a part of an error as text: whole, unless it is longer than the names of any feature set."""
    text = "" if value is None else str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def _without_path(text: str) -> str:
    """Leave only the last part of each path."""
    return " ".join(
        word.rsplit("/", 1)[-1] if word.lstrip("('\"").startswith("/") else word for word in text.split(" ")
    )


async def ours(request: Request, error: Exception) -> Response:
    """Answer with what an error of ours tells."""
    del request
    assert isinstance(error, TapelineError)
    return respond_to(error)


def respond_to(error: TapelineError) -> Response:
    """Return what an error of ours tells as a response."""
    return respond(problem_of(error), {"Retry-After": "1"} if error.retryable else None)


async def _invalid(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        rule, was = "a value", "none"
        detail = f"{where}: is missing; see /docs"
    else:
        rule = patterns.words_of(first.get("ctx", {}).get("pattern", "")) or _rule(str(first["msg"]))
        was = str(first.get("input"))[:_MOST_SHOWN]
        detail = f"{where}: cannot be used: expected {rule}, was {was!r}; see /docs"
    title = HTTPStatus.UNPROCESSABLE_ENTITY.phrase
    return respond(Problem(title, 422, detail, where=where, expected=rule, was=was, next_step="see /docs"))


def _rule(message: str) -> str:
    for opening in ("Input should be ", "String should have ", "Value error, "):
        message = message.removeprefix(opening)
    return message


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path}"
    phrase = HTTPStatus(error.status_code).phrase
    detail = f"{where}: {phrase.lower()}; see /docs"
    problem = Problem(phrase, error.status_code, detail, where=where, next_step="see /docs")
    return respond(problem, dict(error.headers or {}))


async def _gone(request: Request, error: Exception) -> Response:
    """Answer who hung up in the middle of a body, for the form: nobody hears it, and it is no bug of ours."""
    del request, error
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _bug(request: Request, error: Exception) -> Response:
    where = f"{request.method} {request.url.path}"
    _log.error("bug in Tapeline: %s: %s", where, type(error).__name__)
    step = "please report it with what stands in the log of the process"
    return respond(
        Problem("Internal Server Error", 500, f"{where}: bug in Tapeline; {step}", where=where, next_step=step)
    )
