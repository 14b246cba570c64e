"""The anomalies of stored candles: which of the newest moved, or traded, as hardly any before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapeline import query
from tapeline.config import Settings
from tapeline.monitor.anomaly import Anomaly, AnomalyDetector
from tapeline.stores.base import Store
from tapeline.types import Timeframe

NEWEST = 1440
"""How many of the newest candles are judged."""
RATE = 0.005
"""The share of candles to be called anomalies on data like those before."""
_WINDOW, _SETTLING = 1440, 600


@dataclass(frozen=True, slots=True)
class Anomalies:
    """The anomalies among the newest candles of an instrument, in order of time.

    ``judged`` is how many candles had enough of them before to be judged, ``rate`` the share asked for.
    """

    instrument: str
    timeframe: str
    found: tuple[Anomaly, ...]
    judged: int
    rate: float

    @property
    def share(self) -> float:
        """Return the share of anomalies among the candles that were judged, NaN where there are none."""
        return len(self.found) / self.judged if self.judged else np.nan


def anomalies(
    store: Store,
    settings: Settings,
    instrument: str,
    timeframe: str,
    *,
    start: int | None = None,
    end: int | None = None,
    newest: int = NEWEST,
    rate: float = RATE,
) -> Anomalies:
    """Return which of the newest candles are anomalies of price or volume.

    Args:
        store: keeps the candles.
        settings: which of them are stored.
        instrument: ours.
        timeframe: of the candles.
        start: only candles that close at or after it, ns UTC.
        end: only candles that close before it, ns UTC.
        newest: how many of the newest candles to judge.
        rate: the share to be called anomalies on data like those before.

    Raises:
        UnknownName: the store does not hold the instrument.
        UsageError: the rate cannot be ranked.
    """
    detector = AnomalyDetector(rate=rate, window=max(_WINDOW, round(2 / rate) + 1) if rate > 0 else _WINDOW)
    grid = Timeframe.parse(timeframe)
    if start is not None and end is not None:
        newest = min(newest, max(0, -(-(end - start) // grid.step)))
    before, opens = _WINDOW + _SETTLING, None if end is None else end - grid.size
    found = query.candles(store, settings, instrument, timeframe, None, opens, newest + before)
    told = detector.update(found.records)[-newest:] if newest else []
    judged = [one for one in told if one.is_anomaly is not None and one.close_time >= (start or one.close_time)]
    return Anomalies(
        found.instrument, found.timeframe, tuple(one for one in judged if one.is_anomaly), len(judged), rate
    )
