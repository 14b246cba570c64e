"""``/v1/store``: the database for `tapeline.remote`, in Arrow; only for who holds the owner's key."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import pyarrow as pa
from fastapi import APIRouter, Depends, Request, Response

from tapeline.api.context import Context, context, context_of
from tapeline.api.security import forbid
from tapeline.api.writes import decoded
from tapeline.stores._duckdb_reader import Reader

_ARROW = "application/vnd.apache.arrow.stream"


async def holds_key(request: Request) -> None:
    """Refuse who does not hold the owner's key: a dependency.

    Raises:
        Forbidden: it is missing or wrong.
    """
    key = context_of(request).owner_key
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not key or not hmac.compare_digest(given.encode(), key.encode()):
        raise forbid(403, "the owner's key is missing or wrong", "use the tapeline command beside the database")


router = APIRouter(prefix="/v1/store", include_in_schema=False, dependencies=[Depends(holds_key)])
Shared = Annotated[Context, Depends(context)]


class Read(msgspec.Struct, frozen=True):
    """The arguments of `Store.read`."""

    kind: str
    instrument: str | None = None
    start: int | None = None
    end: int | None = None
    as_of: int | None = None
    limit: int | None = None
    equal: dict[str, str] = {}


class Sql(msgspec.Struct, frozen=True):
    """The arguments of `DuckDBStore.sql`."""

    text: str
    limit: int | None = None


class Tape(msgspec.Struct, frozen=True):
    """The arguments of `Store.tape`."""

    instrument: str
    after: tuple[int, int] | None = None
    rows: int = 1 << 20


@router.post("/{verb}")
async def ask(request: Request, shared: Shared, verb: Literal["read", "sql", "tape", "sizes"]) -> Response:
    """Answer what a store is asked."""
    raw = await request.body()
    make = {"read": _read, "sql": _sql, "tape": _tape, "sizes": _sizes}[verb](raw)
    return Response(await shared.read(lambda reader: _arrow(make(reader))), media_type=_ARROW)


def _read(raw: bytes) -> Callable[[Reader], pa.Table]:
    asked = decoded(raw, Read)
    return lambda reader: reader.read(
        asked.kind,
        instrument=asked.instrument,
        start=asked.start,
        end=asked.end,
        as_of=asked.as_of,
        limit=asked.limit,
        **asked.equal,
    )


def _sql(raw: bytes) -> Callable[[Reader], pa.Table]:
    asked = decoded(raw, Sql)
    return lambda reader: reader.sql(asked.text, limit=asked.limit)


def _tape(raw: bytes) -> Callable[[Reader], pa.Table]:
    asked = decoded(raw, Tape)

    def make(reader: Reader) -> pa.Table:
        empty = reader.read("trades", instrument=asked.instrument, limit=0)
        return next(iter(reader.tape(asked.instrument, after=asked.after, rows=asked.rows)), empty)

    return make


def _sizes(raw: bytes) -> Callable[[Reader], pa.Table]:
    del raw

    def make(reader: Reader) -> pa.Table:
        found = reader.sizes()
        columns = {"name": list(found), "rows": [one.rows for one in found.values()]}
        return pa.table(columns | {"bytes": [one.bytes for one in found.values()]})

    return make


def _arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
