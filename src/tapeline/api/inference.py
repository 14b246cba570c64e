"""``POST /predict/...`` of the reference systems: what a champion says of features that the caller gives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, Depends, Request, Response

from tapeline import wire
from tapeline.api.answers import body, told
from tapeline.api.champions import Champions
from tapeline.api.context import Context, context_of
from tapeline.api.metrics import Metrics
from tapeline.api.params import known_parameters
from tapeline.api.problems import NotReady
from tapeline.clock import format_duration, format_time
from tapeline.errors import TapelineError, UsageError
from tapeline.models.anomaly import rows_needed
from tapeline.models.targets import TARGETS
from tapeline.predict import Predictor
from tapeline.serving import newest_said
from tapeline.types import Float, Int, Timeframe

router = APIRouter(prefix="/predict", tags=["reference"], dependencies=[Depends(known_parameters)])
_MS = 1_000_000
Row = list[float]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Features of a symbol: in the order of the model's inputs, or by name; rows of them where it looks back.

    Without features it is what the champion said of the newest candle.
    """

    symbol: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    features: list[float] | dict[str, float] | None = None
    rows_before: list[Row] = []
    timestamp_ms: Annotated[int, msgspec.Meta(ge=0, le=9_223_372_036_854)] | None = None
    feature_version: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    timeframe: Annotated[str, msgspec.Meta(max_length=16)] | None = None
    horizon: Annotated[str, msgspec.Meta(max_length=16)] | None = None


class Said(msgspec.Struct, frozen=True):
    """What every answer tells of the model that answered."""

    symbol: str
    instrument: str
    timeframe: str
    horizon: str
    target: str
    model: str
    model_version: str
    feature_version: str
    as_of: str
    latency_ms: float


class Direction(Said, frozen=True):
    """The likeliest direction: -1, 0 or 1; a model of two classes says nothing of ``neutral``."""

    direction: int
    label: str
    probabilities: dict[str, float]


class Regime(Said, frozen=True):
    """The likeliest regime."""

    regime: int
    label: str
    probabilities: dict[str, float]


class Anomaly(Said, frozen=True):
    """How odd a row is: the share of comparable rows that were less odd; ``threshold`` leaves the share asked for."""

    anomaly_score: float
    is_anomaly: bool
    threshold: float


_ASK = msgspec.json.Decoder(Ask)
_LABELS = {"flat": "neutral"}


@router.post("/direction", **told(Direction, "The direction", 404, 413, 503), openapi_extra=body(Ask))
async def direction(request: Request) -> Response:
    """Say where the price goes: -1 down, 0 neutral, 1 up."""

    def answer(said: Float, base: dict[str, Any]) -> Direction:
        if base["target"] == "direction":
            chances = {"down": 1 - float(said[0]), "up": float(said[0])}
        else:
            names = TARGETS[base["target"]].classes
            chances = dict(zip((_LABELS.get(name, name) for name in names), said[0].tolist(), strict=True))
        label = max(chances, key=lambda name: chances[name])
        return Direction(
            **base, direction={"down": -1, "neutral": 0, "up": 1}[label], label=label, probabilities=chances
        )

    return await _predict(request, ("direction3", "direction"), answer)


@router.post("/regime", **told(Regime, "The regime", 404, 413, 503), openapi_extra=body(Ask))
async def regime(request: Request) -> Response:
    """Say in which regime of volatility the market is."""

    def answer(said: Float, base: dict[str, Any]) -> Regime:
        names = TARGETS["regime"].classes
        chances = dict(zip(names, said[0].tolist(), strict=True))
        label = max(chances, key=lambda name: chances[name])
        return Regime(**base, regime=names.index(label), label=label, probabilities=chances)

    return await _predict(request, ("regime",), answer)


@router.post("/anomaly", **told(Anomaly, "How odd the row is", 404, 413, 503), openapi_extra=body(Ask))
async def anomaly(request: Request) -> Response:
    """Say how odd a row is."""
    threshold = 1 - context_of(request).settings.anomaly_rate

    def answer(said: Float, base: dict[str, Any]) -> Anomaly:
        score = float(said[0])
        odd = score > threshold
        if odd:
            _metrics(request).anomalies.inc()
        return Anomaly(**base, anomaly_score=score, is_anomaly=odd, threshold=threshold)

    return await _predict(request, ("anomaly",), answer)


def _metrics(request: Request) -> Metrics:
    found: Metrics = request.app.state.metrics
    return found


