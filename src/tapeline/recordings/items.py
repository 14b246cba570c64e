"""Rows of files that are no table: lists of JSON elements, and trades as the venues' parsers give them."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tapeline.exchanges.base import RawTrade
from tapeline.recordings.instants import TimeRule
from tapeline.recordings.judge import Rows
from tapeline.recordings.source import Source

_BETWEEN = re.compile(r"[\s,\[\]]*")
_NEXT = re.compile(r"(?:\}\s*,|\n)\s*(?=\{)")
_LONGEST = 1 << 20
_NS = TimeRule(("ns",))
_decoder = json.JSONDecoder(parse_float=str)


@dataclass(frozen=True, slots=True)
class Items:
    """Rows as a list; ``first`` is the number of the first, from 1."""

    items: Sequence[Any]
    first: int = 1

    @property
    def rows(self) -> int:
        """Return how many rows it holds."""
        return len(self.items)

    def cut(self, rows: int) -> tuple[Items, Items]:
        """Cut after ``rows`` rows."""
        return Items(self.items[:rows], self.first), Items(self.items[rows:], self.first + rows)


def blocks_of(items: Iterator[Any], rows: int) -> Iterator[Items]:
    """Gather items into blocks of ``rows``."""
    first, held = 1, list[Any]()
    for item in items:
        held.append(item)
        if len(held) >= rows:
            yield Items(held, first)
            first, held = first + len(held), []
    if held:
        yield Items(held, first)


def raw_rows(
    trades: Sequence[RawTrade],
    places: Sequence[tuple[int, bytes]],
    names: Sequence[str],
    received: Sequence[int] | None = None,
    *,
    ids: bool = True,
) -> Rows:
    """Return trades of a venue's parser as rows to be judged; without ``ids`` theirs are left aside."""
    _, numbers, stamps, prices, quantities, sides, counts = zip(*trades, strict=True)
    return Rows(
        price=pa.array(prices, pa.string()),
        qty=pa.array(quantities, pa.string()),
        time=pa.array(stamps, pa.int64()),
        rule=_NS,
        locate=places.__getitem__,
        trade_id=pa.array(numbers, pa.int64()) if ids else None,
        side=pa.array(sides, pa.int64()),
        received=None if received is None else pa.array(received, pa.int64()),
        received_rule=_NS,
        count=pa.array(counts, pa.int64()),
        instruments=np.array(names, np.object_),
    )


class Elements:
    """The objects of a JSON list, or of JSON lines, one by one, in bounded memory; fractions stay text."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.tail = b""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield (text, object); what cannot be read comes with None."""
        text, self.tail = "", b""
        for more, done in self._pieces():
            text += more
            at = 0
            while at < len(text):
                at, item = _next(text, at, done)
                if item is None:
                    break
                yield item
            text = text[at:]
        if self._source.damage:
            self.tail = text.encode("utf-8", "replace")
        elif text:
            yield text, None

    def _pieces(self) -> Iterator[tuple[str, bool]]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for _, piece in self._source.stream():
            yield decoder.decode(piece), False
        yield decoder.decode(b"", final=True), True


def _next(text: str, at: int, done: bool) -> tuple[int, tuple[str, Any] | None]:
    """Return where to go on, and the element at ``at`` if there is a whole one."""
    begin = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
    if begin == len(text):
        return begin, None
    try:
        value, end = _decoder.raw_decode(text, begin)
    except (ValueError, RecursionError):
        if not done and len(text) - begin < _LONGEST:
            return begin, None
        return _resync(text, begin)
    if not done and end == len(text) and not isinstance(value, dict):
        return begin, None
    return end, (text[begin:end], value)


def _resync(text: str, begin: int) -> tuple[int, tuple[str, Any] | None]:
    close = _NEXT.search(text, begin + 1)
    if close is None:
        return begin, None
    end = close.end()
    return end, (text[begin:end], None)
