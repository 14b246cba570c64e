"""What we do of that work: the file through the real pipeline, reading ahead on a second thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from peers.tape import INSTRUMENT

from tapeline.features import FeatureSet
from tapeline.pipeline import Layout, Pipeline
from tapeline.types import Float, Frame, Records

TIMEFRAMES = ("1m", "5m", "1h")
FEATURES = FeatureSet.load("technical")
_COLUMNS = ["trade_id", "ts_event", "ts_init", "price", "qty", "side", "count"]


@dataclass(frozen=True, slots=True)
class Replay:
    """All that a replay gave, by timeframe."""

    candles: dict[str, Records]
    features: dict[str, Float]


def pipeline() -> Pipeline:
    """Return the pipeline that is measured."""
    return Pipeline(INSTRUMENT, Layout(timeframes=TIMEFRAMES, sets=(FEATURES,)))


def replay(files: Sequence[Path]) -> Replay:
    """Drive a new pipeline through the tape."""
    fold = pipeline()
    outputs = [fold.feed(frame) for frame in _read_ahead(_frames(files))]
    candles = {name: [out.candles[name] for out in outputs if name in out.candles] for name in TIMEFRAMES}
    keys = [(name, FEATURES.name) for name in TIMEFRAMES]
    features = {key[0]: [out.features[key].values for out in outputs if key in out.features] for key in keys}
    return Replay(
        {name: np.concatenate(parts) for name, parts in candles.items()},
        {name: np.concatenate(parts) for name, parts in features.items()},
    )


def _frames(files: Sequence[Path]) -> Iterator[Frame]:
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(1 << 17, columns=_COLUMNS, use_threads=False):
            yield Frame(INSTRUMENT, *(column.to_numpy() for column in batch.columns))


def _read_ahead(frames: Iterator[Frame]) -> Iterator[Frame]:
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = reader.submit(next, frames, None)
            yield frame
