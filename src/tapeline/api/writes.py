"""The routes that change something, which ask for the token, and SQL, which the settings must allow."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Request, Response

from tapeline import wire
from tapeline.api import patterns, sql
from tapeline.api.answers import body, packed, told
from tapeline.api.context import Context, Live, context
from tapeline.api.params import ModelName, known_parameters
from tapeline.api.problems import NotReady
from tapeline.api.security import forbid, may_write
from tapeline.documents import Done, SqlAnswer
from tapeline.errors import UnknownName, UsageError
from tapeline.query import known
from tapeline.registry import Registry

router = APIRouter(prefix="/v1", tags=["v1"], dependencies=[Depends(known_parameters)])

T = TypeVar("T", bound=msgspec.Struct)
Shared = Annotated[Context, Depends(context)]
_TOKEN: dict[str, Any] = {"security": [{"token": []}]}
_WRITES = (401, 403, 404, 413, 503)


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version of a model to promote."""

    version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One SELECT, and how many rows of its answer at most."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]
    limit: Annotated[int, msgspec.Meta(ge=1, le=sql.MOST_ROWS)] = 1000


def _live(shared: Context) -> Live:
    if shared.live is None:
        step = "start tapeline up, or use the commands: tapeline models"
        raise NotReady("api", "serves a stored database and changes nothing", state={"live": False}, next_step=step)
    return shared.live


@router.post(
    "/models/{name:path}/promote",
    dependencies=[Depends(may_write)],
    **told(Done, "It answers from now on", *_WRITES),
    openapi_extra=body(Version) | _TOKEN,
)
async def promote(request: Request, shared: Shared, name: ModelName) -> Response:
    """Let a version of a model answer from now on."""
    version = decoded(await request.body(), Version).version
    await shared.read(lambda reader: Registry(reader).load(name, version))
    await _live(shared).promote(name, version)
    return _done(Done("promoted", name, version))


@router.post(
    "/models/{name:path}/rollback",
    dependencies=[Depends(may_write)],
    **told(Done, "The champion before it answers again", *_WRITES),
    openapi_extra=_TOKEN,
)
async def rollback(shared: Shared, name: ModelName) -> Response:
    """Let the champion before the present one answer again."""
    names = await shared.read(lambda reader: {entry.name for entry in Registry(reader).entries()})
    if name not in names:
        raise UnknownName(f"model {name}", "is not registered", expected="a name of GET /v1/models", was=name)
    version = await _live(shared).rollback(name)
    return _done(Done("rolled back", name, version if isinstance(version, str) else None))


@router.post(
    "/gaps/{instrument}/heal",
    dependencies=[Depends(may_write)],
    **told(Done, "The venue is asked", *_WRITES),
    openapi_extra=_TOKEN,
)
async def heal(shared: Shared, instrument: Annotated[str, Path(pattern=patterns.FOLLOWED, max_length=64)]) -> Response:
    """Ask the venue for the trades that are missing."""
    process = _live(shared)
    await shared.read(lambda reader: known(reader, instrument))
    await process.heal(instrument)
    return _done(Done("healing", instrument))


@router.post("/sql", **told(SqlAnswer, "Rows of the answer", 403, 404, 413, 503), openapi_extra=body(Question))
async def ask_sql(request: Request, shared: Shared) -> Response:
    """Answer one SELECT over what is stored; off unless the settings say sql = true."""
    if not shared.settings.sql:
        raise forbid(403, "SQL is off", "set TAPELINE_SQL=true and restart")
    question = decoded(await request.body(), Question)
    async with asyncio.timeout(4 * sql.SECONDS):
        found = await shared.read(lambda reader: sql.answer(reader, question.query, question.limit))
    return packed(request, found)


def decoded(raw: bytes, kind: type[T]) -> T:
    """Read a JSON body.

    Raises:
        UsageError: it is not such a document.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        names = ", ".join(field.name for field in msgspec.structs.fields(kind))
        rule = f"a JSON object with {names}"
        raise UsageError("body", f"cannot be read: {error}", expected=rule, was=raw[:60]) from error


def _done(done: Done) -> Response:
    return Response(wire.encode(done), media_type="application/json", headers={"Cache-Control": "no-store"})
