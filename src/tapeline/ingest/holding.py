"""Live trades that wait while older ones of their instrument are fetched, so that the older ones come first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tapeline.ingest.base import Delivery, Sink
from tapeline.types import DeadLetter, Frame

_JOINED = 64
"""Frames that wait are joined so many at a time: most hold one trade, which takes 50 bytes, and themselves 1 KB."""


@dataclass(slots=True)
class _Held:
    """What waits for one instrument; ``like`` is the oldest delivery without its trades."""

    like: Delivery | None = None
    trades: int = 0
    joined: list[Frame] = field(default_factory=list)
    loose: list[Frame] = field(default_factory=list)

    def add(self, delivery: Delivery, frame: Frame) -> None:
        if self.like is None:
            self.like = replace(delivery, frames=(), dead=())
        self.trades += len(frame)
        self.loose.append(frame)
        if len(self.loose) == _JOINED:
            self.joined.append(Frame.concat(self.loose))
            self.loose = []


Judge = Callable[[Frame, Frame], tuple[Frame, Sequence[DeadLetter]]]
"""Returns of the trades that were held (the second), in the light of the first, those that can be true, and letters."""


def _believed(_past: Frame, held: Frame) -> tuple[Frame, Sequence[DeadLetter]]:
    return held, ()


class Holding:
    """Stand before a sink, and hold back the live trades of some instruments.

    Args:
        sink: takes the others, and these when they are released.
        most: trades of one instrument that are held; beyond it they are released though nothing older came.
    """

    def __init__(self, sink: Sink, most: int) -> None:
        self._sink = sink
        self._most = most
        self._held: dict[str, _Held] = {}
        self._order = asyncio.Lock()

    def hold(self, instrument: str) -> None:
        """Hold back what comes from now on."""
        self._held.setdefault(instrument, _Held())

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
                    held.add(delivery, frame)
                    full += [frame.instrument] * (held.trades > self._most)
            if passed or delivery.dead:
                whole = len(passed) == len(delivery.frames)
                await self._sink.take(delivery if whole else replace(delivery, frames=tuple(passed)))
        for name in full:
            await self.release(name)
        return full

    async def release(self, instrument: str, older: Delivery | None = None, judge: Judge = _believed) -> None:
        """Hold an instrument back no longer: pass on what is older and what was held, as one.

        Args:
            instrument: ours.
            older: what REST told.
            judge: parts what was held into what can follow that and letters for the rest.

        Raises:
            StoreUnavailable: see `Sink.take`.
        """
        async with self._order:
            held = self._held.pop(instrument, _Held())
            like = older or held.like
            if like is not None:
                frames = [frame for frame in older.frames if frame.instrument == instrument] if older else []
                waited, dead = [*held.joined, *held.loose], like.dead
                if frames and waited:
                    good, letters = judge(Frame.concat(frames), Frame.concat(waited))
                    waited, dead = [good], (*dead, *letters)
                frames += waited
                await self._sink.take(replace(like, frames=(Frame.concat(frames),) if frames else (), dead=dead))

    async def drained(self) -> None:
        """Wait until the sink has committed what was passed on, for a moment at most."""
        await self._sink.drained()

    def drop(self) -> None:
        """Forget what is held: the connection it came from has ended, and all of it is asked for again."""
        self._held.clear()
