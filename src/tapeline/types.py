"""The nouns: instruments, frames of trades, timeframes, candles, gaps, decisions, predictions.

All times are int64 ns UTC. Columns are NumPy arrays; a candle or a fold's state is a NumPy record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapeline.clock import DAY, format_duration, parse_duration
from tapeline.errors import UsageError

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Records = NDArray[np.void]

_INSTRUMENT = re.compile(r"[A-Z0-9][A-Z0-9._:/-]*\.[A-Z0-9]+")


def check_instrument(name: str) -> str:
    """Return ``name`` if it is an instrument such as ``BTC-USD.KRAKEN``.

    Raises:
        UsageError: it is not ``<ASSET>[-<QUOTE>].<VENUE>`` in capitals.

    >>> check_instrument("BTC-USDT.BINANCE")
    'BTC-USDT.BINANCE'
    """
    if not _INSTRUMENT.fullmatch(name):
        raise UsageError(f"instrument {name}", "is not a name", expected="BASE-QUOTE.VENUE in capitals", was=name)
    return name


def venue_of(instrument: str) -> str:
    """Return the venue of an instrument.

    >>> venue_of("BTC-USD.KRAKEN")
    'KRAKEN'
    """
    return instrument.rpartition(".")[2]


class Side(IntEnum):
    """The aggressor of a trade."""

    SELL = -1
    UNKNOWN = 0
    BUY = 1


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A batch of trades of one instrument as columns of one length.

    Attributes:
        instrument: ours, such as ``BTC-USD.KRAKEN``.
        trade_id: the venue's id.
        ts_event: when it happened at the venue, ns UTC.
        ts_init: when we had it, ns UTC.
        price: in the quote currency, > 0.
        qty: in the base currency, > 0.
        side: the aggressor, a `Side` value (int8).
        count: how many venue trades the row stands for; 1, but for aggregated trades (int32).
    """

    instrument: str
    trade_id: Int
    ts_event: Int
    ts_init: Int
    price: Float
    qty: Float
    side: NDArray[np.int8]
    count: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        instrument: str,
        *,
        trade_id: ArrayLike,
        ts_event: ArrayLike,
        price: ArrayLike,
        qty: ArrayLike,
        ts_init: ArrayLike | None = None,
        side: ArrayLike | None = None,
        count: ArrayLike | None = None,
    ) -> Self:
        """Build a frame from anything array-like.

        Without ``ts_init`` it is ``ts_event``; without ``side`` it is UNKNOWN; without ``count`` it is 1.

        >>> frame = Frame.of("BTC-USD.SIM", trade_id=[1, 2], ts_event=[0, 5], price=[10, 11], qty=[1, 1])
        >>> len(frame), frame.side.tolist()
        (2, [0, 0])
        """
        ids = np.asarray(trade_id, np.int64)
        stamps = np.asarray(ts_event, np.int64)
        n = len(ids)
        return cls(
            instrument,
            ids,
            stamps,
            stamps if ts_init is None else np.asarray(ts_init, np.int64),
            np.asarray(price, np.float64),
            np.asarray(qty, np.float64),
            np.zeros(n, np.int8) if side is None else np.asarray(side, np.int8),
            np.ones(n, np.int32) if count is None else np.asarray(count, np.int32),
        )

    @classmethod
    def empty(cls, instrument: str) -> Self:
        """Return a frame without trades."""
        return cls.of(instrument, trade_id=[], ts_event=[], price=[], qty=[])

    @classmethod
    def concat(cls, frames: Sequence[Frame]) -> Frame:
        """Join frames of one instrument (at least one), in the order given."""
        if len(frames) == 1:
            return frames[0]
        columns = [np.concatenate(parts) for parts in zip(*(frame.columns() for frame in frames), strict=True)]
        return cls(frames[0].instrument, *columns)

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Return the columns in the order of the fields."""
        return (self.trade_id, self.ts_event, self.ts_init, self.price, self.qty, self.side, self.count)

    def take(self, rows: slice | Int | Bool) -> Frame:
        """Return the rows that a slice, an array of positions or a mask picks."""
        return Frame(self.instrument, *(column[rows] for column in self.columns()))

    def __len__(self) -> int:
        return len(self.trade_id)


SHORTEST = 100_000_000
"""The shortest step of a timeframe, ns: a silent week of shorter candles would be too many to fill."""


@dataclass(frozen=True, slots=True, order=True)
class Timeframe:
    """A regular grid of windows: tumbling (``1m``), or sliding (``5m/1m``: 5 minutes, every minute).

    >>> Timeframe.parse("5m/1m")
    Timeframe(size=300000000000, step=60000000000)
    >>> str(Timeframe.parse("60s"))
    '1m'
    """

    size: int
    step: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``<size>`` or ``<size>/<step>``; the size divides a day, the step divides the size.

        Raises:
            UsageError: it is no timeframe.
        """
        size_text, _, step_text = text.partition("/")
        try:
            size = parse_duration(size_text)
            step = parse_duration(step_text) if step_text else size
        except UsageError as error:
            raise _bad_timeframe(text) from error
        if DAY % size or size % step or step < SHORTEST:
            raise _bad_timeframe(text)
        return cls(size, step)

    @property
    def grids(self) -> list[tuple[int, int]]:
        """Return the tumbling grids it is made of, as (size, offset) in ns."""
        return [(self.size, offset) for offset in range(0, self.size, self.step)]

    def __str__(self) -> str:
        size = format_duration(self.size)
        return size if self.step == self.size else f"{size}/{format_duration(self.step)}"


