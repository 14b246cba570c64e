"""What we do of that work: the stored tape through the pipeline, by the same runner as ``tapeline replay``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peers.tape import INSTRUMENT, Tape
from tapeline import tape as tapes
from tapeline.config import load_settings
from tapeline.features import FeatureSet
from tapeline.pipeline import Pipeline
from tapeline.recorder import layout_of
from tapeline.runners import replay as runner
from tapeline.stores.parquet import ParquetStore
from tapeline.types import Float, Records

TIMEFRAMES = ("1m", "5m", "1h")
FEATURES = FeatureSet.load("technical")
SETTINGS = load_settings(timeframes=TIMEFRAMES, feature_sets=(FEATURES.name,))


@dataclass(frozen=True, slots=True)
class Replay:
    """All that a replay gave, by timeframe."""

    candles: dict[str, Records]
    features: dict[str, Float]


def pipeline() -> Pipeline:
    """Return the pipeline that is measured."""
    return Pipeline(INSTRUMENT, layout_of(SETTINGS, contiguous=True))


def replay(tape: Tape) -> Replay:
    """Drive a new pipeline through the tape."""
    store = ParquetStore(tape.store, read_only=True)
    info = tapes.info(store, INSTRUMENT)
    outputs = list(runner.replay(store, SETTINGS, info))
    store.close()
    candles = {name: [out.candles[name] for out in outputs if name in out.candles] for name in TIMEFRAMES}
    keys = [(name, FEATURES.name) for name in TIMEFRAMES]
    features = {key[0]: [out.features[key].values for out in outputs if key in out.features] for key in keys}
    return Replay(
        {name: np.concatenate(parts) for name, parts in candles.items()},
        {name: np.concatenate(parts) for name, parts in features.items()},
    )
