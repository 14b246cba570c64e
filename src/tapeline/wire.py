"""The JSON rows of the API, the streams, the client and the page: made here and nowhere else.

Times are RFC 3339. A number that is unknown is NaN in this process and null on the wire.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tapeline import types
from tapeline.clock import SECOND, format_duration, format_time
from tapeline.models.targets import TARGETS
from tapeline.types import Frame, GapStatus, Int, Records, Side

if TYPE_CHECKING:
    from tapeline.features import FeatureRows, FeatureSet

Number = float | None


class Candle(msgspec.Struct, frozen=True):
    """A candle; ``closed`` is false for the running one, ``trades`` null where others made it and did not say."""

    instrument: str
    timeframe: str
    open_time: str
    close_time: str
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    quote_volume: Number
    vwap: Number
    trades: int | None
    buy_volume: Number
    realized_vol: Number
    complete: bool
    closed: bool = True
    source: str = "trades"


class Features(msgspec.Struct, frozen=True):
    """A feature row: a number or null a feature, by name."""

    instrument: str
    timeframe: str
    feature_set: str
    version: str
    as_of: str
    complete: bool
    values: dict[str, Number]


class Outcome(msgspec.Struct, frozen=True):
    """What came of a prediction.

    ``value`` is the log return that came, ``error`` the one predicted less it; ``inside`` says whether it lies within
    the interval, ``hit`` whether the direction was right (null where the price did not move or none was said), and
    ``complete`` whether the candle that told it is.
    """

    known_at: str
    value: Number
    price: Number
    error: Number
    inside: bool
    hit: bool | None
    complete: bool


class Prediction(msgspec.Struct, frozen=True):
    """A prediction with the prices its returns stand for; ``late``: made when the outcome could be known already."""

    id: str
    instrument: str
    timeframe: str
    made_at: str
    as_of: str
    horizon: str
    target_time: str
    value: Number
    low: Number
    high: Number
    p_up: Number
    close: Number
    price: Number
    price_low: Number
    price_high: Number
    model: str
    model_version: str
    feature_set: str
    feature_version: str
    row_hash: str
    late: bool
    outcome: Outcome | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a model of another target than the return said, or of a direction that looks at other features.

    Of a target with classes ``probabilities`` holds that of each and ``label`` names the likeliest; of the others
    ``value`` is the one number. What it means stands in `tapeline.models.targets`.
    """

    id: str
    instrument: str
    timeframe: str
    target: str
    made_at: str
    as_of: str
    horizon: str
    value: Number
    label: str | None
    probabilities: dict[str, Number]
    model: str
    model_version: str
    feature_set: str
    feature_version: str
    row_hash: str


class Gap(msgspec.Struct, frozen=True):
    """Missing trade ids, both ends included.

    ``from_time`` and ``to_time`` are those of the stored trades just before and after: between them they happened.
    """

    instrument: str
    first_missing: int
    last_missing: int
    count: int
    status: str
    seen_at: str | None = None
    from_time: str | None = None
    to_time: str | None = None


class Trade(msgspec.Struct, frozen=True):
    """A trade; ``side`` is the aggressor's."""

    instrument: str
    trade_id: int
    ts_event: str
    ts_init: str
    price: float
    qty: float
    side: str
    late: bool = False


def encode(value: object) -> bytes:
    """Return rows, or plain values with rows in them, as JSON: NaN and infinities are null.

    >>> encode({"value": float("nan")})
    b'{"value":null}'
    """
    return _ENCODER.encode(value)


_ENCODER = msgspec.json.Encoder()
_LARGEST = 700.0
_SIDES = {int(side): side.name for side in Side}


def times(ns: Int) -> list[str]:
    """Return instants (n, ns UTC) as RFC 3339.

    >>> times(np.array([0, 1_500_000_000]))
    ['1970-01-01T00:00:00Z', '1970-01-01T00:00:01.500Z']
    """
    if not (ns % SECOND).any():
        return [f"{text}Z" for text in np.datetime_as_string(ns.astype("datetime64[ns]"), unit="s").tolist()]
    return [format_time(one) for one in ns.tolist()]


def candles(
    instrument: str, timeframe: str, records: Records, *, closed: bool = True, source: str = "trades"
) -> list[Candle]:
    """Return `CANDLE` records as rows; a running candle (``closed`` false) is never complete."""
    names = ("open", "high", "low", "close", "volume", "quote_volume", "vwap")
    columns = [times(records["open_time"]), times(records["close_time"]), *(records[name].tolist() for name in names)]
    columns.append([None if count < 0 else count for count in records["trades"].tolist()])
    columns += [records[name].tolist() for name in ("buy_volume", "realized_vol")]
    columns += [(records["complete"] & closed).tolist(), [closed] * len(records), [source] * len(records)]
    return [Candle(instrument, timeframe, *row) for row in zip(*columns, strict=True)]


