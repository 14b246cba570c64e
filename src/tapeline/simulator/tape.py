"""What truly happened at the simulated venue: rows that are never changed, found by position, id or time.

No message and no fault ever touches it: whatever a client is told wrongly, REST can tell it rightly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapeline.types import Float, Frame, Int

_KEEP = 5_000_000
_BLOCK = 1 << 15
_KINDS = (np.int64, np.int64, np.int64, np.float64, np.float64, np.int8, np.int64)
"""Of the columns: those of a frame but the last, then the latest time so far."""
_ID, _LATEST = 0, 6


@dataclass(frozen=True, slots=True)
class Listing:
    """What is traded, and with how many decimals numbers are written; None: as many as each number needs.

    ``quote`` is empty for a stock.
    """

    instrument: str
    base: str
    quote: str
    price_decimals: int | None = None
    qty_decimals: int | None = None

    def prices(self, values: Float) -> list[str]:
        """Write prices; reading the text gives the same number.

        >>> import numpy as np
        >>> Listing("BTC-USD.SIM", "BTC", "USD", 2).prices(np.array([60000.1]))
        ['60000.10']
        """
        return decimal_texts(values, self.price_decimals)

    def qtys(self, values: Float) -> list[str]:
        """Write quantities; reading the text gives the same number."""
        return decimal_texts(values, self.qty_decimals)


def decimal_texts(values: Float, decimals: int | None) -> list[str]:
    """Write numbers with so many decimals, or, without, each with as few as it needs."""
    if decimals is None:
        return [np.format_float_positional(value, trim="-") for value in values]
    form = f"%.{decimals}f"
    return [form % value for value in values.tolist()]


class Tape:
    """The trades of one instrument in the order in which they happened.

    A position counts every trade ever appended from 0; it stays the same when the oldest trades are dropped to save
    memory, so that ``start`` <= position < ``end`` can be had. They lie in blocks: a column that grew would be copied,
    and a venue that stands still for that long is no venue.

    Args:
        listing: what is traded.
        keep: how many of the newest trades can be had at least.
    """

    def __init__(self, listing: Listing, *, keep: int = _KEEP) -> None:
        self.listing = listing
        self.start = 0
        self.end = 0
        """The position after the newest trade."""
        self._keep = keep
        self._block = min(keep, _BLOCK)
        self._blocks: deque[list[NDArray[Any]]] = deque()
        self._ascending = True
        self._last: tuple[int, int] | None = None  # id and latest time of the newest trade

    def append(self, frame: Frame) -> None:
        """Add trades that happened after all those here."""
        if not len(frame):
            return
        ids, latest = frame.trade_id, np.maximum.accumulate(frame.ts_event)
        if self._last is not None:
            latest = np.maximum(latest, self._last[1])
            ids = np.concatenate([[self._last[0]], ids])
        self._ascending = self._ascending and bool((np.diff(ids) > 0).all())
        self._last = int(ids[-1]), int(latest[-1])
        columns, done = (*frame.columns()[:6], latest), 0
        while done < len(frame):
            block, used = self._open_block()
            count = min(self._block - used, len(frame) - done)
            for column, values in zip(block, columns, strict=True):
                column[used : used + count] = values[done : done + count]
            done, self.end = done + count, self.end + count

    def _open_block(self) -> tuple[list[NDArray[Any]], int]:
        """Return the newest block, which is not full, and how many trades it holds; drop the oldest that may be."""
        used = (self.end - self.start) % self._block
        if not used:
            self._blocks.append([np.empty(self._block, kind) for kind in _KINDS])
            if self.end - self.start >= self._keep + self._block:
                self._blocks.popleft()
                self.start += self._block
        return self._blocks[-1], used

    def at_id(self, trade_id: int) -> int:
        """Return the position of the first trade with this id or a greater one."""
        for place, ids in self._pieces(_ID):
            if self._ascending and trade_id <= ids[-1]:
                return place + int(np.searchsorted(ids, trade_id))
            if not self._ascending and len(found := np.flatnonzero(ids >= trade_id)):
                return place + int(found[0])
        return self.end

    def at_time(self, ns: int) -> int:
        """Return the position of the first trade that happened at ``ns`` (UTC) or after it."""
        for place, latest in self._pieces(_LATEST):
            if ns <= latest[-1]:
                return place + int(np.searchsorted(latest, ns))
        return self.end

    def _pieces(self, column: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield what each block holds of a column, with the position at which it begins."""
        for place, block in enumerate(self._blocks):
            begin = self.start + place * self._block
            yield begin, block[column][: self.end - begin]

    def rows(self, start: int, end: int) -> Frame:
        """Return the trades from position ``start`` up to ``end``, as far as they can be had."""
        low, high = max(start, self.start), min(end, self.end)
        first, last = (low - self.start) // self._block, (high - 1 - self.start) // self._block
        frames = [Frame.empty(self.listing.instrument)]
        for place in range(first, last + 1 if low < high else first):
            begin = self.start + place * self._block
            columns = [column[max(low - begin, 0) : high - begin] for column in self._blocks[place][:6]]
            frames.append(Frame(self.listing.instrument, *columns, *[np.ones(len(columns[0]), np.int32)]))
        return Frame.concat(frames)

    def newest(self, count: int) -> Frame:
        """Return the last ``count`` trades, oldest first."""
        return self.rows(self.end - count, self.end)

    def whole(self) -> Frame:
        """Return every trade that can be had."""
        return self.rows(self.start, self.end)

    def without_rows(self) -> Tape:
        """Return a tape of the same listing on which nothing ever happened."""
        return Tape(self.listing, keep=1)


Tapes = Mapping[str, Tape]
"""The tapes of a venue by instrument."""


def micro(ns: int) -> str:
    """Write an instant as `micros` does."""
    return micros(np.array([ns]))[0]


def micros(ns: Int) -> list[str]:
    """Write instants as RFC 3339 with microseconds, which is what venues write; finer digits are cut off.

    >>> import numpy as np
    >>> micros(np.array([1_500_000_999]))
    ['1970-01-01T00:00:01.500000Z']
    """
    return [f"{text}Z" for text in np.datetime_as_string(ns.astype("datetime64[ns]"), unit="us").tolist()]
