"""``POST /predict/...`` of the reference systems: what a champion says of features that the caller gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import Counter, Histogram

from tapeline import wire
from tapeline.api import asked
from tapeline.api.answers import body, told
from tapeline.api.asked import Ask, inputs_of
from tapeline.api.champions import Champions
from tapeline.api.context import Context
from tapeline.api.metrics import Metrics
from tapeline.api.params import known_parameters
from tapeline.api.problems import NotReady
from tapeline.api.said import Anomaly, Direction, Question, Regime, questions
from tapeline.clock import format_duration, format_time
from tapeline.errors import TapelineError
from tapeline.learning.artifact import Artifact
from tapeline.models.anomaly import rows_needed
from tapeline.predict import Predictor
from tapeline.serving import newest_said

router = APIRouter(prefix="/predict", tags=["reference"], dependencies=[Depends(known_parameters)])
Said = tuple[list[float], int]
"""What a model says of a row, one number or one of each class, and of which instant."""


@router.post("/direction", **told(Direction, "The direction", 404, 413, 503), openapi_extra=body(Ask))
async def direction(request: Request) -> Response:
    """Say where the price goes: -1 down, 0 neutral, 1 up."""
    return await _answer(request, "direction")


@router.post("/regime", **told(Regime, "The regime", 404, 413, 503), openapi_extra=body(Ask))
async def regime(request: Request) -> Response:
    """Say in which regime of volatility the market is."""
    return await _answer(request, "regime")


@router.post("/anomaly", **told(Anomaly, "How odd the row is", 404, 413, 503), openapi_extra=body(Ask))
async def anomaly(request: Request) -> Response:
    """Say how odd a row is."""
    return await _answer(request, "anomaly")


async def _answer(request: Request, route: str) -> Response:
    inference: Inference = request.app.state.inference
    return Response(await inference.answer(route, await request.body()), media_type="application/json")


@dataclass(frozen=True, slots=True)
class _Known:
    """What is the same in every answer of a model: its fields that tell of it, and what counts them."""

    told: dict[str, Any]
    answered: Counter
    latency: Histogram


class Inference:
    """Answer with what champions say, and count it.

    Args:
        shared: the way to the store.
        champions: who answers.
        metrics: what is counted.
    """

    def __init__(self, shared: Context, champions: Champions, metrics: Metrics) -> None:
        self._shared = shared
        self._champions = champions
        self._metrics = metrics
        self._questions = questions(1 - shared.settings.anomaly_rate)
        self._models: WeakKeyDictionary[Predictor, _Known] = WeakKeyDictionary()

    @property
    def routes(self) -> dict[str, Callable[[bytes], bytes | None]]:
        """Return what answers at once, by path."""
        return {f"/predict/{name}": partial(self.at_once, name) for name in self._questions}

    def at_once(self, route: str, raw: bytes) -> bytes | None:
        """Answer a body without waiting for anything; None where the database is to be asked first.

        Raises:
            TapelineError: it cannot be answered.
        """
        begun, question = time.perf_counter(), self._questions[route]
        with _Refusals(self._metrics) as refusals:
            ask = asked.read(raw)
            if ask.features is None:
                return None
            predictor = self._champions.at_once(ask.symbol, question.targets, ask.timeframe, ask.horizon)
            if predictor is None:
                return None
            refusals.model = predictor
            return self._told(question, ask, predictor, self._asked_now(ask, predictor), begun)

    async def answer(self, route: str, raw: bytes) -> bytes:
        """Answer a body.

        Raises:
            TapelineError: it cannot be answered.
        """
        begun, question = time.perf_counter(), self._questions[route]
        with _Refusals(self._metrics) as refusals:
            ask = asked.read(raw)
            predictor = await self._champions.of(ask.symbol, question.targets, ask.timeframe, ask.horizon)
            refusals.model = predictor
            newest = ask.features is None
            said = await self._last(predictor) if newest else self._asked_now(ask, predictor)
            return self._told(question, ask, predictor, said, begun)

    def _asked_now(self, ask: Ask, predictor: Predictor) -> Said:
        """Return what a model says of the features given."""
        self._refuse_unripe(predictor)
        rows, as_of = inputs_of(ask, predictor, self._shared.clock.now())
        said = predictor.says(rows, as_of=as_of, skip=len(rows) - 1)[predictor.artifact.target]
        return _listed(said[-1].tolist()), int(as_of[-1])

    async def _last(self, predictor: Predictor) -> Said:
        """Return what a model said last.

        Raises:
            NotReady: it has said nothing yet.
        """
        self._refuse_unripe(predictor)
        found = await self._shared.read(lambda reader: newest_said(reader, predictor.artifact))
        if found is None:
            raise self._silent(predictor.artifact)
        return _listed(found[0][0]), found[1]

    def _silent(self, artifact: Artifact) -> NotReady:
        """Return why a model has said nothing: nobody runs, too few candles in a row, or none has closed since."""
        followed = self._shared.followed()
        rows = followed.get(artifact.instrument, {}).get(artifact.timeframe, {})
        lacks = rows.get("needed", 0) - rows.get("have", 0)
        if artifact.instrument not in followed:
            waiting, step = f"nothing follows {artifact.instrument} here", "give features, or start tapeline up with it"
        elif lacks > 0:
            waiting, step = f"{lacks} more {artifact.timeframe} candles in a row", "ask again then, or give features"
        else:
            waiting, step = f"the next closed {artifact.timeframe} candle", "ask again then, or give features"
        state = {"ready": False, "model": artifact.name, "said": 0, "waiting": waiting, "warmup": rows}
        return NotReady(f"model {artifact.name}", f"has said nothing yet: {waiting}", state=state, next_step=step)

    def _refuse_unripe(self, predictor: Predictor) -> None:
        """Refuse to flag where the rows that a row is compared with are too few to tell the share asked for."""
        compared = predictor.compared
        if compared is None:
            return
        needed = rows_needed(self._shared.settings.anomaly_rate)
        if compared < needed:
            name = predictor.artifact.name
            state = {"ready": False, "model": name, "rows_compared": compared, "rows_needed": needed}
            step = "train it on more rows, or ask for a larger anomaly_rate"
            raise NotReady(f"model {name}", "has too few rows to be compared with", state=state, next_step=step)

    def _told(self, question: Question, ask: Ask, predictor: Predictor, said: Said, begun: float) -> bytes:
        """Return the answer, and count it."""
        numbers, as_of = said
        if not all(map(isfinite, numbers)):
            name = predictor.artifact.name
            state, step = {"ready": False, "model": name}, "give other features"
            raise NotReady(f"model {name}", "has no answer to this row", state=state, next_step=step)
        known = self._known(predictor)
        taken = time.perf_counter() - begun
        now = {"symbol": ask.symbol, "as_of": format_time(as_of), "latency_ms": round(taken * 1e3, 3)}
        document = question.document(numbers, known.told | now)
        known.answered.inc()
        known.latency.observe(taken)
        if isinstance(document, Anomaly) and document.is_anomaly:
            self._metrics.anomalies.inc()
        return wire.encode(document)

    def _known(self, predictor: Predictor) -> _Known:
        found = self._models.get(predictor)
        if found is None:
            artifact = predictor.artifact
            told_of = {
                "instrument": artifact.instrument,
                "timeframe": artifact.timeframe,
                "horizon": format_duration(artifact.horizon),
                "target": artifact.target,
                "model": artifact.model,
                "model_version": predictor.version,
                "feature_version": artifact.feature_version,
            }
            counters = (self._metrics.requests.labels(artifact.name, "ok"), self._metrics.latency.labels(artifact.name))
            found = self._models[predictor] = _Known(told_of, *counters)
        return found


class _Refusals:
    """Count what is not answered: a context."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.model: Predictor | None = None

    def __enter__(self) -> _Refusals:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TapelineError):
            name = self.model.artifact.name if self.model else "none"
            self._metrics.requests.labels(name, "not_ready" if error.retryable else "refused").inc()


def _listed(said: float | list[float]) -> list[float]:
    return said if isinstance(said, list) else [said]
