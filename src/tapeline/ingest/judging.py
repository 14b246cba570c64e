"""Judge live trades: good ones become frames, bad ones dead letters with the reason an import would give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tapeline.clock import parse_duration
from tapeline.errors import MalformedMessage
from tapeline.exchanges.base import Bar, Columns, RawTrade
from tapeline.ingest.base import Place
from tapeline.recordings.base import ImportedCandles
from tapeline.recordings.candle_rows import CandleRows, judge_candles
from tapeline.recordings.court import LARGEST, SMALLEST, Court, Verdict
from tapeline.recordings.instants import TimeRule
from tapeline.types import Bool, DeadLetter, Float, Frame, Int

_FIRST_TIME = 1_230_940_800 * 10**9
_LAST_ID = 2**63 - 2
_MOST = 2**31 - 1
_DIGITS = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?,)+", re.ASCII)


def judge(
    instruments: Sequence[str], source: str, trades: Sequence[RawTrade], ts_init: Sequence[int]
) -> tuple[list[Frame], list[DeadLetter]]:
    """Judge trades (at least one), in the order in which they came; return a frame for each instrument.

    They are judged together: for each instrument alone it would take as long again as reading them did.

    Args:
        instruments: ours, of each trade.
        source: what dead letters name as their source.
        trades: as the venue wrote them.
        ts_init: when we had each, ns UTC.
    """
    _, ids, stamps, prices, quantities, sides, counts = zip(*trades, strict=True)
    verdict = Verdict(len(trades))
    price = _read(verdict, "price", prices)
    qty = _read(verdict, "qty", quantities)
    numbers = _checked(verdict, "id", ids, 0, _LAST_ID)
    ts_event = _checked(verdict, "time", stamps, _FIRST_TIME, 2**63 - 1)
    stands_for = _checked(verdict, "count", counts, 1, _MOST)
    received, side = np.array(ts_init, np.int64), np.array(sides, np.int8)
    columns: list[NDArray[Any]] = [numbers, ts_event, received, price, qty, side, stands_for.astype(np.int32)]
    frames = _parted(instruments, columns, ~verdict.bad)
    letters = [
        DeadLetter(source, reason, repr(tuple(trades[row])).encode(), ts_init[row], instruments[row])
        for row, reason in sorted(verdict.reasons.items())
    ]
    return frames, letters


def judge_plain(instruments: Sequence[str], trades: Columns, ts_init: Sequence[int]) -> list[Frame] | None:
    """Judge trades as `judge` does; None where it would refuse one, and is to say which and why.

    Args:
        instruments: ours, of each trade.
        trades: as the venue wrote them.
        ts_init: when we had each message, ns UTC.
    """
    ids, price, qty = np.array(trades.trade_id, np.int64), np.array(trades.price), np.array(trades.qty)
    in_range = ids.min() >= 0 and ids.max() <= _LAST_ID and trades.ts_event.min() >= _FIRST_TIME
    if not in_range or min(price.min(), qty.min()) < SMALLEST or max(price.max(), qty.max()) > LARGEST:
        return None
    received, side = np.repeat(np.array(ts_init, np.int64), trades.counts), np.array(trades.side, np.int8)
    one_each, good = np.ones(len(ids), np.int32), np.ones(len(ids), np.bool_)
    return _parted(instruments, [ids, trades.ts_event, received, price, qty, side, one_each], good)


def _parted(instruments: Sequence[str], columns: Sequence[NDArray[Any]], good: Bool) -> list[Frame]:
    """Return the good rows of columns as a frame for each instrument, in their order."""
    places = {name: place for place, name in enumerate(dict.fromkeys(instruments))}
    if len(places) == 1 and good.all():
        return [Frame(instruments[0], *columns)]
    place = np.array([places[name] for name in instruments])
    order = np.argsort(place, kind="stable")
    order = order[good[order]]
    ends = np.cumsum(np.bincount(place[order], minlength=len(places))).tolist()
    sorted_columns = [column[order] for column in columns]
    spans = zip(places, [0, *ends], ends, strict=False)
    return [Frame(name, *(column[a:b] for column in sorted_columns)) for name, a, b in spans if a < b]


def _read(verdict: Verdict, what: str, texts: Sequence[str]) -> Float:
    """Return finite numbers > 0 as a column, and refuse those that are none.

    Plain digits are read here: a live message holds few, and whole columns of them take much longer to begin with.
    """
    if _DIGITS.fullmatch(",".join(texts) + ","):
        values = np.array([float(text) for text in texts])
        if values.min() >= SMALLEST and values.max() <= LARGEST:
            return values
    return verdict.number(what, pa.array(texts, pa.string()))


def _checked(verdict: Verdict, what: str, values: Sequence[int | None], low: int, high: int) -> Int:
    """Return integers as a column, and refuse those that are none or outside."""
    try:
        column = np.array(values, np.int64)
    except (TypeError, OverflowError):
        column = np.array([-1 if value is None or value > high else value for value in values], np.int64)
    bad = (column < low) | (column > high)
    if bad.any():
        verdict.refuse(bad, lambda row: f"{what}: expected an integer in {low}..{high}, was {values[row]}")
    return column


def judge_bars(
    instrument: str, timeframe: str, source: str, bars: Sequence[Bar], *, end: int, now: int
) -> tuple[ImportedCandles, list[DeadLetter]]:
    """Judge candles that a venue made (at least one), as an import judges those of a file.

    Args:
        instrument: ours.
        timeframe: ours.
        source: what dead letters name as their source.
        bars: as the venue wrote them.
        end: none may close later, ns UTC: it might be running.
        now: when they were here, ns UTC.
    """
    size = parse_duration(timeframe)
    columns = dict(zip(Bar._fields, zip(*bars, strict=True), strict=True))
    texts = {name: pa.array(columns[name], pa.string()) for name in Bar._fields if name not in {"open_time", "trades"}}
    counts = columns["trades"]
    judged = CandleRows(
        open_time=pa.array(columns["open_time"], pa.int64()),
        rule=TimeRule(("ns",)),
        prices=[texts[name] for name in ("open", "high", "low", "close")],
        volume=texts["volume"],
        size=size,
        locate=lambda row: (row + 1, repr(tuple(bars[row])).encode()),
        quote_volume=texts["quote_volume"],
        trades=pa.array([count or 0 for count in counts], pa.int64()),
        buy_volume=texts["buy_volume"],
        vwap=texts["vwap"] if columns["vwap"][0] is not None else None,
    )
    records, letters = judge_candles(judged, Court(source, instrument, end - size, now))
    untold = [bar.open_time for bar in bars if bar.trades is None]
    records["trades"][np.isin(records["open_time"], untold)] = -1
    return ImportedCandles(instrument, timeframe, records), letters


def malformed(source: str, errors: Iterable[MalformedMessage], ts_init: int, instrument: str = "") -> list[DeadLetter]:
    """Return what could not be read as dead letters."""
    return [DeadLetter(source, str(error), error.raw, ts_init, instrument) for error in errors]


def source_of(place: Place) -> str:
    """Return what dead letters of a place name as their source.

    Everything from a simulated venue says so, here too.
    """
    return f"{place.venue.lower()} {place.feed.name}"
