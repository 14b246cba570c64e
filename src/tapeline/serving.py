"""Serving: the rows a model is trained on and asked about, the champions that answer, and the explanation of an answer.

Training, prediction and explanation take their rows from the same function, so a model meets in service what it met
in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, takewhile
from typing import Any

import numpy as np

from tapeline.candles import chained
from tapeline.clock import Clock, format_time, parse_duration
from tapeline.compare import Finding, same_bits
from tapeline.config import Settings
from tapeline.errors import NotEnoughData, UnknownName, UsageError
from tapeline.features import FeatureFold, FeatureRows, FeatureSet
from tapeline.labels import horizon_rows
from tapeline.learning.artifact import model_name
from tapeline.learning.dataset import Dataset, build_dataset
from tapeline.learning.leaks import Leak, check_leaks
from tapeline.pipeline import Layout, LoadModel
from tapeline.pipeline import Predictor as Answers
from tapeline.predict import Predictor
from tapeline.recorder import layout_of
from tapeline.registry import Registry
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import fold_candles, info
from tapeline.types import Float, Prediction, Records, Timeframe


@dataclass(frozen=True, slots=True)
class ModelRows:
    """What models see of an instrument: candles, the feature rows made of them, and the inputs made of these.

    ``inputs`` is n x k with ``columns`` as names; ``source`` says whose candles they are, ``trades`` or ``imported``.
    """

    instrument: str
    timeframe: str
    features: FeatureSet
    candles: Records
    rows: FeatureRows
    inputs: Float
    columns: list[str]
    source: str


def learning_set(name: str, timeframe: str, horizon: int) -> FeatureSet:
    """Return a feature set with the return over the horizon added: what baselines look at.

    Raises:
        UnknownName: there is no such set.
        UsageError: it is not for learning, or the horizon is not on the grid.
    """
    features = FeatureSet.load(name)
    if not features.learning:
        raise UsageError(f"feature set {name}", "is for display", expected="learning = true", was=False)
    return features.extended(f"return({horizon_rows(Timeframe.parse(timeframe), horizon)})")


def model_rows(store: Store, settings: Settings, instrument: str, timeframe: str, features: FeatureSet) -> ModelRows:
    """Fold an instrument's tape (or its imported candles, where it has no trades) into what models see.

    Raises:
        UnknownName: the store does not hold the instrument.
        NotEnoughData: it has no candles of that timeframe.
    """
    grid = str(Timeframe.parse(timeframe))
    candles, source = _candles(store, settings, instrument, grid)
    if not len(candles):
        step = "import trades or candles of it first"
        raise NotEnoughData(f"{instrument} {grid}", "has no candles", expected="at least 1", was=0, next_step=step)
    made = FeatureFold(features).feed(chained(candles) if source == "imported" else candles)
    inputs, columns = features.inputs(made.values, candles["close"])
    return ModelRows(instrument, grid, features, candles, made, inputs, columns, source)


def _candles(store: Store, settings: Settings, instrument: str, timeframe: str) -> tuple[Records, str]:
    imported = store.read("candles", instrument=instrument, timeframe=timeframe, source="imported")
    held = store.read("instruments", instrument=instrument).num_rows
    if not held and imported.num_rows:
        return rows.to_candles(imported), "imported"
    tape = info(store, instrument)
    limits = layout_of(settings, contiguous=tape.contiguous)
    layout = Layout((timeframe,), (), tape.contiguous, limits.reorder_window, limits.max_quiet, limits.max_ahead)
    return fold_candles(store, tape, layout), "trades"


def dataset_of(data: ModelRows, horizon: int) -> Dataset:
    """Join rows with their outcomes over the horizon (ns)."""
    return build_dataset(
        data.candles,
        data.inputs,
        instrument=data.instrument,
        timeframe=data.timeframe,
        horizon=horizon,
        columns=data.columns,
        feature_set=data.features.name,
        feature_version=data.features.version,
        complete=data.rows.complete,
    )


def leaks_of(data: ModelRows) -> list[Leak]:
    """Return what in the inputs depends on what came later."""

    def build(candles: Records) -> Float:
        return data.features.inputs(FeatureFold(data.features).feed(candles).values, candles["close"])[0]

    return check_leaks(build, data.candles, data.columns)


class Champion:
    """The models that answer for one instrument, timeframe and horizon, with the features they look at."""

    def __init__(self, predictor: Predictor, features: FeatureSet) -> None:
        self.predictor = predictor
        self.features = features

    @classmethod
    def of(cls, store: Store, name: str, version: str | None = None) -> Champion:
        """Return the champion of a name (``BTC-USD.KRAKEN_1m_5m``), or the given versions of its models.

        Args:
            store: keeps the models.
            name: of the return model.
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

    def predict(self, instrument: str, made: FeatureRows, close: Float) -> list[Prediction]:
        """Return one prediction per complete row whose inputs are known; ``made_at`` is ``as_of``."""
        del instrument
        inputs, columns = self.features.inputs(made.values, close)
        self.predictor.check(self.features.name, self.features.version, columns)
        said = self.predictor.predict_rows(inputs, as_of=made.as_of, close=close, made_at=made.as_of)
        return [one for one, complete in zip(said, made.complete, strict=True) if one is not None and complete]


