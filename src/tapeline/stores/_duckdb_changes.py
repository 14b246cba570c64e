"""From which candle on commits changed a series: for whoever keeps what he read of it.

A series is the candles of one instrument and timeframe. What tells how they are to be read, the instrument itself and
the layout of its state, counts as a change of all of them. That models changed is told as of a series of its own.
"""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import count

import pyarrow as pa

Series = tuple[str, str]
ALL = -(1 << 63)
"""Before every candle."""
NONE = (1 << 63) - 1
"""After every candle: nothing changed."""
_REMEMBERED = 64
_WHOLE = ""
"""Stands for all timeframes of an instrument."""
MODELS: Series = ("models", _WHOLE)
"""Stands for all models."""


class Changes:
    """What commits changed, numbered.

    One thread writes: `note` and `note_deleted` before a commit, then `commit` or `roll_back`. Any may ask.

    >>> changes = Changes()
    >>> seen = changes.mark
    >>> changes.note_deleted("candles", "BTC-USD.SIM", start=5)
    >>> changes.commit()
    >>> changes.since(seen, "BTC-USD.SIM", "1m"), changes.since(changes.mark, "BTC-USD.SIM", "1m") == NONE
    (5, True)
    """

    def __init__(self) -> None:
        self.mark = 0
        """The number of the last commit that changed anything: ask for it before reading."""
        self._numbers = count(1)
        self._noted: dict[Series, int] = {}
        self._layouts: dict[str, str] = {}
        self._past: defaultdict[Series, deque[tuple[int, int]]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._closed = False

    def note(self, kind: str, rows: pa.Table) -> None:
        """Note rows that are added or replaced."""
        if kind == "candles":
            names = (rows[name].to_pylist() for name in ("instrument", "timeframe", "open_time"))
            for instrument, timeframe, at in zip(*names, strict=True):
                self._lower((instrument, timeframe), at)
        elif kind == "states":
            layouts = zip(rows["instrument"].to_pylist(), rows["layout"].to_pylist(), strict=True)
            for instrument, layout in layouts:
                if self._layouts.get(instrument) != layout:
                    self._layouts[instrument] = layout
                    self._lower((instrument, _WHOLE), ALL)
        elif kind == "models":
            self._lower(MODELS, ALL)
        elif kind == "instruments":
            for instrument in rows["instrument"].to_pylist():
                self._lower((instrument, _WHOLE), ALL)

    def note_deleted(self, kind: str, instrument: str, *, start: int | None = None) -> None:
        """Note that rows of an instrument from ``start`` on are removed."""
        if kind in {"candles", "states", "instruments"}:
            self._lower((instrument, _WHOLE), ALL if start is None else start)

    def commit(self) -> None:
        """Tell what was noted, once everybody can read it."""
        if self._noted:
            number = next(self._numbers)
            for series, at in self._noted.items():
                self._past[series].append((number, at))
            self._noted = {}
            self.mark = number

    def roll_back(self) -> None:
        """Forget what was noted."""
        self._noted = {}
        self._layouts = {}

    def close(self) -> None:
        """Tell everybody that all may have changed, from now on."""
        self._closed = True

    def since(self, mark: int, instrument: str, timeframe: str, *, noted: bool = False) -> int:
        """Return the open_time (ns UTC) from which on a series may have changed after a mark; `NONE`: it did not.

        With ``noted`` also by a commit under way, which may be seen by a reader before it is told.
        """
        if self._closed:
            return ALL
        both = [(instrument, part) for part in (timeframe, _WHOLE)]
        under_way = [self._noted.get(one, NONE) for one in both] if noted else []
        return min(*under_way, *(self._from(mark, one) for one in both))

    def _from(self, mark: int, series: Series) -> int:
        past = list(self._past[series]) if series in self._past else []
        if len(past) == _REMEMBERED and past[0][0] > mark:
            return ALL
        return min((at for number, at in past if number > mark), default=NONE)

    def _lower(self, series: Series, at: int) -> None:
        self._noted[series] = min(at, self._noted.get(series, NONE))