def _bad_timeframe(text: str) -> UsageError:
    rule = "a length from 100ms that divides a day, such as 1s, 1m, 4h or 1d, or size/step such as 5m/1m"
    return UsageError(f"timeframe {text}", "is not a timeframe", expected=rule, was=text)


CANDLE = np.dtype(
    [
        ("open_time", "i8"),
        ("close_time", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("quote_volume", "f8"),
        ("vwap", "f8"),
        ("trades", "i8"),
        ("buy_volume", "f8"),
        ("realized_vol", "f8"),
        ("complete", "?"),
        ("restart", "?"),
    ],
    align=True,
)
"""One closed candle, half-open [open_time, close_time).

``volume`` and ``buy_volume`` are in the base currency, ``quote_volume`` in the quote currency. ``vwap`` is
quote_volume / volume, NaN without volume. ``realized_vol`` is the square root of the sum of squared log returns
between consecutive trades inside the candle, NaN with fewer than two trades. ``restart`` marks the first candle of
a new grid (the first of all, or after a silence longer than ``max_quiet``): indicators warm up anew there.
"""


class GapStatus(StrEnum):
    """What became of missing ids."""

    OPEN = "open"
    HEALED = "healed"
    UNHEALABLE = "unhealable"


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Missing ids, both ends included."""

    instrument: str
    first_missing: int
    last_missing: int
    status: GapStatus = GapStatus.OPEN


class DecisionKind(StrEnum):
    """What was decided by time, or from outside, and therefore stands on the tape."""

    START = "start"
    GIVE_UP = "give_up"
    CLOCK = "clock"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Decision:
    """A record on the tape that is not a trade.

    Attributes:
        position: it takes effect after all trades up to this key: the trade id where ids are contiguous,
            otherwise ts_event.
        kind: START (``value`` = first id expected), GIVE_UP (``value`` = last missing id: release what waits
            behind it), CLOCK (``value`` = instant up to which quiet candles are closed, ns), MODEL (``text`` =
            ``name@version`` that answers from now on; ``value`` = close time of the newest candle of its timeframe).
    """

    instrument: str
    kind: DecisionKind
    position: int
    value: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model said at ``as_of`` about ``target_time``.

    ``value`` is the log return over the horizon; ``low`` and ``high`` bound it; ``p_up`` is the probability that it
    is positive if the price moves at all (NaN where no direction model answers). ``row_hash`` is the hash of the
    feature row it saw.
    """

    id: str
    instrument: str
    timeframe: str
    made_at: int
    as_of: int
    horizon: int
    target_time: int
    value: float
    low: float
    high: float
    p_up: float
    close: float
    model: str
    model_version: str
    feature_set: str
    feature_version: str
    row_hash: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model of another target than return and direction said of the row at ``as_of``.

    ``said`` is what the target asks: one number, or the probability of each class (`tapeline.models.targets`).
    """

    id: str
    instrument: str
    timeframe: str
    target: str
    made_at: int
    as_of: int
    horizon: int
    said: tuple[float, ...]
    model: str
    model_version: str
    feature_set: str
    feature_version: str
    row_hash: str


DeadLetterKind = Literal["malformed", "conflict", "quarantined"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Bad input, kept raw with its reason."""

    source: str
    reason: str
    raw: bytes
    ts_init: int
    instrument: str = ""
    kind: DeadLetterKind = "malformed"


@dataclass(slots=True)
class Counters:
    """Monotonic counts by name."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, by: int = 1) -> None:
        """Count ``by`` more of ``name``."""
        self.counts[name] = self.counts.get(name, 0) + by

    def items(self) -> Iterable[tuple[str, int]]:
        """Return the counts in order of their names."""
        return sorted(self.counts.items())
