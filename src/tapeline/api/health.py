"""``/health``, ``/ready``, ``/stats``, ``/drift`` and ``/metrics`` of the reference systems."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from tapeline import __version__, wire
from tapeline.api import monitor_reads
from tapeline.api.answers import problems, told
from tapeline.api.champions import Champions
from tapeline.api.context import Context, context
from tapeline.api.params import known_parameters
from tapeline.api.problems import NotReady
from tapeline.api.status import status_of
from tapeline.documents import DriftReport

router = APIRouter(tags=["reference"], dependencies=[Depends(known_parameters)])

Shared = Annotated[Context, Depends(context)]
_WELL = ("live", "healing")
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def _plain(document: object) -> Response:
    return Response(wire.encode(document), media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/health", **told(dict[str, Any], "The process lives", 503))
async def health(request: Request, shared: Shared) -> Response:
    """Tell whether the process lives, how it is, and which models answer."""
    status = await status_of(shared)
    champions: Champions = request.app.state.champions
    models = {one.artifact.name: one.artifact.version for one in await champions.all()}
    return _plain(
        {
            "status": status["health"],
            "reasons": status["reasons"],
            "models_loaded": models,
            "simulated": status["simulated"],
            "version": __version__,
        }
    )


@router.get("/ready", **told(dict[str, Any], "Connected and fresh", 503))
async def ready(shared: Shared) -> Response:
    """Tell whether every connection is live and an instrument is known; 503 with what is missing otherwise."""
    status = await status_of(shared)
    waiting = [f"{one['venue']}: {one['state']}" for one in status["venues"] if one["state"] not in _WELL]
    if not status["instruments"]:
        waiting.append("no instrument yet")
    if waiting:
        state = {"ready": False, "waiting": waiting}
        raise NotReady("process", f"is not ready: {', '.join(waiting)}", state=state, next_step="see /v1/status")
    return _plain({"ready": True, "instruments": [one["instrument"] for one in status["instruments"]]})


@router.get("/stats", **told(dict[str, Any], "What came and what was dropped, since the process started"))
async def stats(shared: Shared) -> Response:
    """Count what came and what was dropped as a repeat, by instrument."""
    names = ("trades", "duplicates", "late", "dead_letters", "candles", "predictions", "outcomes")
    counted = {name: shared.hub.counted(name) for name in names}
    held = sorted({instrument for numbers in counted.values() for instrument in numbers})
    each = {one: {name: counted[name].get(one, 0) for name in names} for one in held}
    total = {name: sum(counted[name].values()) for name in names}
    received = total["trades"] + total["duplicates"] + total["late"]
    return _plain({"received": received, **total, "instruments": each})


@router.get("/drift", **told(DriftReport, "Drift of each feature of each champion", 503))
async def drift(shared: Shared) -> Response:
    """Tell how far features have drifted (PSI); 503 while no champion has rows enough."""
    return _plain(await monitor_reads.drift(shared))


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(422, 429),
    },
)
async def metrics(request: Request) -> Response:
    """Give all metrics in Prometheus' text format."""
    return Response(request.app.state.metrics.text(), media_type=_TEXT)