def _champions(store: Store, names: Sequence[str]) -> list[str]:
    """Return the versions that answer under these names, up to the first that has none."""
    answering = {entry.name: entry.version for entry in Registry(store).entries() if entry.status == "champion"}
    return [answering[name] for name in takewhile(answering.__contains__, names)]


def champion_loader(store: Store) -> LoadModel:
    """Return what gives a pipeline the model that a decision on its tape names, warmed with stored candles."""

    def load(key: str, until: int) -> tuple[Answers, FeatureFold]:
        name, _, version = key.rpartition("@")
        champion = Champion.of(store, name, version)
        fold = FeatureFold(champion.features)
        instrument = champion.predictor.artifact.instrument
        kept = store.read("candles", instrument=instrument, end=until, timeframe=champion.timeframe, source="trades")
        candles = rows.to_candles(kept)
        fold.feed(candles[candles["close_time"] <= until])
        return champion, fold

    return load


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


def predict_latest(
    store: Store,
    settings: Settings,
    instrument: str,
    *,
    clock: Clock,
    timeframe: str | None = None,
    horizon: str | None = None,
) -> list[Prediction]:
    """Ask every champion of an instrument about its newest complete row, and keep the answers.

    Raises:
        UnknownName: no model was trained for it.
        NotEnoughData: no row is complete.
    """
    wanted = None if horizon is None else parse_duration(horizon)
    grid = None if timeframe is None else str(Timeframe.parse(timeframe))
    names = sorted(
        entry.name
        for entry in Registry(store).entries(instrument)
        if entry.status == "champion" and entry.target == "return"
        if grid in (None, entry.timeframe) and wanted in (None, entry.horizon)
    )
    if not names:
        info_or_imported(store, instrument)
        step = f"run: tapeline train {instrument}"
        raise UnknownName(
            f"model for {instrument}", "was not trained", expected="a champion", was="none", next_step=step
        )
    made = [_newest(store, settings, instrument, name, clock) for name in names]
    store.append("predictions", rows.from_predictions(made))
    return [_stored(store, prediction) for prediction in made]


def _newest(store: Store, settings: Settings, instrument: str, name: str, clock: Clock) -> Prediction:
    champion = Champion.of(store, name)
    data = model_rows(store, settings, instrument, champion.timeframe, champion.features)
    known = np.flatnonzero(data.rows.complete & np.isfinite(data.inputs).all(axis=1))
    if not len(known):
        step = "import more trades; rows need a complete window"
        raise NotEnoughData(f"{name}", "has no complete row", expected="at least 1", was=0, next_step=step)
    row = int(known[-1])
    as_of, close = data.rows.as_of[row : row + 1], data.candles["close"][row : row + 1]
    said = champion.predictor.predict_rows(data.inputs[row : row + 1], as_of=as_of, close=close, made_at=clock.now())[0]
    assert said is not None
    return said


def _stored(store: Store, prediction: Prediction) -> Prediction:
    return rows.to_predictions(store.read("predictions", id=prediction.id))[0]


