"""A venue's past as deliveries: the one way by which backfill and healing get trades."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import numpy as np

from tapeline.clock import SECOND, Clock
from tapeline.errors import UsageError
from tapeline.exchanges.base import Page, Span
from tapeline.ingest.base import Delivery, Missing, Place, Source
from tapeline.ingest.judging import judge, malformed, source_of
from tapeline.ingest.rest import Asking, Rest, unnoticed
from tapeline.types import Frame

_NEAR = 1000
"""Gaps among so many ids are asked for at once: about an answer of any venue."""


class Walking:
    """Fetch an instrument's past.

    Args:
        place: the venue.
        rest: asks it.
        clock: tells when an answer was here.
    """

    def __init__(self, place: Place, rest: Rest, clock: Clock) -> None:
        self._place = place
        self._rest = rest
        self._clock = clock
        self._source = f"{source_of(place)} REST"

    @property
    def possible(self) -> bool:
        """Return whether the venue gives its past."""
        return self._place.feed.history is not None

    async def deliveries(
        self, instrument: str, span: Span, source: Source, *, urgent: bool = True, asking: Asking = unnoticed
    ) -> AsyncGenerator[Delivery, None]:
        """Yield a span of an instrument's past, oldest first.

        Raises:
            UsageError: the venue does not give its past.
            VenueError: it did not answer, or will not.
            InputError: an answer could not be read.
        """
        history = self._place.feed.history
        if history is None:
            raise UsageError(f"{instrument} history", "cannot be had", expected="a venue that gives it", was="none")
        async for page in self._rest.pages(history(self._place.theirs(instrument), span), urgent=urgent, asking=asking):
            yield self._delivery(instrument, page, source)

    def _delivery(self, instrument: str, page: Page, source: Source) -> Delivery:
        now, feed = self._clock.now(), self._place.feed
        dead = malformed(self._source, page.bad, now, instrument)
        frames: list[Frame] = []
        if rows := len(page.trades):
            frames, letters = judge([instrument] * rows, self._source, page.trades, [now] * rows)
            dead += letters
        return Delivery(tuple(frames), tuple(dead), source, feed.kind, feed.contiguous, now, page.ignored)


def size(missing: Missing) -> int:
    """Return how many ids are missing."""
    return missing.last - missing.first + 1


def together(gaps: Sequence[Missing]) -> list[list[Missing]]:
    """Put gaps that lie close to each other together, in order; of many no more than about an answer holds.

    So one that fails does not keep those behind it from being asked for.
    """
    groups: list[list[Missing]] = []
    for gap in sorted(gaps, key=lambda one: one.first):
        if groups and gap.last - groups[-1][0].first < _NEAR:
            groups[-1].append(gap)
        else:
            groups.append([gap])
    return groups


def span_of(gaps: Sequence[Missing]) -> Span:
    """Return what to ask for, for gaps in order that lie together."""
    return Span(gaps[0].after, gaps[-1].before + SECOND, gaps[0].first, gaps[-1].last)


def only(delivery: Delivery, gaps: Sequence[Missing]) -> Delivery:
    """Return a delivery with those of its trades that are missing."""
    starts = np.array([gap.first for gap in gaps], np.int64)
    ends = np.array([gap.last for gap in gaps], np.int64)
    frames = []
    for frame in delivery.frames:
        place = np.searchsorted(starts, frame.trade_id, side="right") - 1
        wanted = (place >= 0) & (frame.trade_id <= ends[np.maximum(place, 0)])
        if wanted.any():
            frames.append(frame.take(wanted))
    return replace(delivery, frames=tuple(frames))
