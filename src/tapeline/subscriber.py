"""What waits for one reader of the hub, and what that reader wants.

Nothing becomes JSON unless somebody wants it, and then once for all who want it. A reader that is too slow loses what
waits for it, is told how much, and goes on from the newest state.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tapeline import wire
from tapeline.errors import UsageError

CHANNELS = ("candles", "running", "features", "predictions", "outcomes", "answers", "gaps", "status", "trades")
EVERY = "*"
"""Stands for all instruments."""

_MOST_WANTS = 10_000


@dataclass(slots=True, eq=False)
class Event:
    """One thing that happened: the ``seq``-th of this process, or the newest such as a ``snapshot``.

    ``rows`` makes its data: a list of rows, of the channel ``status`` an object.
    """

    seq: int
    channel: str
    instrument: str
    timeframe: str
    rows: Callable[[], Any]
    kind: str = "update"
    _text: str = ""

    def text(self) -> str:
        """Return it as JSON, made at most once."""
        if not self._text:
            told: dict[str, Any] = {"seq": self.seq, "channel": self.channel, "type": self.kind}
            named = {"instrument": self.instrument, "timeframe": self.timeframe}
            told |= {key: name for key, name in named.items() if name}
            self._text = wire.encode(told | {"data": self.rows()}).decode()
        return self._text


class Wants:
    """Which events a reader wants: by channel and instrument, of all timeframes or of some."""

    def __init__(self) -> None:
        self._timeframes: dict[tuple[str, str], frozenset[str]] = {}

    def add(self, channels: Iterable[str], instruments: Iterable[str], timeframes: Iterable[str] = ()) -> None:
        """Want more.

        Raises:
            UsageError: a channel is not known, or it is too much.
        """
        some = frozenset(timeframes)
        names = list(instruments)
        for channel in channels:
            if channel not in CHANNELS:
                raise UsageError(
                    "stream channel", "is not known", expected=f"one of {', '.join(CHANNELS)}", was=channel
                )
            for name in [EVERY] if channel == "status" else names:
                had = self._timeframes.get((channel, name), some)
                self._timeframes[channel, name] = had | some if had and some else frozenset()
        if len(self._timeframes) > _MOST_WANTS:
            rule = f"at most {_MOST_WANTS} pairs of channel and instrument"
            raise UsageError("stream", "is asked for too much", expected=rule, was=len(self._timeframes))

    def remove(self, channels: Iterable[str], instruments: Iterable[str]) -> None:
        """Want less; ``*`` among the instruments: none of these channels any more."""
        gone, names = frozenset(channels), frozenset(instruments)
        every = EVERY in names
        self._timeframes = {
            key: some for key, some in self._timeframes.items() if key[0] not in gone or not (every or key[1] in names)
        }

    def __contains__(self, event: Event) -> bool:
        for name in (event.instrument, EVERY):
            some = self._timeframes.get((event.channel, name))
            if some is not None and (not some or not event.timeframe or event.timeframe in some):
                return True
        return False


class Subscriber:
    """What waits for one reader.

    Args:
        newest: gives snapshots of the newest state of all that is wanted.
        limit: how many updates wait at most; at one more all are dropped, and the newest state is sent instead.
    """

    def __init__(self, newest: Callable[[Wants], Iterable[Event]], limit: int) -> None:
        self._newest = newest
        self._limit = limit
        self._waiting: deque[str | Event] = deque()
        self._updates = 0
        self._woken = asyncio.Event()
        self._dropped = 0
        self._lost: set[str] = set()
        self.wants = Wants()
        self.lagged = 0
        self.closed = False

    @property
    def waiting(self) -> int:
        """Return how many messages wait."""
        return len(self._waiting)

    def offer(self, event: Event) -> None:
        """Add an update, if it is wanted."""
        if event not in self.wants:
            return
        if self._dropped or self._updates >= self._limit:
            self._drop(event)
        else:
            self._waiting.append(event)
            self._updates += 1
        self._woken.set()

    def tell(self, *messages: Mapping[str, Any] | Event) -> None:
        """Add answers and snapshots, which are never dropped."""
        self._waiting.extend(one if isinstance(one, Event) else wire.encode(one).decode() for one in messages)
        self._woken.set()

    def _drop(self, event: Event) -> None:
        """Forget the events that wait, and remember of which channels they were."""
        lost = [one for one in self._waiting if isinstance(one, Event)]
        self._waiting = deque(one for one in self._waiting if isinstance(one, str))
        self._lost.update(one.channel for one in (*lost, event))
        self._dropped += len(lost) + 1
        self._updates = 0

    async def take(self) -> list[str]:
        """Wait until something is there, and return all of it as JSON texts; empty once it is closed."""
        await self._woken.wait()
        self._woken.clear()
        if self.closed:
            return []
        taken = [one if isinstance(one, str) else one.text() for one in self._waiting]
        self._waiting.clear()
        self._updates = 0
        return taken + self._caught_up()

    def _caught_up(self) -> list[str]:
        if not self._dropped:
            return []
        lost, self._lost = self._lost, set()
        told = {"op": "lagged", "dropped": self._dropped, "channels": sorted(lost)}
        self.lagged += self._dropped
        self._dropped = 0
        newest = (event.text() for event in self._newest(self.wants) if event.channel in lost)
        return [wire.encode(told).decode(), *newest]

    def close(self) -> None:
        """Give nothing more. Idempotent."""
        self.closed = True
        self._woken.set()