def features(instrument: str, timeframe: str, features: FeatureSet, made: FeatureRows) -> list[Features]:
    """Return feature rows of a set."""
    names = features.names
    parts = zip(times(made.as_of), made.complete.tolist(), made.values.tolist(), strict=True)
    return [
        Features(
            instrument, timeframe, features.name, features.version, as_of, complete, dict(zip(names, row, strict=True))
        )
        for as_of, complete, row in parts
    ]


def trades(frame: Frame, *, late: bool = False) -> list[Trade]:
    """Return the trades of a frame."""
    columns = (
        frame.trade_id.tolist(),
        times(frame.ts_event),
        times(frame.ts_init),
        frame.price.tolist(),
        frame.qty.tolist(),
        [_SIDES[side] for side in frame.side.tolist()],
        [late] * len(frame),
    )
    return [Trade(frame.instrument, *row) for row in zip(*columns, strict=True)]


def prediction(made: types.Prediction, outcome: Outcome | None = None) -> Prediction:
    """Return a prediction, with its outcome where that is known."""
    price, low, high = (made.close * math.exp(min(value, _LARGEST)) for value in (made.value, made.low, made.high))
    return Prediction(
        made.id,
        made.instrument,
        made.timeframe,
        format_time(made.made_at),
        format_time(made.as_of),
        format_duration(made.horizon),
        format_time(made.target_time),
        made.value,
        made.low,
        made.high,
        made.p_up,
        made.close,
        price,
        low,
        high,
        made.model,
        made.model_version,
        made.feature_set,
        made.feature_version,
        made.row_hash,
        made.made_at >= made.target_time,
        outcome,
    )


def answer(made: types.Answer) -> Answer:
    """Return what a model of another target said."""
    chances = dict(zip(TARGETS[made.target].classes, made.said, strict=False))
    return Answer(
        made.id,
        made.instrument,
        made.timeframe,
        made.target,
        format_time(made.made_at),
        format_time(made.as_of),
        format_duration(made.horizon),
        None if chances else made.said[0],
        max(chances, key=lambda name: chances[name]) if chances else None,
        {**chances},
        made.model,
        made.model_version,
        made.feature_set,
        made.feature_version,
        made.row_hash,
    )


def outcome(made: types.Prediction, known_at: int, close: float, *, complete: bool) -> Outcome:
    """Return what came of a prediction, told by the candle that closed at its ``target_time``.

    Args:
        made: the prediction.
        known_at: when that candle closed, ns UTC.
        close: its close.
        complete: whether it is complete.
    """
    came = math.log(close / made.close)
    return Outcome(
        format_time(known_at), came, close, made.value - came, made.low <= came <= made.high, _hit(made, came), complete
    )


def _hit(made: types.Prediction, came: float) -> bool | None:
    said = made.value if math.isnan(made.p_up) else made.p_up - 0.5
    return None if not came or not said else (said > 0) == (came > 0)


def gap(instrument: str, first_missing: int, last_missing: int, status: str, seen_at: int | None = None) -> Gap:
    """Return a gap."""
    seen = None if seen_at is None else format_time(seen_at)
    return Gap(instrument, first_missing, last_missing, last_missing - first_missing + 1, status, seen)


def gaps(
    stored: Sequence[Mapping[str, object]], times: Mapping[tuple[str, int], int] = MappingProxyType({})
) -> list[Gap]:
    """Return the stored rows of the kind ``gaps`` as rows.

    Args:
        stored: the rows.
        times: ts_event of the trades beside them, by (instrument, trade_id), as far as they are known.
    """
    made = []
    for row in stored:
        name, first, last = str(row["instrument"]), _whole(row["first_missing"]), _whole(row["last_missing"])
        beside = (times.get((name, first - 1)), times.get((name, last + 1)))
        begun, ended = (None if at is None else format_time(at) for at in beside)
        plain = gap(name, first, last, str(row["status"]))
        made.append(msgspec.structs.replace(plain, from_time=begun, to_time=ended))
    return made


def newest_gaps(stored: Sequence[Mapping[str, object]], most: int = 100) -> list[Mapping[str, object]]:
    """Return the newest of the rows of the kind ``gaps``: so many that are open, and so many that are not, by id.

    >>> rows = [{"first_missing": at, "status": "open" if at % 2 else "healed"} for at in range(9)]
    >>> [row["first_missing"] for row in newest_gaps(rows, 2)]
    [5, 6, 7, 8]
    """
    still = [row for row in stored if row["status"] == GapStatus.OPEN]
    others = [row for row in stored if row["status"] != GapStatus.OPEN]
    return sorted([*still[-most:], *others[-most:]], key=lambda row: _whole(row["first_missing"]))


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
