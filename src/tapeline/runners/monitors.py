"""Monitors beside the live process: measure drift, live error and anomalies from time to time, and act on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tapeline.clock import SECOND, Clock, parse_duration
from tapeline.config import Settings
from tapeline.drift_watch import DriftWatch
from tapeline.errors import StoreError
from tapeline.hub import Hub
from tapeline.monitoring import Monitored, monitored
from tapeline.registry import Entry
from tapeline.runners.trouble import Trouble
from tapeline.stores.base import Store

_FIRST = 10.0


class Monitors:
    """Measure again and again, tell the hub, and ask for a new model where one is needed.

    Args:
        settings: how often.
        reader: opens a store for reading in the calling thread.
        hub: keeps what was found.
        clock: tells when.
        wanted: is told which champion should be trained anew, and why.
        tell: is told what is new to a person.
    """

    def __init__(
        self,
        settings: Settings,
        reader: Callable[[], AbstractContextManager[Store]],
        hub: Hub,
        *,
        clock: Clock,
        wanted: Callable[[Entry, str], None] = lambda entry, why: None,
        tell: Callable[..., None] = lambda event, **what: None,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._hub = hub
        self._clock = clock
        self._wanted = wanted
        self._tell = tell
        self._trouble = Trouble(tell, "not monitored", "monitored again")
        self._watch = DriftWatch(settings)
        self._told: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Measure for ever; not at once, for a process that starts has other work."""
        every = parse_duration(self._settings.monitor) / SECOND
        await asyncio.sleep(min(every, _FIRST))
        while True:
            await self.measure()
            await asyncio.sleep(every)

    async def measure(self) -> None:
        """Measure once; a database that cannot be read now is read the next time."""
        try:
            found = await asyncio.to_thread(self._measured)
        except StoreError as error:
            self._trouble.begin(str(error))
            return
        self._trouble.end()
        self._hub.monitored = found
        self._act(found)

    def _measured(self) -> Monitored:
        with self._reader() as store:
            return monitored(store, self._settings, self._watch, now=self._clock.now())

    def _act(self, found: Monitored) -> None:
        for reason in sorted(set(found.reasons) - self._told):
            self._tell("monitor", reason=reason)
        self._told = frozenset(found.reasons)
        champions = {one.entry.name: one.entry for one in found.drift}
        for name, why in {**found.drifted, **found.failing}.items():
            self._wanted(champions[name], why)


def drift_status(found: Monitored | None) -> dict[str, Any] | None:
    """Return for the status how many features are watched and how many drifted, None where nothing is measured."""
    drifts = [drift for one in found.drift for drift in one.drifts] if found else []
    if not drifts:
        return None
    return {"features": len(drifts), "drifted": sum(drift.level != "none" for drift in drifts)}
