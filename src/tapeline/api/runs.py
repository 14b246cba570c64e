"""The routes of training runs, and of champions beside their challengers."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import FileResponse

from tapeline import duel
from tapeline.api import patterns, run_reads
from tapeline.api.answers import answer, packed, problems, told
from tapeline.api.context import Context, context
from tapeline.api.params import MOST_ROWS, OptionalInstrument, known_parameters
from tapeline.documents import Page, TrainingRun
from tapeline.query import known

router = APIRouter(prefix="/v1", tags=["v1"], dependencies=[Depends(known_parameters)])

Shared = Annotated[Context, Depends(context)]
RunId = Annotated[str, Path(pattern=patterns.RUN, description="The id of a run, or how it begins.")]
_PAGE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
"""The page of a run brings its own style, and can do nothing else."""


@router.get("/runs", **told(Page[TrainingRun], "Training runs, the newest first", 404, 503))
async def runs(
    request: Request,
    shared: Shared,
    instrument: OptionalInstrument = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="How many runs at most, the newest.")] = 100,
) -> Response:
    """List the training runs whose folders are kept."""
    found = await asyncio.to_thread(run_reads.training_runs, shared.settings.runs, instrument, limit)
    if instrument is not None and not found.items:
        await shared.read(lambda reader: known(reader, instrument))
    return packed(request, found)


@router.get("/runs/{id}", **told(dict[str, Any], "What the run found, and its files", 404, 503))
async def run(request: Request, shared: Shared, id: RunId) -> Response:
    """Give what a training run found: models against baselines, the gate's checks, and the names of its files."""
    return packed(request, await asyncio.to_thread(run_reads.training_run, shared.settings.runs, id))


@router.get(
    "/runs/{id}/files/{name}",
    response_class=Response,
    responses={
        200: {"description": "The file", "content": {kind: {} for kind in set(run_reads.FILES.values())}},
        **problems(400, 404, 422, 429, 503),
    },
)
async def run_file(shared: Shared, id: RunId, name: Annotated[str, Path(max_length=64)]) -> Response:
    """Give a file of a training run: its page, record, folds or picture."""
    file = await asyncio.to_thread(run_reads.file_of, shared.settings.runs, id, name)
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _PAGE}
    return FileResponse(file, media_type=run_reads.FILES[name], headers=headers)


@router.get("/duels", **told(Page[dict[str, Any]], "The versions of a name, each beside the champion", 404, 503))
async def duels(
    request: Request,
    name: Annotated[str, Query(pattern=patterns.MODEL, max_length=128, description="A model's name.")],
) -> Response:
    """Compare the versions of a model with its champion on the outcomes that both foretold."""
    return await answer(request, lambda reader: Page(duel.compared(reader, name)))
