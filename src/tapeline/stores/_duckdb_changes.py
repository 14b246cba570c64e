"""From which candle on commits changed a series, and which candles they gave: for whoever keeps what he read of it.

A series is the candles of one instrument and timeframe. What tells how they are to be read, the instrument itself and
the layout of its state, counts as a change of all of them. That models changed is told as of a series of its own.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

import pyarrow as pa

from tapeline.stores._conform import conform
from tapeline.stores.base import KINDS
from tapeline.stores.parts import CandlePart
from tapeline.stores.rows import from_parts

Series = tuple[str, str]
ALL = -(1 << 63)
"""Before every candle."""
NONE = (1 << 63) - 1
"""After every candle: nothing changed."""
_REMEMBERED = 64
_MOST_GIVEN = 256
"""Of a table of more candles it is not remembered which they are."""
_WHOLE = ""
"""Stands for all timeframes of an instrument."""
MODELS: Series = ("models", _WHOLE)
"""Stands for all models."""


Rows = Sequence[tuple[pa.Table, int] | CandlePart]
"""Rows, each by its table and place in it, or as they come."""


class _Commit(NamedTuple):
    """What a commit did to a series: from which open_time on, and which rows it gave; none where that is not kept."""

    number: int
    at: int
    rows: Rows


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
        self._given: dict[Series, list[tuple[pa.Table, int] | CandlePart]] = {}
        self._layouts: dict[str, str] = {}
        self._past: defaultdict[Series, deque[_Commit]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._closed = False

    def note(self, kind: str, rows: pa.Table) -> None:
        """Note rows that are added or replaced."""
        if kind == "candles":
            names = (rows[name].to_pylist() for name in ("instrument", "timeframe", "open_time"))
            for place, (instrument, timeframe, at) in enumerate(zip(*names, strict=True)):
                self._lower((instrument, timeframe), at)
                self._given.setdefault((instrument, timeframe), []).append((rows, place))
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

    def note_candles(self, part: CandlePart) -> None:
        """Note candles that are added."""
        series = (part.instrument, part.timeframe)
        self._lower(series, int(part.candles["open_time"].min()))
        self._given.setdefault(series, []).append(part)

    def note_deleted(self, kind: str, instrument: str, *, start: int | None = None) -> None:
        """Note that rows of an instrument from ``start`` on are removed."""
        if kind in {"candles", "states", "instruments"}:
            self._lower((instrument, _WHOLE), ALL if start is None else start)

    def commit(self) -> None:
        """Tell what was noted, once everybody can read it."""
        if self._noted:
            number = next(self._numbers)
            for series, at in self._noted.items():
                self._past[series].append(_Commit(number, at, _kept(self._given.get(series, ()))))
            self._noted, self._given = {}, {}
            self.mark = number

    def roll_back(self) -> None:
        """Forget what was noted."""
        self._noted, self._given = {}, {}
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

    def given(self, after: int, upto: int, instrument: str, timeframe: str) -> pa.Table | None:
        """Return the rows that the commits after a mark up to another gave for a series, in the order they came.

        None where that is not remembered, or where something else may have changed the series too.
        """
        if self._closed or self._from(after, (instrument, _WHOLE)) != NONE:
            return None
        past = self._remembered((instrument, timeframe))
        commits = [one for one in past if after < one.number <= upto]
        if not commits or _forgotten(past, after) or not all(one.rows for one in commits):
            return None
        return pa.concat_tables([_table(rows) for one in commits for rows in one.rows])

    def _from(self, mark: int, series: Series) -> int:
        past = self._remembered(series)
        if _forgotten(past, mark):
            return ALL
        return min((one.at for one in past if one.number > mark), default=NONE)

    def _remembered(self, series: Series) -> list[_Commit]:
        return list(self._past[series]) if series in self._past else []

    def _lower(self, series: Series, at: int) -> None:
        self._noted[series] = min(at, self._noted.get(series, NONE))


def _kept(rows: Rows) -> Rows:
    """Return rows that are remembered, none where what they are from is too large for that."""
    return rows if all(len(one if isinstance(one, CandlePart) else one[0]) <= _MOST_GIVEN for one in rows) else ()


def _table(rows: tuple[pa.Table, int] | CandlePart) -> pa.Table:
    if isinstance(rows, CandlePart):
        return conform(KINDS["candles"], from_parts("candles", [rows]))
    table, place = rows
    return table.slice(place, 1)


def _forgotten(past: Sequence[_Commit], mark: int) -> bool:
    """Say whether commits after a mark may be remembered no more."""
    return len(past) == _REMEMBERED and past[0].number > mark
