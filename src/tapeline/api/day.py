"""A day of an instrument as it is stored: candles, indicators, predictions with what came, and gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tapeline import query
from tapeline.api.reads import SIMULATED
from tapeline.clock import DAY, format_time, parse_time
from tapeline.config import Settings
from tapeline.coverage import SqlStore, coverage, open_gaps, times_beside
from tapeline.errors import NotEnoughData, UsageError
from tapeline.outcomes import joined
from tapeline.stores import rows
from tapeline.types import Prediction, venue_of


@dataclass(frozen=True, slots=True)
class Day:
    """What is drawn: candles, feature rows by set, predictions with the log return that came, and gaps (ns UTC)."""

    start: int
    candles: query.CandleRows
    features: Mapping[str, query.SetRows]
    predictions: Sequence[tuple[Prediction, float]]
    gaps: Sequence[tuple[int, int, str]]

    @property
    def title(self) -> str:
        """Return what it is; SIMULATED stands in it where data is."""
        mark = "SIMULATED " if venue_of(self.candles.instrument) == SIMULATED else ""
        return f"{mark}{self.candles.instrument} {self.candles.timeframe}, {format_time(self.start)[:10]} (UTC)"


def day_asked(store: SqlStore, instrument: str | None, day: str | None) -> tuple[str, int]:
    """Return an instrument, and midnight of a day (ns UTC); by default the only one stored, and its newest day.

    Raises:
        UnknownName: the store does not hold the instrument.
        UsageError: several are stored and none was named, or the day cannot be read.
    """
    held = coverage(store)
    names = sorted({entry.instrument for entry in held})
    if instrument is None and len(names) != 1:
        raise UsageError("--instrument", "is missing", expected=f"one of {', '.join(names) or 'none stored'}", was=None)
    name = instrument or names[0]
    query.known(store, name)
    last = max((entry.last for entry in held if entry.instrument == name and entry.last), default=0)
    at = last - 1 if day is None else parse_time(day)
    return name, at // DAY * DAY


def read_day(store: SqlStore, settings: Settings, instrument: str, timeframe: str, start: int) -> Day:
    """Read a day of an instrument, from midnight UTC at ``start`` (ns).

    Raises:
        UnknownName: the store does not hold the instrument.
        NotEnoughData: no candle of the day is known.
    """
    end = start + DAY
    candles = query.candles(store, settings, instrument, timeframe, start, end)
    if not len(candles.records):
        where = f"{instrument} {timeframe} {format_time(start)[:10]}"
        step = "see what is stored with: tapeline instruments"
        raise NotEnoughData(where, "has no candles", expected="at least 1", was=0, next_step=step)
    features = {
        name: query.features(store, settings, instrument, timeframe, name, start + 1, end + 1)
        for name in settings.feature_sets
    }
    table = store.read("predictions", instrument=instrument, start=start, end=end, timeframe=timeframe)
    return Day(
        start, candles, features, _scored(store, rows.to_predictions(table)), _gaps(store, instrument, start, end)
    )


def _scored(store: SqlStore, made: Sequence[Prediction]) -> list[tuple[Prediction, float]]:
    """Return fair predictions with the log return that came, NaN while that is unknown or its candle is incomplete."""
    pairs = zip(made, joined(store, made), strict=True)
    return [
        (one, float(np.log(came.close / one.close)) if came is not None and came.complete else np.nan)
        for one, came in pairs
        if one.made_at < one.target_time
    ]


def _gaps(store: SqlStore, instrument: str, start: int, end: int) -> list[tuple[int, int, str]]:
    """Return from when to when, and which, of the gaps that are not healed and touch the day; unplaced ones do not."""
    found = open_gaps(store, instrument)
    times = times_beside(store, found)
    placed = [
        (times.get((instrument, gap["first_missing"] - 1)), times.get((instrument, gap["last_missing"] + 1)), gap)
        for gap in found
    ]
    return [
        (max(a, start), min(b, end), f"{gap['missing']:,} trades missing ({gap['status']})")
        for a, b, gap in placed
        if a is not None and b is not None and b >= start and a < end
    ]
