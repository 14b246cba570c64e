"""Reading: candles and feature rows of a store, as stored where they are current, otherwise folded from the tape.

Candles made by others answer only where an instrument has no trades, and the answer says so: they are never mixed with
our own. Numbers of other limits, of other code or of an unfinished fold are never given for today's: they are folded on
request. Which timeframes and sets are stored is what the database says, whatever the settings of who reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.candles import chained
from tapeline.clock import format_time
from tapeline.config import Settings
from tapeline.errors import SnapshotMismatch, UnknownName, UsageError
from tapeline.features import FeatureFold, FeatureRows, FeatureSet
from tapeline.recorder import STORED, layout_of, settings_of
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import TapeInfo, find, fold, tape_of
from tapeline.types import CANDLE, Records, Timeframe


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

    def table(self) -> pa.Table:
        """Return them as a table with times as timestamps (ns, UTC) and null for what is unknown."""
        made = rows.from_candles(self.instrument, self.timeframe, self.records, source=self.source)
        trades = pc.if_else(pc.less(made["trades"], 0), pa.scalar(None, pa.int64()), made["trades"])
        made = made.set_column(made.schema.get_field_index("trades"), "trades", trades)
        return as_times(made.drop_columns(["restart"]), "open_time", "close_time")


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

    def table(self) -> pa.Table:
        """Return them as a table, one column a feature, with as_of as a timestamp and null for what is unknown."""
        n = len(self.rows)
        columns = {
            "instrument": pa.repeat(self.instrument, n),
            "timeframe": pa.repeat(self.timeframe, n),
            "as_of": pa.array(self.rows.as_of),
            "feature_set": pa.repeat(self.features.name, n),
            "version": pa.repeat(self.features.version, n),
            "complete": pa.array(self.rows.complete),
            "source": pa.repeat(self.source, n),
        }
        values = [pa.array(self.rows.values[:, index], from_pandas=True) for index in range(len(self.features.names))]
        made = pa.Table.from_arrays([*columns.values(), *values], [*columns, *self.features.names])
        return as_times(made, "as_of")


@dataclass(frozen=True, slots=True)
class Span:
    """Times asked for, half-open [start, end), ns UTC, and how many of the last rows."""

    start: int | None = None
    end: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start >= self.end:
            was = f"{format_time(self.start)} to {format_time(self.end)}"
            raise UsageError("times", "are empty", expected="start before end", was=was)

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
    tape = tape_of(store, instrument)
    if tape is None:
        table = _imported(store, instrument, grid, span)
        return CandleRows(instrument, grid, rows.to_candles(table), "imported", stored=True)
    kept, reason = _kept(store, settings, tape)
    if grid in kept.timeframes and not reason:
        table = _stored_candles(store, instrument, grid, "trades", span)
        return CandleRows(instrument, grid, rows.to_candles(table), "trades", stored=True)
    layout = layout_of(settings, contiguous=tape.contiguous, timeframes=(grid,), sets=())
    closed = (outputs.candles.get(grid) for outputs in fold(store, tape, layout))
    parts = [part[span.cut(part["open_time"])] for part in closed if part is not None]
    made = np.concatenate([np.empty(0, CANDLE), *parts])
    made = made[span.cut(made["open_time"])]
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
    tape = find(store, instrument)
    if tape is None:
        made = FeatureFold(wanted).feed(chained(rows.to_candles(_imported(store, instrument, grid, Span()))))
        return SetRows(instrument, grid, wanted, _taken(made, span.cut(made.as_of)), "imported", stored=False)
    kept, reason = _kept(store, settings, tape)
    if _is_stored(kept, grid, wanted) and not reason:
        table = _stored_features(store, instrument, grid, wanted, span)
        return SetRows(instrument, grid, wanted, rows.to_features(table, len(wanted.names)), "trades", stored=True)
    layout = layout_of(settings, contiguous=tape.contiguous, timeframes=(grid,), sets=(wanted,))
    made_now = (outputs.features.get((grid, wanted.name)) for outputs in fold(store, tape, layout))
    parts = [_taken(part, span.cut(part.as_of)) for part in made_now if part is not None]
    whole = _joined(wanted, parts)
    shown = _taken(whole, span.cut(whole.as_of))
    return SetRows(instrument, grid, wanted, shown, "trades", stored=False, note=_note(instrument, reason))


def _kept(store: Store, settings: Settings, tape: TapeInfo) -> tuple[Settings, str]:
    """Return settings with the timeframes and sets that are stored, and why what is stored is not current, if so."""
    stored = store.read("states", instrument=tape.instrument).to_pylist()
    if not stored:
        return settings, "nothing was folded yet"
    mark, layout = stored[0]["layout"].rsplit("/", 1)
    if mark:
        return settings, str(mark)
    try:
        kept = settings_of(stored[0]["snapshot"], settings, STORED)
        current = layout_of(kept, contiguous=tape.contiguous).hash
    except (SnapshotMismatch, UnknownName) as error:
        return settings, str(error)
    return kept, "" if layout == current else "the settings or the code of a feature changed"


def imported_timeframes(store: Store, instrument: str) -> list[str]:
    """Return the timeframes of candles made by others that a store holds of an instrument."""
    names = store.read("candles", instrument=instrument, source="imported").column("timeframe").unique().to_pylist()
    return sorted(names, key=lambda name: Timeframe.parse(name).size)


def known(store: Store, instrument: str) -> None:
    """Refuse an instrument of which a store holds neither trades nor candles that others made.

    Raises:
        UnknownName: it is not there; the text lists those that are.
    """
    find(store, instrument)


def _stored_candles(store: Store, instrument: str, timeframe: str, source: str, span: Span) -> pa.Table:
    return store.read(
        "candles",
        instrument=instrument,
        start=span.start,
        end=span.end,
        limit=span.limit,
        timeframe=timeframe,
        source=source,
    )


def _stored_features(store: Store, instrument: str, timeframe: str, wanted: FeatureSet, span: Span) -> pa.Table:
    return store.read(
        "features",
        instrument=instrument,
        start=span.start,
        end=span.end,
        limit=span.limit,
        timeframe=timeframe,
        feature_set=wanted.name,
        version=wanted.version,
        source="trades",
    )


def _imported(store: Store, instrument: str, timeframe: str, span: Span) -> pa.Table:
    table = _stored_candles(store, instrument, timeframe, "imported", span)
    if table.num_rows:
        return table
    find(store, instrument)
    held = imported_timeframes(store, instrument)
    if held and timeframe not in held:
        raise UsageError(
            f"{instrument} {timeframe}",
            "cannot be made of candles that others made",
            expected=f"the timeframe imported: {', '.join(held)}",
            was=timeframe,
            next_step="import its trades to fold any timeframe",
        )
    return table


def _is_stored(settings: Settings, timeframe: str, wanted: FeatureSet) -> bool:
    if timeframe not in settings.timeframes:
        return False
    kept = (FeatureSet.load(name) for name in settings.feature_sets)
    return any((one.name, one.version) == (wanted.name, wanted.version) for one in kept)


def _note(instrument: str, reason: str) -> str:
    if not reason:
        return ""
    return f"{instrument}: what is stored is not current ({reason}): folded anew; next: tapeline rebuild {instrument}"


def as_times(table: pa.Table, *names: str) -> pa.Table:
    """Return a table with these columns (ns) as timestamps (ns, UTC)."""
    for name in names:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(at).cast(pa.timestamp("ns", "UTC")))
    return table


def _taken(made: FeatureRows, at: np.ndarray[Any, np.dtype[np.intp]]) -> FeatureRows:
    return FeatureRows(made.as_of[at], made.values[at], made.complete[at])


def _joined(features: FeatureSet, parts: list[FeatureRows]) -> FeatureRows:
    return FeatureRows(
        np.concatenate([np.empty(0, np.int64), *(part.as_of for part in parts)]),
        np.concatenate([np.empty((0, len(features.names))), *(part.values for part in parts)]),
        np.concatenate([np.empty(0, np.bool_), *(part.complete for part in parts)]),
    )
