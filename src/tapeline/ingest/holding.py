"""Live trades that wait while older ones of their instrument are fetched, so that the older ones come first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from tapeline.ingest.base import Delivery, Sink
from tapeline.types import Frame


class Holding:
    """Stand before a sink, and hold back the live trades of some instruments.

    Args:
        sink: takes the others, and these when they are released.
        most: trades of one instrument that are held; beyond it they are released though nothing older came.
    """

    def __init__(self, sink: Sink, most: int) -> None:
        self._sink = sink
        self._most = most
        self._held: dict[str, list[Delivery]] = {}
        self._order = asyncio.Lock()

    def hold(self, instrument: str) -> None:
        """Hold back what comes from now on."""
        self._held.setdefault(instrument, [])

    def holds(self, instrument: str) -> bool:
        """Return whether trades of an instrument are held back."""
        return instrument in self._held

    async def take(self, delivery: Delivery) -> list[str]:
        """Pass a live delivery on, less what is to wait; return instruments of which too much waited.

        Raises:
            StoreUnavailable: see `Sink.take`.
        """
        async with self._order:
            passed, full = [], []
            for frame in delivery.frames:
                held = self._held.get(frame.instrument)
                if held is None:
                    passed.append(frame)
                else:
                    held.append(replace(delivery, frames=(frame,), dead=()))
                    full += [frame.instrument] * (sum(len(one.frames[0]) for one in held) > self._most)
            if passed or delivery.dead:
                await self._sink.take(replace(delivery, frames=tuple(passed)))
        for name in full:
            await self.release(name)
        return full

    async def release(self, instrument: str, older: Delivery | None = None) -> None:
        """Hold an instrument back no longer: pass on what is older and what was held, as one.

        Raises:
            StoreUnavailable: see `Sink.take`.
        """
        async with self._order:
            parts = [*([older] if older else []), *self._held.pop(instrument, [])]
            if parts:
                await self._sink.take(_joined(instrument, parts))

    def drop(self) -> None:
        """Forget what is held: the connection it came from has ended, and all of it is asked for again."""
        self._held.clear()


def _joined(instrument: str, parts: Sequence[Delivery]) -> Delivery:
    frames = [frame for part in parts for frame in part.frames if frame.instrument == instrument]
    dead = tuple(letter for part in parts for letter in part.dead)
    return replace(parts[0], frames=(Frame.concat(frames),) if frames else (), dead=dead)
