"""Reading: candles and feature rows of a store, as stored where they are current, otherwise folded from the tape.

Candles made by others answer only where an instrument has no trades, and the answer says so: they are never mixed with
our own. Numbers of other settings or of an unfinished fold are never given for today's: they are folded on request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapeline.candles import chained
from tapeline.config import Settings
from tapeline.errors import NotEnoughData, UnknownName, UsageError
from tapeline.features import FeatureFold, FeatureRows, FeatureSet
from tapeline.pipeline import Layout, Outputs, Pipeline
from tapeline.recorder import layout_of
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import TapeInfo, info, instruments, records
from tapeline.types import CANDLE, DecisionKind, Frame, Records, Timeframe


@dataclass(frozen=True, slots=True)
class CandleRows:
    """Candles of one instrument and timeframe.

    Attributes:
        source: whose they are: ``trades`` (folded by us) or ``imported`` (made by others; ``trades`` is -1 if unknown).
        stored: whether they were read as stored; otherwise they were folded for this answer.
        note: what the user should know about the answer, or an empty text.
    """

    instrument: str
    timeframe: str
    records: Records
    source: str
    stored: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class SetRows:
    """Feature rows of one instrument, timeframe and feature set; the other fields as in `CandleRows`."""

    instrument: str
    timeframe: str
    features: FeatureSet
    rows: FeatureRows
    source: str
    stored: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Times asked for, half-open [start, end), ns UTC, and how many of the last rows."""

    start: int | None = None
    end: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise UsageError("times", "are empty", expected="start before end", was=f"{self.start} to {self.end} ns")

    def cut(self, times: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Return the positions of the rows asked for."""
        inside = np.ones(len(times), np.bool_)
        if self.start is not None:
            inside &= times >= self.start
        if self.end is not None:
            inside &= times < self.end
        found = np.flatnonzero(inside)
        return found if self.limit is None else found[max(0, len(found) - self.limit) :]


def candles(
    store: Store,
    settings: Settings,
    instrument: str,
    timeframe: str,
    start: int | None = None,
    end: int | None = None,
    limit: int | None = None,
) -> CandleRows:
    """Return the candles of an instrument whose open_time is in [start, end), the last ``limit`` of them.

    Raises:
        UnknownName: the store does not hold the instrument.
        UsageError: it is no timeframe, or only candles of other timeframes were imported.
    """
    span, grid = Span(start, end, limit), str(Timeframe.parse(timeframe))
    tape = _tape(store, instrument)
    if tape is None:
        table = _imported(store, instrument, grid, span)
        return CandleRows(instrument, grid, rows.to_candles(table), "imported", stored=True)
    reason = stale_reason(store, settings, tape)
    if grid in settings.timeframes and not reason:
        bounds = {"start": span.start, "end": span.end, "limit": span.limit}
        table = store.read("candles", instrument=instrument, timeframe=grid, source="trades", **bounds)
        return CandleRows(instrument, grid, rows.to_candles(table), "trades", stored=True)
    parts = _Tail(span)
    for outputs in _fold(store, _layout(settings, tape, grid, ()), tape):
        closed = outputs.candles.get(grid)
        if closed is not None:
            parts.add(closed["open_time"], lambda at, closed=closed: closed[at])
    made = np.concatenate([np.empty(0, CANDLE), *parts.kept])
    return CandleRows(instrument, grid, made, "trades", stored=False, note=_note(instrument, reason))


def features(
    store: Store,
    settings: Settings,
    instrument: str,
    timeframe: str,
    feature_set: str | FeatureSet,
    start: int | None = None,
    end: int | None = None,
    limit: int | None = None,
) -> SetRows:
    """Return the feature rows of an instrument whose as_of is in [start, end), the last ``limit`` of them.

    Args:
        store: where the tape is.
        settings: tell what is stored.
        instrument: ours.
        timeframe: of the candles.
        feature_set: a set, its name, or the path of its TOML file.
        start: the first instant.
        end: the instant after the last.
        limit: how many rows at most.

    Raises:
        UnknownName: the store does not hold the instrument, or there is no such set.
        UsageError: it is no timeframe, or only candles of other timeframes were imported.
    """
    span, grid = Span(start, end, limit), str(Timeframe.parse(timeframe))
    wanted = FeatureSet.load(feature_set) if isinstance(feature_set, str) else feature_set
    tape = _tape(store, instrument)
    if tape is None:
        made = FeatureFold(wanted).feed(chained(rows.to_candles(_imported(store, instrument, grid, Span()))))
        return SetRows(instrument, grid, wanted, _taken(made, span.cut(made.as_of)), "imported", stored=False)
    reason = stale_reason(store, settings, tape)
    if _is_stored(settings, tape, grid, wanted) and not reason:
        table = store.read(
            "features",
            instrument=instrument,
            start=start,
            end=end,
            limit=limit,
            timeframe=grid,
            feature_set=wanted.name,
            version=wanted.version,
            source="trades",
        )
        return SetRows(instrument, grid, wanted, rows.to_features(table, len(wanted.names)), "trades", stored=True)
    parts = _Tail(span)
    for outputs in _fold(store, _layout(settings, tape, grid, (wanted,)), tape):
        made_now = outputs.features.get((grid, wanted.name))
        if made_now is not None:
            parts.add(made_now.as_of, lambda at, made_now=made_now: _taken(made_now, at))
    return SetRows(
        instrument, grid, wanted, _joined(wanted, parts.kept), "trades", stored=False, note=_note(instrument, reason)
    )


def stale_reason(store: Store, settings: Settings, tape: TapeInfo) -> str:
    """Return why stored candles and features are not those of the settings, or an empty text."""
    stored = store.read("states", instrument=tape.instrument).to_pylist()
    if not stored:
        return "nothing was folded yet"
    mark, layout = stored[0]["layout"].rsplit("/", 1)
    if mark:
        return str(mark)
    current = layout_of(settings, contiguous=tape.contiguous).hash
    return "" if layout == current else "the settings or the code of a feature changed"


def imported_timeframes(store: Store, instrument: str) -> list[str]:
    """Return the timeframes of candles made by others that a store holds of an instrument."""
    names = store.read("candles", instrument=instrument, source="imported").column("timeframe").unique().to_pylist()
    return sorted(names, key=lambda name: Timeframe.parse(name).size)


def _tape(store: Store, instrument: str) -> TapeInfo | None:
    """Return an instrument's tape, None where there are only candles made by others."""
    if store.read("instruments", instrument=instrument).num_rows:
        return info(store, instrument)
    if store.read("candles", instrument=instrument, source="imported", limit=1).num_rows:
        return None
    known = {entry.instrument for entry in instruments(store)}
    known |= {
        name for text in store.read("imports").column("instrument").to_pylist() for name in text.split(",") if name
    }
    raise UnknownName(
        f"instrument {instrument}",
        "is not in this database",
        expected=f"one of: {', '.join(sorted(known)) or 'nothing imported yet'}",
        was=instrument,
        next_step="bring it in with: tapeline import PATH",
    )


def _imported(store: Store, instrument: str, timeframe: str, span: Span) -> Any:
    bounds = {"start": span.start, "end": span.end, "limit": span.limit}
    table = store.read("candles", instrument=instrument, timeframe=timeframe, source="imported", **bounds)
    held = [] if table.num_rows else imported_timeframes(store, instrument)
    if held and timeframe not in held:
        raise UsageError(
            f"{instrument} {timeframe}",
            "cannot be made of candles that others made",
            expected=f"the timeframe imported: {', '.join(held)}",
            was=timeframe,
            next_step="import its trades to fold any timeframe",
        )
    return table


def _layout(settings: Settings, tape: TapeInfo, timeframe: str, sets: tuple[FeatureSet, ...]) -> Layout:
    limits = layout_of(settings.model_copy(update={"feature_sets": ()}), contiguous=tape.contiguous)
    return Layout((timeframe,), sets, tape.contiguous, limits.reorder_window, limits.max_quiet, limits.max_ahead)


def _fold(store: Store, layout: Layout, tape: TapeInfo) -> Iterator[Outputs]:
    pipeline = Pipeline(tape.instrument, layout)
    for record in records(store, tape):
        if isinstance(record, Frame) or record.kind is not DecisionKind.MODEL:
            yield pipeline.feed(record)


def _is_stored(settings: Settings, tape: TapeInfo, timeframe: str, wanted: FeatureSet) -> bool:
    if timeframe not in settings.timeframes or wanted.name not in settings.feature_sets:
        return False
    return FeatureSet.load(wanted.name).version == wanted.version


def _note(instrument: str, reason: str) -> str:
    if not reason:
        return ""
    return f"{instrument}: folded from the tape for this answer, because what is stored is not current ({reason}); run: tapeline rebuild {instrument}"


class _Tail:
    """Keep of parts that come one by one what was asked for, and no more than the limit needs."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._sizes: list[int] = []
        self.kept: list[Any] = []

    def add(self, times: np.ndarray[Any, np.dtype[np.int64]], take: Callable[[Any], Any]) -> None:
        """Add a part: its times, and how rows are taken from it by their positions."""
        at = self._span.cut(times)
        if len(at):
            self.kept.append(take(at))
