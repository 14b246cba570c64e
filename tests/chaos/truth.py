"""What is stored of a venue, compared with what truly happened there: ids, content and candles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tapeline.compare import same_bits
from tapeline.config import Settings
from tapeline.intervals import Intervals
from tapeline.pipeline import Pipeline
from tapeline.recorder import layout_of
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.stores.memory import MemoryStore
from tapeline.stores.rows import from_frame
from tapeline.tape import TapeInfo, decisions, records
from tapeline.types import CANDLE, Decision, DecisionKind, Frame, Int, Records

_MILLISECOND = 1_000_000
_SHOWN = 20
_CONTENT = ("ts_event", "price", "qty", "side")
_KEPT = (DecisionKind.START, DecisionKind.GIVE_UP)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a database holds of an instrument: trades, how many came late, gaps, decisions, candles by timeframe."""

    frame: Frame
    late: int
    gaps: Sequence[Mapping[str, Any]]
    decisions: Sequence[Decision]
    candles: Mapping[str, Records]

    @classmethod
    def of(cls, store: Store, instrument: str, timeframes: Sequence[str]) -> Stored:
        candles = {
            name: rows.to_candles(store.read("candles", instrument=instrument, timeframe=name)) for name in timeframes
        }
        return cls(
            rows.to_frame(instrument, store.read("trades", instrument=instrument)),
            store.read("late_trades", instrument=instrument).num_rows,
            store.read("gaps", instrument=instrument).to_pylist(),
            decisions(store, instrument),
            candles,
        )

    @property
    def named(self) -> Int:
        """Return the ids that are said to be missing for ever."""
        return self.missing("unhealable")

    def missing(self, status: str) -> Int:
        """Return the ids of all gaps of a status."""
        gone = Intervals()
        for gap in self.gaps:
            if gap["status"] == status:
                gone.add_span(gap["first_missing"], gap["last_missing"])
        return np.concatenate([np.empty(0, np.int64), *(np.arange(first, last + 1) for first, last in gone.spans())])


def content(frame: Frame) -> dict[int, tuple[Any, ...]]:
    """Return the trades of a tape by id, without when they were received."""
    names = (frame.trade_id, frame.ts_event, frame.price, frame.qty, frame.side)
    return {row[0]: row[1:] for row in zip(*(column.tolist() for column in names), strict=True)}


def proven_wrong(stored: Stored, truth: Frame, settings: Settings) -> list[str]:
    """Return in what the stored tape differs from the true one, but for ids that are said to miss.

    Its ids are contiguous; of what was before the first stored trade nothing is asked.
    """
    kept = stored.frame.take(np.argsort(stored.frame.trade_id, kind="stable"))
    true = truth.take(truth.trade_id >= kept.trade_id[0])
    found = [*_ids_wrong(kept.trade_id, true.trade_id, stored.named), *_content_wrong(kept, true)]
    found += [f"gap is neither healed nor named: {gap}" for gap in stored.gaps if gap["status"] == "open"]
    return found or list(_candles_wrong(stored, true, settings))


def _ids_wrong(kept: Int, true: Int, named: Int) -> Iterator[str]:
    twice, absent = kept[1:][np.diff(kept) == 0], np.setdiff1d(true, kept)
    for what, ids in (
        ("stored twice", twice),
        ("stored, and never happened", np.setdiff1d(kept, true)),
        ("missing, and not named", np.setdiff1d(absent, named)),
        ("said to miss, and stored", np.setdiff1d(named, absent)),
    ):
        if len(ids):
            yield f"{len(ids)} ids {what}: {ids[:_SHOWN].tolist()}"


def _content_wrong(kept: Frame, true: Frame) -> Iterator[str]:
    _, mine, theirs = np.intersect1d(kept.trade_id, true.trade_id, return_indices=True)
    for name in _CONTENT:
        left, right = getattr(kept, name)[mine], getattr(true, name)[theirs]
        for row in np.flatnonzero(left != right)[:_SHOWN]:
            yield f"trade {kept.trade_id[mine[row]]} {name}: stored {left[row]}, truly {right[row]}"


