"""Judge live trades: good ones become frames, bad ones dead letters with the reason an import would give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from tapeline.errors import MalformedMessage
from tapeline.exchanges.base import RawTrade
from tapeline.ingest.base import Place
from tapeline.recordings.court import Verdict
from tapeline.types import DeadLetter, Frame, Int

_FIRST_TIME = 1_230_940_800 * 10**9
_LAST_ID = 2**63 - 2
_MOST = 2**31 - 1


def judge(
    instrument: str, source: str, trades: Sequence[RawTrade], ts_init: Sequence[int] | int
) -> tuple[Frame, list[DeadLetter]]:
    """Judge trades of one instrument (at least one), in the order in which they came.

    Args:
        instrument: ours.
        source: what dead letters name as their source.
        trades: as the venue wrote them.
        ts_init: when we had each, or all of them, ns UTC.
    """
    _, ids, stamps, prices, quantities, sides, counts = zip(*trades, strict=True)
    verdict = Verdict(len(trades))
    price = verdict.number("price", pa.array(prices, pa.string()))
    qty = verdict.number("qty", pa.array(quantities, pa.string()))
    numbers = _checked(verdict, "id", ids, 0, _LAST_ID)
    ts_event = _checked(verdict, "time", stamps, _FIRST_TIME, 2**63 - 1)
    stands_for = _checked(verdict, "count", counts, 1, _MOST)
    received = np.full(len(trades), ts_init, np.int64) if isinstance(ts_init, int) else np.array(ts_init, np.int64)
    frame = Frame(
        instrument, numbers, ts_event, received, price, qty, np.array(sides, np.int8), stands_for.astype(np.int32)
    )
    if not verdict.bad.any():
        return frame, []
    letters = [
        DeadLetter(source, reason, repr(tuple(trades[row])).encode(), int(received[row]), instrument)
        for row, reason in sorted(verdict.reasons.items())
    ]
    return frame.take(~verdict.bad), letters


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


def malformed(source: str, errors: Iterable[MalformedMessage], ts_init: int, instrument: str = "") -> list[DeadLetter]:
    """Return what could not be read as dead letters."""
    return [DeadLetter(source, str(error), error.raw, ts_init, instrument) for error in errors]


def source_of(place: Place) -> str:
    """Return what dead letters of a place name as their source.

    Everything from a simulated venue says so, here too.
    """
    return f"{place.venue.lower()} {place.feed.name}"
