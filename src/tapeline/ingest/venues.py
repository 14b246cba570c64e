"""All connections of a process: a venue's instruments are spread over as many as they need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random

from tapeline.clock import Clock
from tapeline.ingest.base import Place, Sink, State, Status
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.connection import Connection, Shared
from tapeline.ingest.heal import Live
from tapeline.ingest.limits import Allowance
from tapeline.ingest.rest import Rest, new_client
from tapeline.ingest.steady import SteadyClock


class Ingest:
    """Follow instruments at several venues.

    Args:
        followed: by place, the instruments as they are kept.
        sink: keeps what comes.
        clock: tells when messages were received.
        bounds: how long to wait, how much to keep.
        seed: of the waits between attempts.
        live: is told how far we would know of a trade of an instrument if there was one, as in `Live`.
        shown: is told what the own clock of a venue shows, by whole seconds, ns UTC.
    """

    def __init__(
        self,
        followed: Sequence[tuple[Place, Sequence[str]]],
        sink: Sink,
        *,
        clock: Clock,
        bounds: Bounds | None = None,
        seed: int = 0,
        live: Live = lambda instruments, ago: None,
        shown: Callable[[str, int], None] = lambda venue, now: None,
    ) -> None:
        bounds, random, clock = bounds or Bounds(), Random(seed), SteadyClock(clock)
        self._client = new_client()
        self._connections: list[Connection] = []
        self._rests: Mapping[str, Rest] = {
            place.venue: Rest(
                place, bounds=bounds, random=random, client=self._client, shown=partial(shown, place.venue)
            )
            for place, _ in followed
        }
        for place, instruments in followed:
            connects = Allowance(place.feed.limits.connects)
            shared = Shared(place, sink, self._rests[place.venue], connects, bounds, clock, random, live)
            most = place.feed.max_instruments
            parts = [instruments[at : at + most] for at in range(0, len(instruments), most)]
            self._connections += [Connection(shared, part, number) for number, part in enumerate(parts, 1)]

    @property
    def statuses(self) -> list[Status]:
        """Return each connection as it stands; a venue's REST requests are counted on its first."""
        for connection in self._connections:
            if connection.status.connection == 1:
                connection.status.requests = self._rests[connection.status.venue].requests
        return [connection.status for connection in self._connections]

    @property
    def over(self) -> bool:
        """Return whether every connection was refused for good."""
        return all(status.state is State.STOPPED for status in self.statuses)

    async def run(self) -> None:
        """Follow until cancelled, or until every connection was refused for good.

        Raises:
            ExceptionGroup: of a bug of ours, or of a store that can never take anything.
        """
        async with self._client, asyncio.TaskGroup() as tasks:
            for connection in self._connections:
                tasks.create_task(connection.run(), name=f"{connection.status.venue} {connection.status.connection}")
