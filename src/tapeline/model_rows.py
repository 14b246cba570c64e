"""What models see: the same rows in training, in prediction and in explanation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapeline.candles import chained
from tapeline.config import Settings
from tapeline.errors import NotEnoughData, UsageError
from tapeline.features import FeatureFold, FeatureRows, FeatureSet
from tapeline.labels import horizon_rows
from tapeline.learning.dataset import Dataset, build_dataset
from tapeline.learning.leaks import Leak, check_leaks
from tapeline.learning.spread import FEATURE
from tapeline.recorder import layout_of
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import find, fold
from tapeline.types import CANDLE, Float, Records, Timeframe


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
    """Return a feature set with what is always needed: the return over the horizon, and volatility.

    Baselines look at the one, the width of intervals at the other.

    Raises:
        UnknownName: there is no such set.
        UsageError: it is not for learning, or the horizon is not on the grid.
    """
    features = FeatureSet.load(name)
    if not features.learning:
        raise UsageError(f"feature set {name}", "is for display", expected="learning = true", was=False)
    past = f"return({horizon_rows(Timeframe.parse(timeframe), horizon)})"
    return features.extended(past).extended(FEATURE)


def model_rows(store: Store, settings: Settings, instrument: str, timeframe: str, features: FeatureSet) -> ModelRows:
    """Fold an instrument's tape (or its imported candles, where it has no trades) into what models see.

    Raises:
        UnknownName: the store does not hold the instrument.
        NotEnoughData: it has no candles of that timeframe.
    """
    grid = str(Timeframe.parse(timeframe))
    return _rows_of(instrument, grid, features, *_candles(store, settings, instrument, grid))


def stored_rows(store: Store, instrument: str, timeframe: str, features: FeatureSet, until: int) -> ModelRows:
    """Fold an instrument's stored candles that closed by an instant, ns UTC, into what models see.

    The same bits as `model_rows`, as far as the candles are stored as the tape gives them: without reading the tape.

    Raises:
        UnknownName: the store does not hold the instrument.
        NotEnoughData: it has no candles of that timeframe.
    """
    grid = str(Timeframe.parse(timeframe))
    source = "imported" if find(store, instrument) is None else "trades"
    kept = rows.to_candles(store.read("candles", instrument=instrument, end=until, timeframe=grid, source=source))
    return _rows_of(instrument, grid, features, kept[kept["close_time"] <= until], source)


def _rows_of(instrument: str, grid: str, features: FeatureSet, candles: Records, source: str) -> ModelRows:
    if not len(candles):
        step = "import trades or candles of it first"
        raise NotEnoughData(f"{instrument} {grid}", "has no candles", expected="at least 1", was=0, next_step=step)
    made = FeatureFold(features).feed(chained(candles) if source == "imported" else candles)
    inputs, columns = features.inputs(made.values, candles["close"])
    return ModelRows(instrument, grid, features, candles, made, inputs, columns, source)


def _candles(store: Store, settings: Settings, instrument: str, timeframe: str) -> tuple[Records, str]:
    tape = find(store, instrument)
    if tape is None:
        table = store.read("candles", instrument=instrument, timeframe=timeframe, source="imported")
        return rows.to_candles(table), "imported"
    layout = layout_of(settings, contiguous=tape.contiguous, timeframes=(timeframe,), sets=())
    parts = [outputs.candles[timeframe] for outputs in fold(store, tape, layout) if timeframe in outputs.candles]
    return np.concatenate([np.empty(0, CANDLE), *parts]), "trades"


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
