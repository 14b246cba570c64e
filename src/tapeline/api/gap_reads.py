"""What the route of gaps reads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from tapeline import query, wire
from tapeline.api.params import Place, Span
from tapeline.coverage import times_beside
from tapeline.documents import Page
from tapeline.errors import UsageError
from tapeline.stores._duckdb_reader import Reader

Row = dict[str, Any]


def gaps(reader: Reader, instrument: str | None, span: Span) -> Page[wire.Gap]:
    """Return the last gaps by id, healed ones too; of a span of time those whose place in time touches it.

    Raises:
        UsageError: the cursor is of another route.
    """
    if instrument is not None:
        query.known(reader, instrument)
    stored = sorted(reader.read("gaps", instrument=instrument).to_pylist(), key=_place)
    if span.start is not None or span.end is not None:
        stored = _touching(reader, stored, span)
    if span.place.before:
        stored = stored[: bisect_left(stored, _read_place(span.place), key=_place)]
    kept = stored[-span.limit :]
    more = len(stored) > len(kept)
    return Page(wire.gaps(kept, times_beside(reader, kept)), Place(_place(kept[0]) if more else ()).text())


def _place(gap: Row) -> tuple[str, int]:
    return gap["instrument"], gap["first_missing"]


def _read_place(place: Place) -> tuple[str, int]:
    match place.before:
        case (str(name), int(first)):
            return name, first
    raise UsageError("cursor", "is of another route", expected="the next of an answer of this route", was=place.text())


def _touching(reader: Reader, stored: Sequence[Row], span: Span) -> list[Row]:
    times = times_beside(reader, stored)
    start, end = span.start, span.end
    begun = [times.get((gap["instrument"], gap["first_missing"] - 1)) for gap in stored]
    ended = [times.get((gap["instrument"], gap["last_missing"] + 1)) for gap in stored]
    return [
        gap
        for gap, first, last in zip(stored, begun, ended, strict=True)
        if first is not None and last is not None and (start is None or last >= start) and (end is None or first < end)
    ]