async def _predict(request: Request, targets: Sequence[str], answer: Any) -> Response:
    """Answer with what ``answer`` makes of the model's numbers, and count it."""
    begun = time.perf_counter()
    champions: Champions = request.app.state.champions
    name = "none"
    try:
        ask = _ask(await request.body())
        predictor = await champions.of(ask.symbol, targets, ask.timeframe, ask.horizon)
        name = predictor.artifact.name
        _refuse_unripe(predictor, context_of(request).settings.anomaly_rate)
        said, as_of = await _said(ask, predictor, context_of(request))
        if not np.isfinite(said).all():
            state = {"ready": False, "model": name}
            raise NotReady(f"model {name}", "has no answer to this row", state=state, next_step="give other features")
        taken = time.perf_counter() - begun
        document = answer(said, _base(ask, predictor, as_of, taken))
    except TapelineError as error:
        _metrics(request).requests.labels(name, "not_ready" if error.retryable else "refused").inc()
        raise
    _metrics(request).requests.labels(name, "ok").inc()
    _metrics(request).latency.labels(name).observe(taken)
    return Response(wire.encode(document), media_type="application/json")


async def _said(ask: Ask, predictor: Predictor, shared: Context) -> tuple[Float, int]:
    """Return what a model says (1, or 1 x classes) and of which instant: of the features given, or what it said last.

    Raises:
        NotReady: it has said nothing yet.
    """
    target = predictor.artifact.target
    if ask.features is not None:
        rows, as_of = inputs_of(ask, predictor, shared.clock.now())
        return predictor.says(rows, as_of=as_of, skip=len(rows) - 1)[target][-1:], int(as_of[-1])
    found = await shared.read(lambda reader: newest_said(reader, predictor.artifact))
    if found is None:
        state = {"ready": False, "model": predictor.artifact.name, "said": 0}
        step = "wait for the next closed candle of a running process, or give features"
        raise NotReady(f"model {predictor.artifact.name}", "has said nothing yet", state=state, next_step=step)
    return np.array(found[0]), found[1]


def _refuse_unripe(predictor: Predictor, rate: float) -> None:
    """Refuse to flag where the rows that a row is compared with are too few to tell the share asked for."""
    needed, compared = rows_needed(rate), predictor.compared
    if compared is not None and compared < needed:
        name = predictor.artifact.name
        state = {"ready": False, "model": name, "rows_compared": compared, "rows_needed": needed}
        step = "train it on more rows, or ask for a larger anomaly_rate"
        raise NotReady(f"model {name}", "has too few rows to be compared with", state=state, next_step=step)


def _ask(raw: bytes) -> Ask:
    try:
        return _ASK.decode(raw)
    except msgspec.MsgspecError as error:
        rule = "a JSON object with symbol and features"
        raise UsageError("body", f"cannot be read: {error}", expected=rule, was=raw[:60]) from error


def inputs_of(ask: Ask, predictor: Predictor, now: int) -> tuple[Float, Int]:
    """Return the rows that a model looks at (n x k) and their instants, the one asked about last.

    Raises:
        UsageError: they are not what the model learnt from; the text names number, names and version.
    """
    artifact = predictor.artifact
    where = f"model {artifact.name}"
    if ask.feature_version not in (None, artifact.feature_version):
        step = "give the features of that version"
        raise UsageError(
            where,
            "learnt from other features",
            expected=artifact.feature_version,
            was=ask.feature_version,
            next_step=step,
        )
    names = predictor.columns
    row = _named(where, ask.features, names) if isinstance(ask.features, dict) else ask.features or []
    rows = [*ask.rows_before, row]
    if len(rows) < predictor.window:
        rule = f"{predictor.window - 1} rows_before it"
        raise UsageError(where, "looks back", expected=rule, was=len(ask.rows_before))
    wrong = next((len(one) for one in rows if len(one) != len(names)), None)
    if wrong is not None:
        rule = f"{len(names)} of {artifact.feature_set} {artifact.feature_version}: {', '.join(names)}"
        raise UsageError(where, "has another number of features", expected=rule, was=wrong)
    last = now if ask.timestamp_ms is None else ask.timestamp_ms * _MS
    back = Timeframe.parse(artifact.timeframe).step * np.arange(len(rows) - 1, -1, -1)
    return np.array(rows, np.float64), last - back


def _named(where: str, given: dict[str, float], names: Sequence[str]) -> Row:
    missing = [name for name in names if name not in given]
    unknown = [name for name in given if name not in names]
    if missing or unknown:
        was = f"missing {', '.join(missing) or 'none'}; unknown {', '.join(unknown) or 'none'}"
        raise UsageError(where, "has other features", expected=", ".join(names), was=was)
    return [given[name] for name in names]


def _base(ask: Ask, predictor: Predictor, as_of: int, taken: float) -> dict[str, Any]:
    artifact = predictor.artifact
    return {
        "symbol": ask.symbol,
        "instrument": artifact.instrument,
        "timeframe": artifact.timeframe,
        "horizon": format_duration(artifact.horizon),
        "target": artifact.target,
        "model": artifact.model,
        "model_version": predictor.version,
        "feature_version": artifact.feature_version,
        "as_of": format_time(as_of),
        "latency_ms": round(taken * 1e3, 3),
    }
