"""What the live process knows of an instrument beyond its tape: its connection, the venue's time, what was shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tapeline.ingest.base import Delivery, Source
from tapeline.types import Counters, Frame


class Taken(NamedTuple):
    """A delivery, and when it was taken by a clock that only runs forward (ns)."""

    delivery: Delivery
    at: int


class Heard(NamedTuple):
    """Up to when all was heard that the venue said of instruments, ns of that clock; None: trades may be missed."""

    instruments: Sequence[str]
    at: int | None


@dataclass(slots=True)
class Mail:
    """All that waits for one instrument with ids of one kind."""

    instrument: str
    id_kind: str
    contiguous: bool
    frames: list[Frame] = field(default_factory=list)
    healing: bool = False


def mail_of(taken: Iterable[Taken]) -> list[Mail]:
    """Sort deliveries by instrument, keeping their order."""
    mails: dict[tuple[str, str], Mail] = {}
    for delivery, _ in taken:
        healing = delivery.source in (Source.HEAL, Source.BACKFILL)
        for frame in delivery.frames:
            key = (frame.instrument, delivery.id_kind)
            if key not in mails:
                mails[key] = Mail(*key, delivery.contiguous)
            mails[key].frames.append(frame)
            mails[key].healing |= healing
    return list(mails.values())


@dataclass(slots=True)
class Batch:
    """What one transaction is to keep.

    ``taken`` are deliveries all of which is kept with it, also what they hold beside trades.
    """

    mails: list[Mail]
    taken: Sequence[Taken] = ()


@dataclass(slots=True)
class Watch:
    """One instrument, as the keeper watches it.

    Attributes:
        heard: up to when (ns of the timer) we would know of a trade: only there is silence a quiet market.
        saved: when its state was stored last (ns of the timer).
        unsaved: whether it moved since.
        adopted: whether its models were put in.
    """

    heard: int | None = None
    saved: int = 0
    unsaved: bool = False
    adopted: bool = False


@dataclass(slots=True)
class Facts:
    """What people are told of an instrument; times are ns UTC, None while unknown.

    ``warmup`` is by timeframe how many complete candles in a row there are, and how many are needed.
    """

    trades: int = 0
    last_trade: int | None = None
    price: float | None = None
    pending: int = 0
    gaps: dict[str, int] = field(default_factory=lambda: {"open": 0, "healed": 0, "unhealable": 0})
    totals: Counters = field(default_factory=Counters)
    warmup: dict[str, tuple[int, int]] = field(default_factory=dict)
    note: str = ""

    def saw(self, frame: Frame) -> None:
        """Note trades that are new."""
        self.trades += len(frame)
        newest = int(frame.ts_event.argmax())
        if self.last_trade is None or frame.ts_event[newest] >= self.last_trade:
            self.last_trade, self.price = int(frame.ts_event[newest]), float(frame.price[newest])


class VenueTime:
    """A venue's time, told by what it shows (its trades, before the first of them its REST) and a timer.

    The timer only runs forward: setting the wall clock cannot move it. It is never ahead of what the venue itself has
    shown or of our clock at that moment; our clock alone tells nothing, for it may be ahead of the venue's.
    """

    def __init__(self) -> None:
        self._offset: int | None = None

    def saw(self, frame: Frame, at: int) -> None:
        """Note live trades that came at ``at`` of the timer."""
        self._offset = min(int(frame.ts_event.max()), int(frame.ts_init.max())) - at

    def begin(self, now: int, at: int) -> None:
        """Take what the venue showed otherwise, until the first trade comes."""
        if self._offset is None:
            self._offset = now - at

    def at(self, at: int) -> int | None:
        """Return the venue's time at ``at`` of the timer, ns UTC; None while nothing is known."""
        return None if self._offset is None else self._offset + at
