"""What ingest hands on, what it asks of whoever keeps the trades, and how it tells its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tapeline.exchanges.base import Exchange, Feed
from tapeline.types import DeadLetter, Frame

_MOST_KINDS = 64


class Source(StrEnum):
    """How trades came."""

    LIVE = "live"
    SNAPSHOT = "snapshot"
    HEAL = "heal"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Judged trades and what was refused, in the order in which they came.

    Attributes:
        frames: one an instrument.
        dead: what was refused, raw, with its reason.
        source: how they came.
        id_kind: whose ids the trades have, as in `Feed`.
        contiguous: whether a missing id is a missing trade.
        received: when the first byte of the oldest message was here, ns UTC.
        ignored: how many rows were left out because they are no trades to us, by the name of their kind.
    """

    frames: tuple[Frame, ...]
    dead: tuple[DeadLetter, ...] = ()
    source: Source = Source.LIVE
    id_kind: str = "trade"
    contiguous: bool = True
    received: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """Awaited ids of an instrument, with the ts_event of their neighbours (ns UTC)."""

    instrument: str
    first: int
    last: int
    after: int
    before: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the tape of an instrument ends: what a connection goes on from.

    ``trade_id`` and ``ts_event`` are of the newest trade kept, None where there is none; ``missing`` are the awaited
    ids before it.
    """

    instrument: str
    trade_id: int | None
    ts_event: int | None
    missing: tuple[Missing, ...] = ()


class Sink(Protocol):
    """Keep what ingest delivers. `standing` and `give_up` wait until all delivered before was committed or refused."""

    async def take(self, delivery: Delivery) -> None:
        """Queue a delivery; waits while the queue is full, so that a slow disk slows the socket.

        Raises:
            StoreUnavailable: nothing can be kept now; ingest closes its sockets and heals later.
        """

    async def drained(self) -> None:
        """Wait until nothing waits to be committed, for a moment at most: to read on meanwhile slows the commit."""

    async def standing(self, instrument: str) -> Standing:
        """Return where an instrument stands once everything taken before is committed."""

    async def give_up(self, *missing: Missing) -> None:
        """Decide that the venue cannot give these ids of an instrument any more."""


class State(StrEnum):
    """What a connection is doing."""

    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    STALE = "stale"
    HEALING = "healing"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(slots=True)
class Status:
    """One connection as it stands, for people and for metrics; times are ns UTC, None while unknown.

    ``refused`` are instruments by the venue's reason; ``skew`` is how far the venue's clock is ahead of ours (ns);
    ``reason`` says why the state is what it is; ``notes`` are what is odd or failed, by instrument; ``ignored`` counts
    what is no trade to us, live and by REST, by the name of its kind.
    """

    venue: str
    feed: str
    connection: int
    state: State = State.CONNECTING
    since: int = 0
    reason: str = ""
    instruments: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    last_message: int | None = None
    last_trade: int | None = None
    skew: int | None = None
    messages: int = 0
    trades: int = 0
    malformed: int = 0
    connects: int = 0
    disconnects: int = 0
    lost_messages: int = 0
    requests: int = 0
    healed: int = 0
    unhealable: int = 0


def count_kinds(counts: dict[str, int], more: Mapping[str, int]) -> None:
    """Add to counts by name; a venue that makes up ever more names fills one of ``other``, not our memory.

    >>> counts = {"heartbeat": 1}
    >>> count_kinds(counts, {"heartbeat": 2, "status": 1})
    >>> counts
    {'heartbeat': 3, 'status': 1}
    """
    for name, count in more.items():
        known = name if name in counts or len(counts) < _MOST_KINDS else "other"
        counts[known] = counts.get(known, 0) + count


@dataclass(frozen=True, slots=True)
class Place:
    """Where to reach a venue, and under which name its instruments are kept.

    ``venue`` is that of the exchange, but SIM for a simulated one: then everything from it carries that name.
    """

    exchange: Exchange
    feed: Feed
    ws_url: str
    rest_url: str
    venue: str
    key: str = ""

    def ours(self, instrument: str) -> str:
        """Return the name under which an instrument of the exchange is kept."""
        return f"{instrument.rpartition('.')[0]}.{self.venue}"

    def theirs(self, instrument: str) -> str:
        """Return the exchange's own name of an instrument that is kept."""
        return f"{instrument.rpartition('.')[0]}.{self.exchange.venue}"
