"""Anomalies: candles whose price moved, or whose volume grew, as hardly any before did.

The bound is a rank among the scores of the candles before: on data like those, a candle is called an anomaly as often
as was asked for, whatever the distribution. So the flag can be neither always on nor, for want of scale, never.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

from tapeline.errors import UsageError
from tapeline.types import Records

_HALF_LIFE = 60


@dataclass(frozen=True, slots=True)
class Anomaly:
    """What one candle was like.

    Attributes:
        close_time: of the candle, ns UTC.
        price: how large its move was, as a multiple of the typical one of late; NaN while that is not known.
        volume: how large its volume was, as a multiple of the typical one of late; NaN likewise.
        price_rank: the share of candles before with a price score as large or larger; NaN while warming up.
        volume_rank: the same for volume.
        is_anomaly: whether a rank is below the rate that was asked for; None while warming up.
    """

    close_time: int
    price: float
    volume: float
    price_rank: float
    volume_rank: float
    is_anomaly: bool | None


class AnomalyDetector:
    """Score candles as they close.

    The score of a move is |ln(close / close before)|, that of volume is volume, both divided by an exponential mean
    (half-life 60 candles) of the same over the candles before. Candles without trades are quiet, not anomalous: they
    are scored, and lower no mean. A gap in the candles begins the price anew.

    Args:
        rate: the share of candles to be called anomalies on data like those before, in (0, 0.5); half of it is for
            the price, half for volume. Spikes that come more often than that are no anomalies.
        window: among how many candles a score is ranked; at least 2 / rate, so that a rank can be that low.

    Raises:
        UsageError: the window is too short for the rate.
    """

    def __init__(self, *, rate: float = 0.005, window: int = 1440) -> None:
        if not 0 < rate < 0.5 or window * rate < 2:
            rule = f"a rate in (0, 0.5) and a window of at least {math.ceil(2 / rate) if rate > 0 else 4} candles"
            raise UsageError("anomaly detector", "cannot rank", expected=rule, was=(rate, window))
        self._rate = rate / 2
        self._scores: tuple[deque[float], deque[float]] = (deque(maxlen=window), deque(maxlen=window))
        self._ordered: tuple[list[float], list[float]] = ([], [])
        self._warmup = math.ceil(1 / self._rate)
        self._typical = [math.nan, math.nan]
        self._close = math.nan
        self._end = 0

    def update(self, candles: Records) -> list[Anomaly]:
        """Take candles of one instrument and timeframe as they close, and return what each is like."""
        return [self._score(candle) for candle in candles]

    def _score(self, candle: Records) -> Anomaly:
        close, volume = float(candle["close"]), float(candle["volume"])
        joined = int(candle["open_time"]) == self._end and self._close > 0
        move = abs(math.log(close / self._close)) if joined and close > 0 else math.nan
        self._close, self._end = close, int(candle["close_time"])
        price, price_rank = self._rank(0, move)
        size, volume_rank = self._rank(1, volume)
        known = not math.isnan(price_rank) or not math.isnan(volume_rank)
        flagged = price_rank <= self._rate or volume_rank <= self._rate
        return Anomaly(self._end, price, size, price_rank, volume_rank, flagged if known else None)

    def _rank(self, which: int, value: float) -> tuple[float, float]:
        """Return the score of a value and its rank among those before, then take it as one of them."""
        typical, scores, ordered = self._typical[which], self._scores[which], self._ordered[which]
        if math.isnan(value):
            return math.nan, math.nan
        score = value / typical if typical > 0 else math.nan
        rank = math.nan
        if not math.isnan(score):
            if len(scores) >= self._warmup:
                rank = (1 + len(ordered) - bisect_left(ordered, score)) / (len(scores) + 1)
            if len(scores) == scores.maxlen:
                del ordered[bisect_left(ordered, scores[0])]
            scores.append(score)
            insort(ordered, score)
        if value > 0:
            gain = 1 - 0.5 ** (1 / _HALF_LIFE)
            # A spike must not hide the next one: the typical value learns from it no more than from a large one.
            told = min(value, 5 * typical) if typical > 0 else value
            self._typical[which] = told if math.isnan(typical) else typical + gain * (told - typical)
        return score, rank
