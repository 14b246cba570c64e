"""What can be asked of ``/v1``: a function for each route, whose parameters are those of the route.

>>> question = candles("BTC-USD.SIM", timeframe="1m", limit=10)
>>> question.path, question.asked["limit"]
('/v1/candles', 10)

`tapeline.client` asks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from tapeline.documents import (
    Anomaly,
    DeadLetter,
    Done,
    DriftReport,
    Instrument,
    LateTrade,
    LiveError,
    Model,
    Page,
    Quality,
    SqlAnswer,
    TrainingRun,
)
from tapeline.wire import Answer, Candle, Features, Gap, Prediction, Trade

T = TypeVar("T")
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What to ask, and what the answer is read as."""

    path: str
    kind: Any
    asked: Mapping[str, Any]
    body: Mapping[str, Any] | None = None
    method: str = "GET"


def _get(path: str, kind: Any, **asked: Any) -> Question[Any]:
    return Question(f"/v1/{path}", kind, {name: value for name, value in asked.items() if value is not None})


def _post(path: str, kind: Any, **body: Any) -> Question[Any]:
    return Question(f"/v1/{path}", kind, {}, body or None, "POST")


def instruments() -> Question[Page[Instrument]]:
    """Ask what is stored."""
    return _get("instruments", Page[Instrument])


def candles(
    instrument: str,
    *,
    timeframe: str = "1m",
    start: str | None = None,
    end: str | None = None,
    limit: int = 1000,
    cursor: str | None = None,
    include_running: bool = False,
) -> Question[Page[Candle]]:
    """Ask for candles whose open_time is in [start, end), RFC 3339; the last ``limit`` of them."""
    span = {"start": start, "end": end, "limit": limit, "cursor": cursor}
    running = "true" if include_running else None
    return _get("candles", Page[Candle], instrument=instrument, timeframe=timeframe, include_running=running, **span)


def trades(
    instrument: str, *, start: str | None = None, end: str | None = None, limit: int = 1000, cursor: str | None = None
) -> Question[Page[Trade]]:
    """Ask for trades whose ts_event is in [start, end)."""
    return _get("trades", Page[Trade], instrument=instrument, start=start, end=end, limit=limit, cursor=cursor)


def features(
    instrument: str,
    *,
    timeframe: str = "1m",
    feature_set: str = "technical",
    start: str | None = None,
    end: str | None = None,
    limit: int = 1000,
    cursor: str | None = None,
) -> Question[Page[Features]]:
    """Ask for the features of candles, as_of in [start, end)."""
    span = {"start": start, "end": end, "limit": limit, "cursor": cursor}
    return _get("features", Page[Features], instrument=instrument, timeframe=timeframe, set=feature_set, **span)


def predictions(
    *,
    instrument: str | None = None,
    timeframe: str | None = None,
    model: str | None = None,
    start: str | None = None,
    end: str | None = None,
    limit: int = 1000,
    cursor: str | None = None,
) -> Question[Page[Prediction]]:
    """Ask for predictions whose as_of is in [start, end), with outcomes."""
    about = {"instrument": instrument, "timeframe": timeframe, "model": model}
    return _get("predictions", Page[Prediction], **about, start=start, end=end, limit=limit, cursor=cursor)


def prediction(id: str) -> Question[Prediction]:
    """Ask for one prediction."""
    return _get(f"predictions/{quote(id)}", Prediction)


def explain(id: str) -> Question[Document]:
    """Ask to recompute a prediction, and why it was made."""
    return _get(f"predictions/{quote(id)}/explain", Document)


def answers(
    *,
    instrument: str | None = None,
    timeframe: str | None = None,
    target: str | None = None,
    model: str | None = None,
    start: str | None = None,
    end: str | None = None,
    limit: int = 1000,
    cursor: str | None = None,
) -> Question[Page[Answer]]:
    """Ask for what models of other targets said, as_of in [start, end)."""
    about = {"instrument": instrument, "timeframe": timeframe, "target": target, "model": model}
    return _get("answers", Page[Answer], **about, start=start, end=end, limit=limit, cursor=cursor)


def answer(id: str) -> Question[Answer]:
    """Ask for one answer of a model of another target."""
    return _get(f"answers/{quote(id)}", Answer)


