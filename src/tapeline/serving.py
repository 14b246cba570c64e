"""Serving: the champions that answer, and the newest predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import takewhile
from typing import Any

import numpy as np

from tapeline.answering import CANNOT_BE_HAD, LoadModel
from tapeline.answering import Predictor as Answers
from tapeline.clock import Clock, parse_duration
from tapeline.config import Settings
from tapeline.errors import InputError, MissingDependency, NotEnoughData, UnknownName, UsageError
from tapeline.features import FeatureFold, FeatureRows, FeatureSet
from tapeline.learning.artifact import Artifact
from tapeline.learning.live_interval import LiveInterval
from tapeline.learning.windows import Recent, Stretch
from tapeline.model_rows import ModelRows, model_rows
from tapeline.models.targets import TARGETS
from tapeline.predict import Predictor
from tapeline.registry import Entry, Registry
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import find
from tapeline.types import Answer, Float, Prediction, Timeframe

PREDICTED = ("return", "direction")
"""The targets of one prediction; each other is answered apart, and so is a direction that looks at other features."""
_SEARCHED = 200
"""How many of the newest predictions of an instrument are looked at for one of a certain model."""
_KEPT_OPEN = 16
"""How many models a loader keeps open: what they remember is theirs alone, what they learnt is not read again."""


class Champion:
    """The models that answer for one instrument, timeframe and horizon, with the features they look at."""

    def __init__(self, predictor: Predictor, features: FeatureSet) -> None:
        self.predictor = predictor
        self.features = features
        self.recent = Recent(predictor.window - 1, len(predictor.columns))
        self.interval = LiveInterval.of(predictor.artifact)

    @classmethod
    def of(cls, store: Store, name: str, version: str | None = None) -> Champion:
        """Return the champion of a name (``BTC-USD.KRAKEN_1m_5m``), or the given versions of its models.

        Args:
            store: keeps the models.
            name: of the return model, or of a model of another target.
            version: ``v`` or ``v+w`` (the direction model's), as predictions name them.

        Raises:
            UnknownName: there is none, or the features it was trained on are not known any more.
        """
        names = (name, f"{name}_direction")
        versions = _champions(store, names) if version is None else version.split("+")
        artifacts = [Registry(store).load(*pair) for pair in zip(names, versions, strict=False)]
        if not artifacts:
            raise UnknownName(
                f"model {name}", "has no champion", expected="a trained one", was="none", next_step="run tapeline train"
            )
        first = artifacts[0]
        fitting = [one for one in artifacts if one.feature_version == first.feature_version]
        return cls(Predictor(fitting), _definition(store, first.feature_set, first.feature_version))

    @property
    def key(self) -> str:
        """Return ``name@version``."""
        return f"{self.predictor.artifact.name}@{self.predictor.version}"

    @property
    def timeframe(self) -> str:
        """Return the timeframe it looks at."""
        return self.predictor.artifact.timeframe

    def predict(self, instrument: str, made: FeatureRows, close: Float) -> Sequence[Prediction | Answer]:
        """Return one prediction per complete row whose inputs are known; ``made_at`` is ``as_of``.

        Without a model of the return it is an answer of the one there is. Rows come in order of time; those before are
        remembered as far back as a model looks, and the interval follows what came of them.
        """
        del instrument
        seen, closes, skip = self._seen(made, close)
        said = self.predictor.said(seen, closes, made_at=seen.as_of, skip=skip, interval=self.interval)
        return [one for one in said if one is not None]

    def warm(self, made: FeatureRows, close: Float) -> None:
        """Take rows before the first to be predicted: afterwards all is as if they had been predicted."""
        seen, closes, skip = self._seen(made, close)
        if self.interval is not None:
            self.predictor.follow(seen, closes, self.interval, skip=skip)

    def said_of(self, made: FeatureRows, close: Float, row: int) -> Prediction | Answer | None:
        """Return what is said of one row after all those before it, None where nothing is."""
        before, asked = slice(0, row), slice(row, row + 1)
        self.warm(made.take(before), close[before])
        said = self.predict(self.predictor.artifact.instrument, made.take(asked), close[asked])
        return said[0] if said else None

    def _seen(self, made: FeatureRows, close: Float) -> tuple[Stretch, Float, int]:
        """Return the next rows with those remembered before them, their closes, and how many stand before."""
        inputs, columns = self.features.inputs(made.values, close)
        self.predictor.check(self.features.name, self.features.version, columns)
        new = Stretch(inputs, made.as_of, made.complete)
        if not self.recent.size:
            return new, close, 0
        before = self.recent.stretch
        self.recent.push(new)
        skip = len(before)
        return new.after(before), np.concatenate((np.full(skip, np.nan), close)), skip


class ServedFold(FeatureFold):
    """The fold of a champion's features, whose snapshot also holds what the champion remembers.

    These are the rows before, and where its interval stands.
    """

    def __init__(self, champion: Champion) -> None:
        super().__init__(champion.features)
        self._kept = [part for part in (champion.recent, champion.interval) if part is not None]

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return super().snapshot() + b"".join(part.snapshot() for part in self._kept)

    def restore(self, snapshot: bytes) -> None:
        """Continue from a state that `snapshot` gave.

        Raises:
            SnapshotMismatch: its length is not that of this state.
        """
        at = max(0, len(snapshot) - sum(part.size for part in self._kept))
        super().restore(snapshot[:at])
        for part in self._kept:
            part.restore(snapshot[at : at + part.size])
            at += part.size


def _champions(store: Store, names: Sequence[str]) -> list[str]:
    """Return the versions that answer under these names, up to the first that has none."""
    answering = {entry.name: entry.version for entry in Registry(store).entries() if entry.status == "champion"}
    return [answering[name] for name in takewhile(answering.__contains__, names)]


def champion_loader(store: Store) -> LoadModel:
    """Return what gives a pipeline the model that a decision on its tape names, warmed with stored candles."""

    @lru_cache(maxsize=_KEPT_OPEN)
    def opened(key: str) -> Champion:
        name, _, version = key.rpartition("@")
        return Champion.of(store, name, version)

    def load(key: str, until: int) -> tuple[Answers, FeatureFold]:
        kept_open = opened(key)
        champion = Champion(kept_open.predictor, kept_open.features)
        fold = ServedFold(champion)
        instrument = champion.predictor.artifact.instrument
        kept = store.read("candles", instrument=instrument, end=until, timeframe=champion.timeframe, source="trades")
        candles = rows.to_candles(kept)
        closed = candles[candles["close_time"] <= until]
        champion.warm(fold.feed(closed), closed["close"])
        return champion, fold

    return load


def newest_said(store: Store, artifact: Artifact) -> tuple[list[Any], int] | None:
    """Return what a model last said of a row, as `Predictor.says` gives it (1, or 1 x classes), and of which instant.

    Of a model of the return or the direction from its predictions, of one that answers apart from its answers; None
    where it said nothing.
    """
    name, target = artifact.instrument, artifact.target
    if target != "return":
        kept = rows.to_answers(store.read("answers", instrument=name, model_version=artifact.version, limit=1))
        said = [(list(one.said), one.as_of) for one in kept]
        if said or target not in PREDICTED:
            return next(((told if len(told) == 1 else [told], as_of) for told, as_of in said), None)
    made = rows.to_predictions(store.read("predictions", instrument=name, limit=_SEARCHED))
    place = PREDICTED.index(target)
    for one in reversed(made):
        versions = one.model_version.split("+")
        if len(versions) > place and versions[place] == artifact.version:
            return [one.value if target == "return" else one.p_up], one.as_of
    return None


def promote(
    store: Store,
    name: str,
    version: str,
    *,
    now: int,
    by: str,
    why: str = "promoted",
    numbers: Mapping[str, Any] | None = None,
) -> None:
    """Make a model the champion of its name, unless its features cannot be made any more; see `Registry.promote`.

    Raises:
        UnknownName: there is none such, or its feature version is not the live one.
        UsageError: it is archived.
    """
    registry = Registry(store)
    features_of(store, registry.load(name, version))
    registry.promote(name, version, now=now, why=why, by=by, numbers=numbers)


def features_of(store: Store, artifact: Artifact) -> FeatureSet:
    """Return the feature set that a model was trained on.

    Raises:
        UnknownName: it cannot be made any more.
    """
    return _definition(store, artifact.feature_set, artifact.feature_version)


def _definition(store: Store, name: str, version: str) -> FeatureSet:
    """Return the feature set of a version, if its definition and today's code still give that version."""
    for row in store.read("feature_sets", feature_set=name, version=version).to_pylist():
        features = FeatureSet.from_definition(row["definition"])
        if features.version == version:
            return features
    raise UnknownName(
        f"feature set {name} {version}",
        "cannot be made any more: its definition or the code of its indicators changed",
        expected="the version a model was trained with",
        was=version,
        next_step="train again with the features in use",
    )


def keep_definition(store: Store, features: FeatureSet) -> None:
    """Keep the definition of a feature set that a model was trained on."""
    row = {
        "feature_set": features.name,
        "version": features.version,
        "definition": features.definition,
        "columns": features.names,
        "current": False,
    }
    store.append("feature_sets", rows.from_dicts("feature_sets", row))


def answers_apart(entry: Entry, champions: Mapping[str, Entry]) -> bool:
    """Return whether a champion is asked by itself, given all of its instrument by name.

    That is any but a direction that looks at the same features as the return of its task: both make one prediction.
    """
    beside = champions.get(entry.name.removesuffix("_direction"))
    return entry.target != "direction" or beside is None or beside.feature_version != entry.feature_version


def predict_latest(
    store: Store,
    settings: Settings,
    instrument: str,
    *,
    clock: Clock,
    timeframe: str | None = None,
    horizon: str | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Prediction | Answer]:
    """Ask every champion of an instrument about its newest complete row, and keep what they say.

    Args:
        store: keeps the tape and the models.
        settings: how the tape is folded.
        instrument: whose champions.
        clock: tells when they were asked.
        timeframe: only champions that look at these candles.
        horizon: only champions that look this far ahead.
        tell: is told of each champion that cannot answer, and why.

    Returns:
        Predictions of the return, then answers to the other targets.

    Raises:
        UnknownName: no model was trained for it.
        NotEnoughData: no row is complete.
    """
    wanted = None if horizon is None else parse_duration(horizon)
    grid = None if timeframe is None else str(Timeframe.parse(timeframe))
    champions = {entry.name: entry for entry in Registry(store).entries(instrument) if entry.status == "champion"}
    asked = [
        entry
        for entry in champions.values()
        if answers_apart(entry, champions) and grid in (None, entry.timeframe) and wanted in (None, entry.horizon)
    ]
    if not asked:
        find(store, instrument)
        step = f"run: tapeline train {instrument}"
        raise UnknownName(
            f"model for {instrument}", "was not trained", expected="a champion", was="none", next_step=step
        )
    order = list(TARGETS)
    asked.sort(key=lambda entry: (order.index(entry.target), entry.name))
    said = _newest(store, settings, [entry.name for entry in asked], clock, tell)
    predictions, answers = _parted(said)
    store.append("predictions", rows.from_predictions(predictions))
    store.append("answers", rows.from_answers(answers))
    return [_stored(store, one) for one in said]


def _parted(said: Sequence[Prediction | Answer]) -> tuple[list[Prediction], list[Answer]]:
    predictions = [one for one in said if isinstance(one, Prediction)]
    return predictions, [one for one in said if isinstance(one, Answer)]


def _newest(
    store: Store, settings: Settings, names: Sequence[str], clock: Clock, tell: Callable[[str], None]
) -> list[Prediction | Answer]:
    """Return what champions say of the newest row; those that cannot answer are told of while another can."""
    said: list[Prediction | Answer] = []
    kept: dict[tuple[str, str], ModelRows] = {}
    refused: list[UsageError | InputError | MissingDependency] = []
    for name in names:
        try:
            said.append(_asked(store, settings, name, clock, kept))
        except CANNOT_BE_HAD as error:
            refused.append(error)
    if not said:
        raise refused[0]
    for one in refused:
        tell(f"no answer: {one}")
    return said


def _asked(
    store: Store, settings: Settings, name: str, clock: Clock, kept: dict[tuple[str, str], ModelRows]
) -> Prediction | Answer:
    champion = Champion.of(store, name)
    seen = champion.timeframe, champion.features.version
    if seen not in kept:
        instrument = champion.predictor.artifact.instrument
        kept[seen] = model_rows(store, settings, instrument, champion.timeframe, champion.features)
    data = kept[seen]
    known = np.flatnonzero(data.rows.complete & np.isfinite(data.inputs).all(axis=1))
    if not len(known):
        step = "import more trades; rows need a complete window"
        raise NotEnoughData(f"{name}", "has no complete row", expected="at least 1", was=0, next_step=step)
    said = champion.said_of(data.rows, data.candles["close"], int(known[-1]))
    if said is None:
        rule = f"{champion.predictor.window} complete rows in a row"
        raise NotEnoughData(f"{name}", "has too short a stretch of rows", expected=rule, was="fewer")
    return replace(said, made_at=clock.now())


def _stored(store: Store, said: Prediction | Answer) -> Prediction | Answer:
    if isinstance(said, Answer):
        return rows.to_answers(store.read("answers", id=said.id))[0]
    return rows.to_predictions(store.read("predictions", id=said.id))[0]
