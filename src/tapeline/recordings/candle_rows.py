"""Judge candles made by others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tapeline.recordings.court import Court, Verdict
from tapeline.recordings.instants import TimeRule
from tapeline.types import CANDLE, DeadLetter, Records


@dataclass(slots=True)
class CandleRows:
    """Candles as they came. ``buy_volume``, ``quote_volume``, ``vwap`` and ``trades`` may be missing: then unknown.

    ``vwap`` is made of ``quote_volume`` where it is missing.
    """

    open_time: pa.Array
    rule: TimeRule
    prices: Sequence[pa.Array]
    volume: pa.Array
    size: int
    locate: Callable[[int], tuple[int, bytes]]
    quote_volume: pa.Array | None = None
    trades: pa.Array | None = None
    buy_volume: pa.Array | None = None
    vwap: pa.Array | None = None


def judge_candles(rows: CandleRows, court: Court) -> tuple[Records, list[DeadLetter]]:
    """Judge candles made by others; an unknown number is NaN, an unknown count of trades is -1."""
    verdict = Verdict(len(rows.open_time))
    out = np.zeros(len(rows.open_time), CANDLE)
    out["open_time"] = verdict.time("time", rows.open_time, rows.rule, court.max_time)
    for name, column in zip(("open", "high", "low", "close"), rows.prices, strict=True):
        out[name] = verdict.number(name, column)
    out["volume"] = verdict.number("volume", rows.volume, zero=True)
    for name, column in (("quote_volume", rows.quote_volume), ("buy_volume", rows.buy_volume)):
        out[name] = np.nan if column is None else verdict.number(name, column, zero=True, missing=True)
    out["trades"] = -1 if rows.trades is None else verdict.identifier("trades", rows.trades)
    _check_candles(out, rows.size, verdict)
    with np.errstate(divide="ignore", invalid="ignore"):
        told = out["quote_volume"] / out["volume"]
    if rows.vwap is not None:
        told = verdict.number("vwap", rows.vwap, zero=True, missing=True)
    out["vwap"] = np.where(out["volume"] > 0, told, np.nan)
    out["close_time"] = out["open_time"] + rows.size
    out["realized_vol"], out["complete"] = np.nan, True
    letters = [court.letter(*rows.locate(row), reason) for row, reason in sorted(verdict.reasons.items())]
    return out[~verdict.bad], letters


def _check_candles(out: Records, size: int, verdict: Verdict) -> None:
    off = out["open_time"] % size != 0
    verdict.refuse(off, lambda row: f"time: expected a multiple of {size} ns, was {out['open_time'][row]}")
    top = out["high"] < np.maximum(np.maximum(out["open"], out["close"]), out["low"])
    verdict.refuse(top, lambda row: f"high: expected the highest price, was {out['high'][row]}")
    bottom = out["low"] > np.minimum(out["open"], out["close"])
    verdict.refuse(bottom, lambda row: f"low: expected the lowest price, was {out['low'][row]}")
    more = out["buy_volume"] > out["volume"] * (1 + 1e-9)
    verdict.refuse(more, lambda row: f"buy volume: expected <= volume, was {out['buy_volume'][row]}")
