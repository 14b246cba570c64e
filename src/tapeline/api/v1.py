"""The routes under /v1 that read what is stored."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from tapeline import wire
from tapeline.api import gap_reads, model_reads, monitor_reads, patterns, reads
from tapeline.api.answers import answer, packed, told
from tapeline.api.candle_pages import Asked, CandlePages
from tapeline.api.context import Context, context
from tapeline.api.params import (
    MOST_ROWS,
    Id,
    InstrumentName,
    ModelName,
    OptionalInstrument,
    Span,
    Time,
    TimeframeName,
    known_parameters,
    spanned,
)
from tapeline.api.status import status_of
from tapeline.documents import Anomaly, DeadLetter, DriftReport, Instrument, LateTrade, LiveError, Model, Page, Quality
from tapeline.types import Timeframe

router = APIRouter(prefix="/v1", tags=["v1"], dependencies=[Depends(known_parameters)])

Shared = Annotated[Context, Depends(context)]
Spanned = Annotated[Span, Depends(spanned)]
FamilyName = Annotated[str | None, Query(pattern=patterns.FAMILY, max_length=64, description="Such as ridge.")]
AnsweredTarget = Annotated[
    Literal["direction", "direction3", "barrier", "volatility", "regime", "trend", "anomaly"],
    Query(description="What was asked."),
]


@router.get("/instruments", **told(Page[Instrument], "What is stored, by instrument", 503))
async def instruments(request: Request, shared: Shared) -> Response:
    """List what is stored, its span of time, and whether it is whole."""
    return await answer(request, lambda reader: reads.instruments(reader, shared.settings))


@router.get("/candles", **told(Page[wire.Candle], "Candles in order of open_time", 404, 503))
async def candles(
    request: Request,
    shared: Shared,
    instrument: InstrumentName,
    span: Spanned,
    timeframe: TimeframeName = "1m",
    include_running: Annotated[bool, Query(description="Add the candle that is not closed yet.")] = False,
) -> Response:
    """Give candles whose open_time is in [start, end), of any timeframe."""
    running = shared.hub.running(instrument, timeframe) if include_running else []
    if not running:
        pages: CandlePages = request.app.state.candle_pages
        return await pages.answer(request, Asked.of(instrument, timeframe, span))
    return await answer(
        request, lambda reader: reads.candles(reader, shared.settings, instrument, timeframe, span, running)
    )


@router.get("/trades", **told(Page[wire.Trade], "Trades in order of ts_event", 404, 503))
async def trades(request: Request, instrument: InstrumentName, span: Spanned) -> Response:
    """Give trades whose ts_event is in [start, end)."""
    return await answer(request, lambda reader: reads.trades(reader, instrument, span))


@router.get("/features", **told(Page[wire.Features], "Feature rows in order of as_of", 404, 503))
async def features(
    request: Request,
    shared: Shared,
    instrument: InstrumentName,
    span: Spanned,
    timeframe: TimeframeName = "1m",
    feature_set: Annotated[
        str, Query(alias="set", pattern=patterns.SET, max_length=64, description="A feature set's name.")
    ] = "technical",
) -> Response:
    """Give the features of candles, as_of in [start, end)."""
    return await answer(
        request, lambda reader: reads.features(reader, shared.settings, instrument, timeframe, feature_set, span)
    )


@router.get("/predictions", **told(Page[wire.Prediction], "Predictions in order of as_of, with outcomes", 404, 503))
async def predictions(
    request: Request,
    span: Spanned,
    instrument: OptionalInstrument = None,
    timeframe: TimeframeName | None = None,
    model: FamilyName = None,
) -> Response:
    """Give predictions whose as_of is in [start, end), with what came of them."""
    chosen = {"timeframe": _grid(timeframe), "model": model}
    return await answer(request, lambda reader: model_reads.predictions(reader, span, instrument, **chosen))


@router.get("/predictions/{id}", **told(wire.Prediction, "The prediction", 404, 503))
async def prediction(request: Request, id: Id) -> Response:
    """Give one prediction."""
    return await answer(request, lambda reader: model_reads.prediction(reader, id))


@router.get("/predictions/{id}/explain", **told(dict[str, Any], "What the model saw, and why it said it", 404, 503))
async def explain(request: Request, shared: Shared, id: Id) -> Response:
    """Recompute one prediction from the tape, and tell why."""
    return await answer(request, lambda reader: model_reads.explanation(reader, shared.settings, id))


@router.get("/answers", **told(Page[wire.Answer], "Answers in order of as_of", 404, 503))
async def answers(
    request: Request,
    span: Spanned,
    instrument: OptionalInstrument = None,
    timeframe: TimeframeName | None = None,
    target: AnsweredTarget | None = None,
    model: FamilyName = None,
) -> Response:
    """Give what models of other targets than return and direction said, as_of in [start, end)."""
    chosen = {"timeframe": _grid(timeframe), "target": target, "model": model}
    return await answer(request, lambda reader: model_reads.answers(reader, span, instrument, **chosen))


@router.get("/answers/{id}", **told(wire.Answer, "The answer", 404, 503))
async def one_answer(request: Request, id: Id) -> Response:
    """Give one answer."""
    return await answer(request, lambda reader: model_reads.answer(reader, id))


@router.get("/answers/{id}/explain", **told(dict[str, Any], "What the model saw, and why it said it", 404, 503))
async def explain_answer(request: Request, shared: Shared, id: Id) -> Response:
    """Recompute one answer from the tape, and tell why."""
    return await answer(request, lambda reader: model_reads.explanation(reader, shared.settings, id))


@router.get("/models", **told(Page[Model], "Models by name, the newest first", 404, 503))
async def models(request: Request, instrument: OptionalInstrument = None) -> Response:
    """List the registered models."""
    return await answer(request, lambda reader: model_reads.models(reader, None, instrument))


@router.get("/models/{name:path}", **told(Page[Model], "All versions of the name, the newest first", 404, 503))
async def model(request: Request, name: ModelName) -> Response:
    """Give the versions of one model."""
    return await answer(request, lambda reader: model_reads.models(reader, name))


@router.get("/gaps", **told(Page[wire.Gap], "Gaps, healed ones too", 404, 503))
async def gaps(request: Request, span: Spanned, instrument: OptionalInstrument = None) -> Response:
    """List the trade ids that are or were missing, by id; of a span of time those that are known to touch it."""
    return await answer(request, lambda reader: gap_reads.gaps(reader, instrument, span))


@router.get("/late", **told(Page[LateTrade], "Late trades in order of ts_event", 404, 503))
async def late(request: Request, span: Spanned, instrument: OptionalInstrument = None) -> Response:
    """List trades that came after their candle had closed."""
    return await answer(request, lambda reader: reads.late(reader, instrument, span))


@router.get("/dead-letters", **told(Page[DeadLetter], "Bad input in order of ts_init", 404, 503))
async def dead_letters(request: Request, span: Spanned, instrument: OptionalInstrument = None) -> Response:
    """List bad input, raw, with its reason."""
    return await answer(request, lambda reader: reads.dead_letters(reader, instrument, span))


@router.get("/quality", **told(Page[Quality], "How whole each instrument is, day by day", 404, 503))
async def quality(
    request: Request, shared: Shared, instrument: OptionalInstrument = None, timeframe: TimeframeName = "1m"
) -> Response:
    """Tell how whole the data is: days, gaps, and what was dropped."""
    dropped = shared.hub.counted("duplicates")
    return await answer(request, lambda reader: reads.quality(reader, instrument, timeframe, dropped))


@router.get("/errors", **told(Page[LiveError], "Live error of each model version against the baseline", 404, 503))
async def errors(
    request: Request,
    instrument: OptionalInstrument = None,
    start: Time = None,
    end: Time = None,
    by: Annotated[
        Literal["version", "day", "hour", "age"], Query(description="Also apart by day, hour or age.")
    ] = "version",
) -> Response:
    """Tell how well models did on what came, against saying that the price stays."""
    span = Span(start, end)
    return await answer(
        request, partial(model_reads.errors, instrument=instrument, start=span.start, end=span.end, by=by)
    )


@router.get("/drift", **told(DriftReport, "Drift of each feature of each champion", 503))
async def drift(request: Request, shared: Shared) -> Response:
    """Tell how far features have drifted from training; 503 while no champion has rows enough."""
    return packed(request, await monitor_reads.drift(shared))


@router.get("/anomalies", **told(Page[Anomaly], "Anomalies among the newest candles, in order of time", 404, 503))
async def anomalies(
    request: Request,
    shared: Shared,
    instrument: InstrumentName,
    timeframe: TimeframeName = "1m",
    start: Time = None,
    end: Time = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="How many candles to judge, the newest.")] = 1440,
) -> Response:
    """Name the candles whose price moved, or whose volume grew, as hardly any before; close_time in [start, end)."""
    span = Span(start, end, limit)
    return await answer(
        request, lambda reader: monitor_reads.anomaly_page(reader, shared.settings, instrument, timeframe, span)
    )


@router.get("/status", **told(dict[str, Any], "How the process is", 503))
async def status(request: Request, shared: Shared) -> Response:
    """Tell how the process is: venues, instruments, latency, queue, memory, health."""
    return packed(request, await status_of(shared))


def _grid(timeframe: str | None) -> str | None:
    """Return a timeframe as it is stored: ``60s`` is ``1m``."""
    return None if timeframe is None else str(Timeframe.parse(timeframe))