def explain_answer(id: str) -> Question[Document]:
    """Ask to recompute an answer, and why it was given."""
    return _get(f"answers/{quote(id)}/explain", Document)


def models(*, instrument: str | None = None) -> Question[Page[Model]]:
    """Ask for the registered models."""
    return _get("models", Page[Model], instrument=instrument)


def model(name: str) -> Question[Page[Model]]:
    """Ask for the versions of one model."""
    return _get(f"models/{quote(name)}", Page[Model])


def duels(name: str) -> Question[Page[Document]]:
    """Ask how the versions of a model compare with its champion, on what both foretold."""
    return _get("duels", Page[Document], name=name)


def runs(*, instrument: str | None = None, limit: int = 100) -> Question[Page[TrainingRun]]:
    """Ask for the training runs, the newest first."""
    return _get("runs", Page[TrainingRun], instrument=instrument, limit=limit)


def run(id: str) -> Question[Document]:
    """Ask what a training run found, and for the names of its files."""
    return _get(f"runs/{quote(id)}", Document)


def promote(name: str, version: str) -> Question[Done]:
    """Ask to let a version of a model answer (needs the token)."""
    return _post(f"models/{quote(name)}/promote", Done, version=version)


def rollback(name: str) -> Question[Done]:
    """Ask to let the champion before answer again (needs the token)."""
    return _post(f"models/{quote(name)}/rollback", Done)


def gaps(
    *,
    instrument: str | None = None,
    start: str | None = None,
    end: str | None = None,
    limit: int = 1000,
    cursor: str | None = None,
) -> Question[Page[Gap]]:
    """Ask for missing trade ids; with a span of time, for those known to touch it."""
    return _get("gaps", Page[Gap], instrument=instrument, start=start, end=end, limit=limit, cursor=cursor)


def heal(instrument: str) -> Question[Done]:
    """Ask to fetch what is missing (needs the token)."""
    return _post(f"gaps/{quote(instrument)}/heal", Done)


def late(
    *,
    instrument: str | None = None,
    start: str | None = None,
    end: str | None = None,
    limit: int = 1000,
    cursor: str | None = None,
) -> Question[Page[LateTrade]]:
    """Ask for trades that came after their candle had closed."""
    return _get("late", Page[LateTrade], instrument=instrument, start=start, end=end, limit=limit, cursor=cursor)


def dead_letters(
    *,
    instrument: str | None = None,
    start: str | None = None,
    end: str | None = None,
    limit: int = 1000,
    cursor: str | None = None,
) -> Question[Page[DeadLetter]]:
    """Ask for bad input."""
    span = {"start": start, "end": end, "limit": limit, "cursor": cursor}
    return _get("dead-letters", Page[DeadLetter], instrument=instrument, **span)


def quality(*, instrument: str | None = None, timeframe: str = "1m") -> Question[Page[Quality]]:
    """Ask how whole the data is."""
    return _get("quality", Page[Quality], instrument=instrument, timeframe=timeframe)


def errors(
    *, instrument: str | None = None, start: str | None = None, end: str | None = None, by: str = "version"
) -> Question[Page[LiveError]]:
    """Ask how well models did, against the baseline; apart by version, or also by day, hour or age."""
    return _get("errors", Page[LiveError], instrument=instrument, start=start, end=end, by=by)


def drift() -> Question[DriftReport]:
    """Ask how far features have drifted."""
    return _get("drift", DriftReport)


def anomalies(
    instrument: str, *, timeframe: str = "1m", start: str | None = None, end: str | None = None, limit: int = 1440
) -> Question[Page[Anomaly]]:
    """Ask which of the last ``limit`` candles with close_time in [start, end) are anomalies."""
    span = {"start": start, "end": end, "limit": limit}
    return _get("anomalies", Page[Anomaly], instrument=instrument, timeframe=timeframe, **span)


def status() -> Question[Document]:
    """Ask how the process is."""
    return _get("status", Document)


def sql(query: str, *, limit: int = 1000) -> Question[SqlAnswer]:
    """Ask one SELECT (where the settings allow it)."""
    return _post("sql", SqlAnswer, query=query, limit=limit)
