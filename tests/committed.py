"""What commits of a small simulated tape give, for tests of the hub and the streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.stored import START, TRADED, trades

from tapeline.clock import MINUTE
from tapeline.features import FeatureSet
from tapeline.hub import Committed
from tapeline.pipeline import Layout, Pipeline
from tapeline.types import Answer, Prediction

BARS = FeatureSet.load("bars")


def commits(count: int = 3_000, size: int = 100, instrument: str = TRADED) -> Iterator[Committed]:
    """Yield the commits of a tape, in frames of ``size`` trades."""
    tape = replace(trades(count), instrument=instrument)
    pipeline = Pipeline(instrument, Layout(timeframes=("1m", "5m"), sets=(BARS,)))
    pipeline.ledger.start(int(tape.trade_id[0]))
    for at in range(0, count, size):
        outputs = pipeline.feed(tape.take(slice(at, at + size)))
        yield Committed(instrument, outputs, {"bars": BARS}, pipeline.running())


def prediction(
    as_of: int = START, *, horizon: int = MINUTE, value: float = 0.001, made_at: int | None = None
) -> Prediction:
    """Return a prediction of the simulated instrument."""
    return Prediction(
        id=f"{as_of:032x}",
        instrument=TRADED,
        timeframe="1m",
        made_at=as_of if made_at is None else made_at,
        as_of=as_of,
        horizon=horizon,
        target_time=as_of + horizon,
        value=value,
        low=value - 0.01,
        high=value + 0.01,
        p_up=0.6,
        close=60_000.0,
        model="ridge",
        model_version="v",
        feature_set="bars",
        feature_version=BARS.version,
        row_hash="0" * 32,
    )


def answer(target: str, said: tuple[float, ...], minutes: int = 0) -> Answer:
    """Return what a model of another target said, some minutes after the first."""
    as_of = START + minutes * MINUTE
    return Answer(
        id=f"{target}{as_of}",
        instrument=TRADED,
        timeframe="1m",
        target=target,
        made_at=as_of,
        as_of=as_of,
        horizon=MINUTE,
        said=said,
        model="made up",
        model_version="v",
        feature_set="bars",
        feature_version=BARS.version,
        row_hash="0" * 32,
    )
