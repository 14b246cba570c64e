"""What the routes of predictions and models read."""

from __future__ import annotations

from tapeline import query, wire
from tapeline.api.params import Span
from tapeline.api.reads import page_of
from tapeline.clock import format_duration, format_time
from tapeline.config import Settings
from tapeline.documents import Interval, LiveError, Model, Page
from tapeline.errors import UnknownName
from tapeline.explain import explain
from tapeline.learning.resample import Interval as Bounds
from tapeline.outcomes import LiveError as Judged
from tapeline.outcomes import joined, live_errors, parted
from tapeline.registry import Entry, Registry
from tapeline.stores import rows
from tapeline.stores._duckdb_reader import Reader
from tapeline.types import Answer, Prediction

_MOST_JUDGED = 20_000


def predictions(reader: Reader, span: Span, instrument: str | None, **chosen: str | None) -> Page[wire.Prediction]:
    """Return predictions with their outcomes; ``chosen`` are texts that their columns must hold, where not None."""
    table, next_place = page_of(reader, "predictions", instrument, span, **_given(chosen))
    return Page(_with_outcomes(reader, rows.to_predictions(table)), next_place)


def _given(chosen: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in chosen.items() if text is not None}


def prediction(reader: Reader, prediction_id: str) -> wire.Prediction:
    """Return one prediction with its outcome.

    Raises:
        UnknownName: none has that id.
    """
    return _with_outcomes(reader, [_found(reader, prediction_id)])[0]


def _found(reader: Reader, prediction_id: str) -> Prediction:
    found = rows.to_predictions(reader.read("predictions", id=prediction_id))
    if not found:
        step = "list them with GET /v1/predictions"
        where = f"prediction {prediction_id}"
        raise UnknownName(where, "is not stored", expected="an id", was=prediction_id, next_step=step)
    return found[0]


def _with_outcomes(reader: Reader, made: list[Prediction]) -> list[wire.Prediction]:
    told = []
    for one, came in zip(made, joined(reader, made), strict=True):
        known = None if came is None else wire.outcome(one, came.known_at, came.close, complete=came.complete)
        told.append(wire.prediction(one, known))
    return told


def explanation(reader: Reader, settings: Settings, prediction_id: str) -> dict[str, object]:
    """Recompute a prediction from the tape, and return what the model saw and why it said it."""
    told = explain(reader, settings, prediction_id, whole=False)
    candle = {name: format_time(value) if name.endswith("_time") else value for name, value in told["candle"].items()}
    stored = told["prediction"]
    said = wire.answer(Answer(**stored)) if "target" in stored else _with_outcomes(reader, [Prediction(**stored)])[0]
    return told | {"prediction": said, "candle": candle}


def answers(reader: Reader, span: Span, instrument: str | None, **chosen: str | None) -> Page[wire.Answer]:
    """Return what models of other targets said; ``chosen`` as for `predictions`."""
    table, next_place = page_of(reader, "answers", instrument, span, **_given(chosen))
    return Page([wire.answer(one) for one in rows.to_answers(table)], next_place)


def answer(reader: Reader, answer_id: str) -> wire.Answer:
    """Return one answer.

    Raises:
        UnknownName: none has that id.
    """
    found = rows.to_answers(reader.read("answers", id=answer_id))
    if not found:
        step = "list them with GET /v1/answers"
        where = f"answer {answer_id}"
        raise UnknownName(where, "is not stored", expected="an id", was=answer_id, next_step=step)
    return wire.answer(found[0])


def models(reader: Reader, name: str | None = None, instrument: str | None = None) -> Page[Model]:
    """Return the registered models, by name and then the newest first.

    Raises:
        UnknownName: no model has that name.
    """
    found = [entry for entry in Registry(reader).entries(instrument) if name in (None, entry.name)]
    if name is not None and not found:
        step = "list them with GET /v1/models"
        raise UnknownName(f"model {name}", "is not registered", expected="a name of the list", was=name, next_step=step)
    if instrument is not None and not found:
        query.known(reader, instrument)
    return Page([_model(entry) for entry in found])


def _model(entry: Entry) -> Model:
    return Model(
        entry.name,
        entry.version,
        entry.instrument,
        entry.timeframe,
        format_duration(entry.horizon),
        entry.target,
        entry.model,
        entry.status,
        format_time(entry.created_at),
        None if entry.promoted_at is None else format_time(entry.promoted_at),
        entry.feature_set,
        entry.feature_version,
        dict(entry.record),
    )


def errors(
    reader: Reader, instrument: str | None, start: int | None, end: int | None, by: str = "version"
) -> Page[LiveError]:
    """Return how well each model version did on what came; of the newest predictions, where they are very many."""
    if instrument is not None:
        query.known(reader, instrument)
    found = reader.page("predictions", _MOST_JUDGED, instrument=instrument, start=start, end=end)
    note = f"of the newest {_MOST_JUDGED} predictions" if found[1] else ""
    return Page(
        [_error(one) for one in live_errors(reader, rows.to_predictions(found[0]), parted(reader, by))], None, note
    )


def _error(one: Judged) -> LiveError:
    return LiveError(
        one.instrument,
        one.timeframe,
        format_duration(one.horizon),
        one.model,
        one.model_version,
        one.predictions,
        one.excluded,
        format_time(one.first),
        format_time(one.last),
        _interval(one.error),
        _interval(one.baseline),
        _interval(one.gain),
        None if one.hit_rate is None else _interval(one.hit_rate),
        one.inside,
        one.edge,
        "beats the baseline" if one.edge else "no edge found",
        one.late,
        None if one.brier is None else _interval(one.brier),
        one.calibration,
        one.part,
    )


def _interval(bounds: Bounds) -> Interval:
    return Interval(bounds.value, bounds.low, bounds.high)