def _candles_wrong(stored: Stored, true: Frame, settings: Settings) -> Iterator[str]:
    """Yield where the stored candles are not those of a fold over the true tape, less what was given up.

    Decisions by the clock have no part in it: a candle that one of them closed too early differs. Only how far
    candles were closed at the end is taken from what is stored.
    """
    expected = _fold(stored, true, settings)
    for timeframe, mine in stored.candles.items():
        theirs = expected[timeframe]
        if not np.array_equal(mine["open_time"], theirs["open_time"]):
            odd = np.setxor1d(mine["open_time"], theirs["open_time"])[:_SHOWN].tolist()
            yield f"{timeframe}: {len(mine)} candles stored, truly {len(theirs)}; {odd}"
            continue
        for name in CANDLE.names or ():
            for row in np.flatnonzero(~same_bits(mine[name], theirs[name]))[:_SHOWN]:
                where = f"{timeframe} {mine['open_time'][row]} {name}"
                yield f"{where}: stored {mine[name][row]}, truly {theirs[name][row]}"


class _OneTape(MemoryStore):
    """A store with the trades of one frame, in the order of the tape: of millions no row is made."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self._frame = frame

    def tape(self, instrument: str, *, after: tuple[int, int] | None = None, rows: int = 1 << 20) -> Iterator[pa.Table]:
        for at in range(0, len(self._frame), rows):
            yield from_frame(self._frame.take(slice(at, at + rows)))


def _fold(stored: Stored, true: Frame, settings: Settings) -> dict[str, Records]:
    """Return the candles of the true tape without what was given up, closed as far as those stored."""
    tape = TapeInfo(true.instrument, "", "trade", True, 0)
    store = _OneTape(true.take(~np.isin(true.trade_id, stored.named)))
    kept = [one for one in stored.decisions if one.kind in _KEPT]
    store.append("decisions", rows.from_decisions(kept, first_seq=0))
    pipeline = Pipeline(true.instrument, layout_of(settings, contiguous=True))
    outputs = [pipeline.feed(record) for record in records(store, tape)]
    until = max((int(candles["close_time"].max(initial=0)) for candles in stored.candles.values()), default=0)
    if pipeline.ledger.moment is not None:
        end = Decision(true.instrument, DecisionKind.CLOCK, pipeline.ledger.moment, until)
        outputs.append(pipeline.feed(end))
    return {
        name: np.concatenate([np.empty(0, CANDLE), *(one.candles[name] for one in outputs if name in one.candles)])
        for name in stored.candles
    }


def unproven_wrong(stored: Stored, truth: Frame, *, loses: bool = False, renames: bool = False) -> list[str]:
    """Return what is stored and never happened, where ids prove nothing.

    Also what misses, unless trades may get lost before they are told (``loses``), and what is stored twice, unless
    one may be told under another id than it has (``renames``). Trades are compared as the venue tells them: in ms, and
    under ids of its own.
    """
    kept, true = _told(stored.frame), _told(truth)
    told, place = np.unique(np.concatenate([kept, true]), return_inverse=True)
    surplus = np.bincount(place, weights=np.r_[np.ones(len(kept)), -np.ones(len(true))], minlength=len(told))
    never = ~np.isin(told, true)
    found = [f"{row} never happened" for row in told[never]]
    if not renames:
        found += [f"{row} stored twice" for row in told[(surplus > 0) & ~never]]
    since = stored.frame.ts_event.min() // _MILLISECOND
    lost = -surplus[(surplus < 0) & (told["ms"] > since)].sum()
    if not loses and lost != stored.late:
        found.append(f"{lost:g} trades missing, {stored.late} late")
    return found[:_SHOWN]


def _told(frame: Frame) -> Any:
    told = np.empty(len(frame), [("ms", "i8"), ("price", "f8"), ("qty", "f8")])
    told["ms"], told["price"], told["qty"] = frame.ts_event // _MILLISECOND, frame.price, frame.qty
    return told