def info_or_imported(store: Store, instrument: str) -> None:
    """Refuse an instrument of which the store holds neither trades nor imported candles."""
    if not store.read("candles", instrument=instrument, limit=1).num_rows:
        info(store, instrument)


def recompute(
    store: Store, settings: Settings, instrument: str | None = None
) -> Iterator[tuple[list[Finding], int, str]]:
    """Recompute stored predictions from the tape; yield per model the differences, how many, and what is missing."""
    stored = rows.to_predictions(store.read("predictions", instrument=instrument))

    def task(prediction: Prediction) -> tuple[str, str, int, str, str]:
        return (
            prediction.instrument,
            prediction.timeframe,
            prediction.horizon,
            prediction.model_version,
            prediction.model,
        )

    for _, group in groupby(sorted(stored, key=task), task):
        yield _recomputed(store, settings, list(group))


def _recomputed(store: Store, settings: Settings, stored: list[Prediction]) -> tuple[list[Finding], int, str]:
    first = stored[0]
    name = model_name(first.instrument, first.timeframe, first.horizon)
    try:
        champion = Champion.of(store, name, first.model_version)
        data = model_rows(store, settings, first.instrument, first.timeframe, champion.features)
    except (UnknownName, NotEnoughData) as error:
        return [], 0, f"{len(stored)} predictions of {name}@{first.model_version}: {error}"
    said = {one.as_of: one for one in champion.predict(first.instrument, data.rows, data.candles["close"])}
    findings = [finding for one in stored for finding in _differences(one, said.get(one.as_of))]
    return findings, len(stored), ""


def _differences(stored: Prediction, again: Prediction | None) -> Iterator[Finding]:
    if again is None:
        yield Finding("predictions", stored.id, "row", "a prediction", None)
        return
    theirs = asdict(again)
    for name, value in asdict(stored).items():
        if name == "made_at":
            continue
        other = theirs[name]
        same = bool(same_bits(np.array([value]), np.array([other]))[0]) if isinstance(value, float) else value == other
        if not same:
            yield Finding("predictions", stored.id, name, value, other)


def explain(store: Store, settings: Settings, prediction_id: str) -> dict[str, Any]:
    """Recompute one stored prediction from the tape, and say what the model saw and why it said it.

    Raises:
        UnknownName: no prediction has that id (or a unique beginning of it), or its model is gone.
    """
    stored = _by_id(store, prediction_id)
    name = model_name(stored.instrument, stored.timeframe, stored.horizon)
    champion = Champion.of(store, name, stored.model_version)
    data = model_rows(store, settings, stored.instrument, stored.timeframe, champion.features)
    place = np.flatnonzero(data.rows.as_of == stored.as_of)
    if not len(place):
        raise NotEnoughData(
            f"prediction {stored.id}",
            "has no candle on the tape any more",
            expected=format_time(stored.as_of),
            was="none",
        )
    row = int(place[0])
    said = champion.predict(stored.instrument, _one_row(data.rows, row), data.candles["close"][row : row + 1])
    differences = list(_differences(stored, said[0] if said else None))
    return {
        "prediction": asdict(stored),
        "matches": not differences,
        "differences": [asdict(finding) for finding in differences],
        "candle": {key: data.candles[key][row].item() for key in data.candles.dtype.names or ()},
        "features": dict(zip(data.features.names, data.rows.values[row].tolist(), strict=True)),
        "explanation": champion.predictor.explain(data.inputs[row]),
    }


def _one_row(made: FeatureRows, row: int) -> FeatureRows:
    return FeatureRows(made.as_of[row : row + 1], made.values[row : row + 1], made.complete[row : row + 1])


def _by_id(store: Store, prediction_id: str) -> Prediction:
    found = rows.to_predictions(store.read("predictions", id=prediction_id))
    if not found and len(prediction_id) >= 6:
        ids = [one for one in store.read("predictions").column("id").to_pylist() if one.startswith(prediction_id)]
        found = rows.to_predictions(store.read("predictions", id=ids[0])) if len(ids) == 1 else []
    if not found:
        step = "list them with: tapeline predict INSTRUMENT"
        raise UnknownName(
            f"prediction {prediction_id}", "is not stored", expected="an id", was=prediction_id, next_step=step
        )
    return found[0]
