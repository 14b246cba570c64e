"""The other JSON documents of the API: pages of rows, what is stored, models, live error, quality, problems."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from tapeline.wire import Number

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Rows in order of time; ``next`` is the ``cursor`` of the page before them, null where there is none."""

    items: list[T]
    next: str | None = None
    note: str = ""


class Instrument(msgspec.Struct, frozen=True):
    """What is stored of an instrument: ``holds`` is ``trades``, or candles that others made."""

    instrument: str
    venue: str
    simulated: bool
    holds: str
    rows: int
    first: str | None
    last: str | None
    ids: str
    open_gaps: int | None
    missing: int | None
    completeness: str
    timeframes: list[str]
    feature_sets: list[str]


class LateTrade(msgspec.Struct, frozen=True):
    """A trade that came after its candle had closed."""

    instrument: str
    trade_id: int
    ts_event: str
    ts_init: str
    price: float
    qty: float
    side: str
    reason: str


class DeadLetter(msgspec.Struct, frozen=True):
    """Bad input, kept raw (bytes that are no UTF-8 are escaped) with its reason."""

    source: str
    instrument: str
    kind: str
    reason: str
    raw: str
    ts_init: str


class TrainingRun(msgspec.Struct, frozen=True):
    """A training run whose folder is kept: who answers for its main ``target`` since, and why."""

    run: str
    instrument: str
    timeframe: str
    horizon: str
    made_at: str
    rows: int
    target: str
    champion: str
    promoted: bool
    reason: str


class Model(msgspec.Struct, frozen=True):
    """A registered model; ``record`` tells what it came from, and its history."""

    name: str
    version: str
    instrument: str
    timeframe: str
    horizon: str
    target: str
    model: str
    status: str
    created_at: str
    promoted_at: str | None
    feature_set: str
    feature_version: str
    record: dict[str, Any]


class Done(msgspec.Struct, frozen=True):
    """What a write did."""

    done: str
    name: str
    version: str | None = None


class Interval(msgspec.Struct, frozen=True):
    """A mean with its interval; the bounds are null where there is too little to tell."""

    value: Number
    low: Number
    high: Number


class LiveError(msgspec.Struct, frozen=True):
    """How well one model version did on what came, against saying that the price stays.

    ``error`` and ``baseline`` are mean absolute errors of the log return; ``gain`` is the baseline's error less the
    model's, and ``edge`` whether all of its interval lies above zero. ``hit_rate`` is of the predictions whose
    direction could be right or wrong, ``inside`` the share within the interval. ``excluded`` were late (``late`` of
    them), or ended in a candle that is not complete. ``brier`` and ``calibration`` judge the probability of going up.
    ``part`` is the day, hour or age where errors are asked for by these.
    """

    instrument: str
    timeframe: str
    horizon: str
    model: str
    model_version: str
    predictions: int
    excluded: int
    first: str
    last: str
    error: Interval
    baseline: Interval
    gain: Interval
    hit_rate: Interval | None
    inside: Number
    edge: bool
    verdict: str
    late: int = 0
    brier: Interval | None = None
    calibration: Number = None
    part: str = ""


class FeatureDrift(msgspec.Struct, frozen=True):
    """How a feature, or the output ``prediction``, differs from what a champion was trained on.

    ``psi``, ``kl`` and ``ks`` are distances; ``tail`` is the share in the outer hundredth as a multiple of that in
    training, ``outside`` the share beyond everything seen there; ``level`` is none, moderate or major.
    """

    feature: str
    model: str
    version: str
    psi: Number
    kl: Number
    ks: Number
    tail: Number
    missing: Number
    missing_before: Number
    outside: Number
    level: str


class ModelDrift(msgspec.Struct, frozen=True):
    """What the drift of a champion was measured on; ``state`` is measured or waiting, with the ``reason``."""

    model: str
    version: str
    instrument: str
    state: str
    reason: str
    level: str
    reference_rows: int
    rows: int
    first: str | None
    last: str | None


class DriftReport(msgspec.Struct, frozen=True):
    """The drift of all champions: ``items`` are their features, those that drifted most first."""

    measured_at: str
    items: list[FeatureDrift]
    models: list[ModelDrift]


class Anomaly(msgspec.Struct, frozen=True):
    """A candle whose price moved, or whose volume grew, as hardly any before.

    ``price`` and ``volume`` are multiples of the typical one of late, the ranks the share of candles before with as
    much or more.
    """

    instrument: str
    timeframe: str
    close_time: str
    price: Number
    volume: Number
    price_rank: Number
    volume_rank: Number


class Day(msgspec.Struct, frozen=True):
    """The candles of one UTC day."""

    day: str
    candles: int
    complete: int
    quiet: int
    trades: int | None


class Quality(msgspec.Struct, frozen=True):
    """How whole an instrument is: its days by timeframe, and what was dropped; null: not counted."""

    instrument: str
    timeframe: str
    source: str
    completeness: str
    open_gaps: int | None
    missing: int | None
    late: int
    dead_letters: int
    duplicates: int | None
    days: list[Day]


class SqlAnswer(msgspec.Struct, frozen=True):
    """Rows of a query; ``truncated``: there are more."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong (RFC 9457): where, what was expected, what was found, and what to do next."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    where: str = ""
    expected: str = ""
    was: str = ""
    next_step: str = ""
    state: dict[str, Any] = msgspec.field(default_factory=dict)
