"""Explaining predictions: each can be recomputed from the tape to the bit, and says what it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from tapeline.answering import CANNOT_BE_HAD
from tapeline.clock import format_time
from tapeline.compare import Finding, candle_differences, same_bits
from tapeline.config import Settings
from tapeline.errors import NotEnoughData, UnknownName
from tapeline.learning.artifact import model_name
from tapeline.model_rows import model_rows, stored_rows
from tapeline.serving import Champion
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import Answer, GapStatus, Prediction

Said = Prediction | Answer
KEPT_IN = ("predictions", "answers")
"""The kinds that hold what models said."""
_WHOLE = "candles, features and prediction from the whole tape"
_ENDS_LOST = "made before a gap was healed: the interval followed other candles than there are now"
_ROWS_LOST = "made before trades of its past came: the candles it rests on were folded anew since"
_PART = "the candle from its trades, features and prediction from the stored candles up to it"


class Recomputed(NamedTuple):
    """What came of recomputing what one model said: differences, how much was proven and not, and what is missing."""

    findings: list[Finding]
    proven: int
    missing: str
    unproven: int


def recompute(store: Store, settings: Settings, instrument: str | None = None) -> Iterator[Recomputed]:
    """Recompute stored predictions from the tape; yield what came of it per model."""
    stored: list[Said] = [
        *rows.to_predictions(store.read("predictions", instrument=instrument)),
        *rows.to_answers(store.read("answers", instrument=instrument)),
    ]

    def task(said: Said) -> tuple[str, str, int, str, str, str]:
        return said.instrument, said.timeframe, said.horizon, _target(said), said.model_version, said.model

    for _, group in groupby(sorted(stored, key=task), task):
        yield _recomputed(store, settings, list(group))


def _target(said: Said) -> str:
    return said.target if isinstance(said, Answer) else "return"


def _name(said: Said) -> str:
    """Return the name of the model that said it."""
    return model_name(said.instrument, said.timeframe, said.horizon, _target(said))


def _recomputed(store: Store, settings: Settings, stored: list[Said]) -> Recomputed:
    first = stored[0]
    name = _name(first)
    try:
        champion = Champion.of(store, name, first.model_version)
        data = model_rows(store, settings, first.instrument, first.timeframe, champion.features)
    except CANNOT_BE_HAD as error:
        return Recomputed([], 0, f"{len(stored)} predictions of {name}@{first.model_version}: {error}", len(stored))
    said = {one.as_of: one for one in champion.predict(first.instrument, data.rows, data.candles["close"])}
    found = [list(_differences(one, said.get(one.as_of))) for one in stored]
    looks_back = champion.predictor.window > 1
    unlike: list[Said] = [
        one for one, told in zip(stored, found, strict=True) if told and (looks_back or _other_row(told))
    ]
    overtaken = _overtaken(store, unlike)
    healed = _healed(store, first.instrument)
    reasons = Counter[str]()
    findings = []
    for one, differences in zip(stored, found, strict=True):
        if differences and one.id in overtaken:
            reasons[_ROWS_LOST] += 1
        elif healed and _only_ends(differences):
            reasons[_ENDS_LOST] += 1
        else:
            findings += differences
    lost = reasons.total()
    told = [f"{count} predictions of {name}@{first.model_version}: {why}" for why, count in reasons.items()]
    return Recomputed(findings, len(stored) - lost, "; ".join(told), lost)


def _overtaken(store: Store, said: Sequence[Said]) -> set[str]:
    """Return the ids of what was said of one instrument before a trade of its past had come that is on the tape now."""
    found: set[str] = set()
    if not said:
        return found
    as_of, made_at = np.array([one.as_of for one in said]), np.array([one.made_at for one in said])
    for table in store.tape(said[0].instrument):
        trades = rows.to_frame(said[0].instrument, table)
        late = trades.take((trades.ts_event < as_of.max()) & (trades.ts_init > made_at.min()))
        for came, of in zip(late.ts_init.tolist(), late.ts_event.tolist(), strict=True):
            found |= {said[at].id for at in np.flatnonzero((of < as_of) & (came > made_at)).tolist()}
    return found


def _healed(store: Store, instrument: str) -> bool:
    """Return whether candles may have changed since predictions were made: a gap may have been filled too late."""
    return GapStatus.HEALED in store.read("gaps", instrument=instrument).column("status").to_pylist()


def _only_ends(differences: Sequence[Finding]) -> bool:
    """Return whether nothing differs but the interval, which depends on all outcomes since the training."""
    return bool(differences) and {finding.field for finding in differences} <= {"low", "high"}


def _other_row(differences: Sequence[Finding]) -> bool:
    """Return whether the model saw another row then."""
    return bool({finding.field for finding in differences} & {"row", "row_hash"})


def _differences(stored: Said, again: Said | None) -> Iterator[Finding]:
    table = "answers" if isinstance(stored, Answer) else "predictions"
    if again is None:
        yield Finding(table, stored.id, "row", "a prediction", None)
        return
    theirs = asdict(again)
    for name, value in asdict(stored).items():
        if name == "made_at":
            continue
        other = theirs[name]
        real = isinstance(value, float | tuple)
        same = bool(same_bits(np.atleast_1d(value), np.atleast_1d(other)).all()) if real else value == other
        if not same:
            yield Finding(table, stored.id, name, value, other)


def explain(store: Store, settings: Settings, prediction_id: str, *, whole: bool = True) -> dict[str, Any]:
    """Recompute one stored prediction from the tape, and say what the model saw and why it said it.

    Args:
        store: keeps it, and the tape.
        settings: how the tape is folded.
        prediction_id: its id, or a unique beginning of it.
        whole: whether the whole tape is folded; without, only its candle from the trades of it, and the features from
            the stored candles before: the same bits, where `verify` finds none that differ.

    Raises:
        UnknownName: no prediction has that id (or a unique beginning of it), or its model is gone.
    """
    stored = _by_id(store, prediction_id)
    champion = Champion.of(store, _name(stored), stored.model_version)
    task = (stored.instrument, stored.timeframe, champion.features)
    data = model_rows(store, settings, *task) if whole else stored_rows(store, *task, stored.as_of)
    place = np.flatnonzero(data.rows.as_of == stored.as_of)
    if not len(place):
        raise NotEnoughData(
            f"prediction {stored.id}",
            "has no candle on the tape any more",
            expected=format_time(stored.as_of),
            was="none",
        )
    row = int(place[0])
    seen = slice(max(0, row + 1 - champion.predictor.window), row + 1)
    differences = list(_differences(stored, champion.said_of(data.rows, data.candles["close"], row)))
    lost = _lost(store, stored, differences)
    if not whole and data.source == "trades":
        differences += candle_differences(store, stored.instrument, stored.timeframe, data.candles[: row + 1])
    return {
        "prediction": asdict(stored),
        "matches": not differences,
        "differences": [asdict(finding) for finding in differences],
        "recomputed": "; ".join(filter(None, [_WHOLE if whole else _PART, lost])),
        "candle": {key: data.candles[key][row].item() for key in data.candles.dtype.names or ()},
        "features": dict(zip(data.features.names, data.rows.values[row].tolist(), strict=True)),
        "explanation": champion.predictor.explain(data.inputs[seen], as_of=data.rows.as_of[seen]),
    }


def _lost(store: Store, stored: Said, differences: Sequence[Finding]) -> str:
    """Return why something said differs from what is recomputed though nothing is wrong, or an empty text."""
    if differences and _overtaken(store, [stored]):
        return _ROWS_LOST
    return _ENDS_LOST if _only_ends(differences) and _healed(store, stored.instrument) else ""


def _by_id(store: Store, prediction_id: str) -> Said:
    found = _with_id(store, prediction_id)
    if not found and len(prediction_id) >= 6:
        known = [one for kind in KEPT_IN for one in store.read(kind).column("id").to_pylist()]
        ids = [one for one in known if one.startswith(prediction_id)]
        found = _with_id(store, ids[0]) if len(ids) == 1 else []
    if not found:
        step = "list them with: tapeline predict INSTRUMENT"
        raise UnknownName(
            f"prediction {prediction_id}", "is not stored", expected="an id", was=prediction_id, next_step=step
        )
    return found[0]


def _with_id(store: Store, one: str) -> list[Said]:
    """Return the prediction, or the answer to another target, with an id; both where two had one id."""
    return [*rows.to_predictions(store.read("predictions", id=one)), *rows.to_answers(store.read("answers", id=one))]
