"""What truly happened at the simulated venue: rows that are never changed, found by position, id or time.

No message and no fault ever touches it: whatever a client is told wrongly, REST can tell it rightly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapeline.types import Float, Frame, Int

_KEEP = 5_000_000


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
    memory, so that ``start`` <= position < ``end`` can be had.

    Args:
        listing: what is traded.
        keep: how many of the newest trades can be had at least.
    """

    def __init__(self, listing: Listing, *, keep: int = _KEEP) -> None:
        self.listing = listing
        self.start = 0
        self._keep = keep
        self._rows = 0
        self._ascending = True
        kinds = (np.int64, np.int64, np.int64, np.float64, np.float64, np.int8, np.int64)
        self._columns: list[NDArray[Any]] = [np.empty(1024, kind) for kind in kinds]

    @property
    def end(self) -> int:
        """Return the position after the newest trade."""
        return self.start + self._rows

    def append(self, frame: Frame) -> None:
        """Add trades that happened after all those here."""
        if not len(frame):
            return
        ids, latest = frame.trade_id, np.maximum.accumulate(frame.ts_event)
        if self._rows:
            latest = np.maximum(latest, self._columns[6][self._rows - 1])
            ids = np.concatenate([self._columns[0][self._rows - 1 : self._rows], ids])
        self._ascending = self._ascending and bool((np.diff(ids) > 0).all())
        self._make_room(len(frame))
        to = slice(self._rows, self._rows + len(frame))
        for column, values in zip(self._columns, (*frame.columns()[:6], latest), strict=True):
            column[to] = values
        self._rows += len(frame)

    def at_id(self, trade_id: int) -> int:
        """Return the position of the first trade with this id or a greater one."""
        ids = self._columns[0][: self._rows]
        if self._ascending:
            return self.start + int(np.searchsorted(ids, trade_id))
        found = np.flatnonzero(ids >= trade_id)
        return self.start + int(found[0]) if len(found) else self.end

    def at_time(self, ns: int) -> int:
        """Return the position of the first trade that happened at ``ns`` (UTC) or after it."""
        return self.start + int(np.searchsorted(self._columns[6][: self._rows], ns))

    def rows(self, start: int, end: int) -> Frame:
        """Return the trades from position ``start`` up to ``end``, as far as they can be had."""
        low, high = (min(max(at - self.start, 0), self._rows) for at in (start, end))
        columns = [column[low : max(low, high)].copy() for column in self._columns[:6]]
        return Frame(self.listing.instrument, *columns, *[np.ones(len(columns[0]), np.int32)])

    def newest(self, count: int) -> Frame:
        """Return the last ``count`` trades, oldest first."""
        return self.rows(self.end - count, self.end)

    def whole(self) -> Frame:
        """Return every trade that can be had."""
        return self.rows(self.start, self.end)

    def without_rows(self) -> Tape:
        """Return a tape of the same listing on which nothing ever happened."""
        return Tape(self.listing, keep=1)

    def _make_room(self, rows: int) -> None:
        capacity = len(self._columns[0])
        if self._rows + rows <= capacity:
            return
        drop = self._rows - self._keep if self._rows >= 2 * self._keep else 0
        left = self._rows - drop
        size = max(capacity, 1 << (left + rows - 1).bit_length())
        for at, column in enumerate(self._columns):
            grown = np.empty(size, column.dtype)
            grown[:left] = column[drop : self._rows]
            self._columns[at] = grown
        self.start += drop
        self._rows = left


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
