"""Pages of candles, kept as the bytes they are answered with until a commit changes a candle of them.

A page grows by the candles that closed since: only these are encoded, and the database is not even asked where the
store remembers what its commits gave. It is kept only where its candles are as stored; what was folded for the answer
is not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import msgspec
from fastapi import Request, Response

from tapeline import query, wire
from tapeline.api.answers import Body, body_of, respond_with, takes_small
from tapeline.api.context import Context
from tapeline.api.params import Place, Span
from tapeline.config import Settings
from tapeline.documents import Page
from tapeline.stores import rows
from tapeline.stores._duckdb_changes import NONE, Changes
from tapeline.stores._duckdb_reader import Reader
from tapeline.types import Records, Timeframe

_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: the last ``limit`` candles with open_time in [start, end)."""

    instrument: str
    timeframe: str
    start: int | None
    end: int | None
    limit: int

    @classmethod
    def of(cls, instrument: str, timeframe: str, span: Span) -> Asked:
        """Return what the parameters of the route ask for."""
        return cls(instrument, str(Timeframe.parse(timeframe)), span.start, span.end_before(), span.limit)


@dataclass(frozen=True, slots=True)
class CandlePage:
    """The candles asked for as JSON, and one before them where there is one.

    Attributes:
        asked: for.
        changes: of the store it was read from.
        mark: of these; the candles are at least as new.
        items: each candle, in order of time.
        times: their open_time, ns UTC.
        source: whose they are.
        note: what the user should know.
        kept: whether they are as stored.
        bodies: what was sent of it, by whether it may be compressed.
    """

    asked: Asked
    changes: Changes
    mark: int
    items: list[bytes]
    times: list[int]
    source: str
    note: str
    kept: bool
    bodies: dict[bool, Body] = field(default_factory=dict)

    def changed_from(self, *, noted: bool = False) -> int:
        """Return the open_time from which on it may have changed since; see `Changes.since`."""
        asked = self.asked
        begin = self.changes.since(self.mark, asked.instrument, asked.timeframe, noted=noted)
        return NONE if asked.end is not None and begin >= asked.end else begin

    def size(self) -> int:
        """Return about how many bytes it takes."""
        return sum(map(len, self.items)) + sum(len(body.raw) for body in self.bodies.values())

    def document(self) -> Page[msgspec.Raw]:
        """Return it as the document that is answered."""
        limit = self.asked.limit
        place = Place((self.times[-limit],) if len(self.times) > limit else ())
        return Page([msgspec.Raw(one) for one in self.items[-limit:]], place.text(), self.note)


class CandlePages:
    """Answer ``/v1/candles``.

    Args:
        shared: the way to the store.
        most_bytes: how much is kept at most; what was not asked for longest goes first.
    """

    def __init__(self, shared: Context, most_bytes: int = _MOST_BYTES) -> None:
        self._shared = shared
        self._most_bytes = most_bytes
        self._pages: OrderedDict[Asked, CandlePage] = OrderedDict()
        self._bytes = 0

    async def answer(self, request: Request, asked: Asked) -> Response:
        """Answer from what is kept, or from the database as it is committed now."""
        small, page = takes_small(request), self._pages.get(asked)
        if page is None or small not in page.bodies or page.changed_from() != NONE:
            page = await self._made(asked, page, small=small)
            self._keep(page)
        else:
            self._pages.move_to_end(asked)
        return respond_with(request, page.bodies[small])

    async def _made(self, asked: Asked, before: CandlePage | None, *, small: bool) -> CandlePage:
        """Return a page as it is committed now, from what commits gave since it was kept or from the database."""
        page = await self._shared.work(partial(grown, before, small=small)) if before else None
        if page is not None:
            return page
        settings = self._shared.settings
        return await self._shared.read(lambda reader: read(reader, settings, asked, before, small=small))

    def _keep(self, page: CandlePage) -> None:
        before = self._pages.pop(page.asked, None)
        self._bytes -= before.size() if before else 0
        if page.kept:
            self._pages[page.asked] = page
            self._bytes += page.size()
        while self._bytes > self._most_bytes:
            self._bytes -= self._pages.popitem(last=False)[1].size()


def read(reader: Reader, settings: Settings, asked: Asked, before: CandlePage | None, *, small: bool) -> CandlePage:
    """Return a page with what is sent of it, from an earlier one as far as that still holds.

    Args:
        reader: of the database.
        settings: tell what is stored.
        asked: for.
        before: the page as it was kept.
        small: whether what is sent may be compressed.
    """
    page = (_grown(reader, before) if before else None) or _whole(reader, settings, asked)
    return _sent(page, small=small)


def grown(before: CandlePage, *, small: bool) -> CandlePage | None:
    """Return an earlier page with the candles that commits gave since; None where the database must be asked.

    That is where they gave others than new ones after those of the page, each once and in order of time.
    """
    asked, mark = before.asked, before.changes.mark
    if before.changed_from() == NONE:
        return _sent(before, small=small)
    given = before.changes.given(before.mark, mark, asked.instrument, asked.timeframe)
    if given is None or not before.times or set(given["source"].to_pylist()) != {before.source}:
        return None
    times = [before.times[-1], *given["open_time"].to_pylist()]
    if any(one >= after for one, after in pairwise(times)):
        return None
    candles = rows.to_candles(given)
    kept = candles if asked.end is None else candles[candles["open_time"] < asked.end]
    return _sent(_longer(before, mark, kept), small=small)


def _sent(page: CandlePage, *, small: bool) -> CandlePage:
    """Return a page with what is sent of it."""
    return replace(page, bodies={**page.bodies, small: body_of(page.document(), small=small)})


def _whole(reader: Reader, settings: Settings, asked: Asked) -> CandlePage:
    most = asked.limit + 1
    found = query.candles(reader, settings, asked.instrument, asked.timeframe, asked.start, asked.end, most)
    items, times = _encoded(asked, found.records, found.source)
    return CandlePage(asked, reader.changes, reader.mark, items, times, found.source, found.note, found.stored)


def _grown(reader: Reader, before: CandlePage) -> CandlePage | None:
    """Return an earlier page with the candles after it; None where those in it may have changed."""
    if before.changes is not reader.changes:
        return None
    if before.changed_from(noted=True) == NONE:
        return before
    if not before.times:
        return None
    asked, last = before.asked, before.times[-1]
    found = reader.read(
        "candles",
        instrument=asked.instrument,
        start=last + 1,
        end=asked.end,
        timeframe=asked.timeframe,
        source=before.source,
    )
    if before.changed_from(noted=True) <= last:
        return None
    return _longer(before, reader.mark, rows.to_candles(found))


def _longer(page: CandlePage, mark: int, candles: Records) -> CandlePage:
    """Return a page with the candles after it, as it is at a mark."""
    items, times = _encoded(page.asked, candles, page.source)
    kept = slice(-page.asked.limit - 1, None)
    items, times = (page.items + items)[kept], (page.times + times)[kept]
    return replace(page, mark=mark, items=items, times=times, bodies={})


def _encoded(asked: Asked, records: Records, source: str) -> tuple[list[bytes], list[int]]:
    made: Sequence[wire.Candle] = wire.candles(asked.instrument, asked.timeframe, records, source=source)
    return [wire.encode(one) for one in made], records["open_time"].tolist()
