"""Comparing what a pipeline gives with what a store holds, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapeline.candles import CandleFold
from tapeline.clock import format_time
from tapeline.features import FeatureRows
from tapeline.lane import BEHIND
from tapeline.pipeline import Layout, Outputs
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import CANDLE, Bool, Records, Timeframe

_STANDING = frozenset(["complete", "restart"])
"""What a candle owes to what came before it."""
MOST = 20
"""How many findings of one kind are listed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference: where it is, what is stored there, and what the tape gives (None: no such row)."""

    table: str
    key: str
    field: str
    stored: Any
    recomputed: Any

    def __str__(self) -> str:
        return f"{self.table} {self.key} {self.field}: stored {self.stored}, recomputed {self.recomputed}"


def same_bits(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> Bool:
    """Return where two arrays of one type hold the same bits; unknown equals unknown."""
    if left.dtype.kind != "f":
        return np.asarray(left == right)
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    return np.asarray((left.view(np.int64) == right.view(np.int64)) | (np.isnan(left) & np.isnan(right)))


class Comparer:
    """Compare the outputs of one fold of an instrument's tape with its stored rows, as they come.

    Args:
        store: what to compare with.
        instrument: whose rows.
        layout: what the fold computes.
        how: how the tape was fed, for the findings.
    """

    def __init__(self, store: Store, instrument: str, layout: Layout, how: str) -> None:
        self._store = store
        self._instrument = instrument
        self._layout = layout
        self._how = how
        self._reached: dict[str, int] = {}
        self._late: list[int] = []
        self.findings: list[Finding] = []
        self.compared: dict[str, int] = {}
        self.trades = 0

    def take(self, outputs: Outputs) -> None:
        """Compare what one record gave."""
        self._late += [int(i) for frame in outputs.behind for i in frame.trade_id]
        for timeframe, candles in outputs.candles.items():
            start = self._reached.get(timeframe)
            end = int(candles["open_time"][-1]) + 1
            self._compare_candles(timeframe, candles, start, end)
            for features in self._layout.sets:
                given = outputs.features[timeframe, features.name]
                self._compare_features(timeframe, features.name, given, start, end)
            self._reached[timeframe] = end

    def finish(self, *, late: bool) -> list[Finding]:
        """Look for stored rows beyond what the tape gives, and return all findings."""
        for timeframe in self._layout.timeframes:
            self._compare_candles(timeframe, np.empty(0, CANDLE), self._reached.get(timeframe), None)
        if late:
            table = self._store.read("late_trades", instrument=self._instrument, reason=BEHIND)
            stored = set(table.column("trade_id").to_pylist())
            for trade_id in sorted(stored ^ set(self._late)):
                here = trade_id in stored
                self._find("late_trades", str(trade_id), "reason", BEHIND if here else None, None if here else BEHIND)
        return self.findings

    def _compare_candles(self, timeframe: str, given: Records, start: int | None, end: int | None) -> None:
        table = self._store.read(
            "candles", instrument=self._instrument, start=start, end=end, timeframe=timeframe, source="trades"
        )
        stored = rows.to_candles(table)
        self._count("candles", len(given))
        mine, theirs = self._matched("candles", timeframe, given["open_time"], stored["open_time"])
        for name in CANDLE.names or ():
            left, right = stored[name][theirs], given[name][mine]
            for row in np.flatnonzero(~same_bits(left, right))[:MOST]:
                self._find("candles", self._key(timeframe, given["open_time"][mine][row]), name, left[row], right[row])

    def _compare_features(self, timeframe: str, name: str, given: FeatureRows, start: int | None, end: int) -> None:
        features = next(features for features in self._layout.sets if features.name == name)
        shift = int(given.as_of[-1]) + 1 - end
        table = self._store.read(
            "features",
            instrument=self._instrument,
            start=None if start is None else start + shift,
            end=end + shift,
            timeframe=timeframe,
            feature_set=name,
            version=features.version,
            source="trades",
        )
        stored = rows.to_features(table, len(features.columns))
        self._count("feature rows", len(given))
        mine, theirs = self._matched("features", f"{timeframe} {name}", given.as_of, stored.as_of)
        keys = given.as_of[mine]
        differs = ~same_bits(stored.values[theirs], given.values[mine])
        for row, column in np.argwhere(differs)[:MOST]:
            left, right = stored.values[theirs][row, column], given.values[mine][row, column]
            self._find("features", self._key(f"{timeframe} {name}", keys[row]), features.names[column], left, right)
        for row in np.flatnonzero(stored.complete[theirs] != given.complete[mine])[:MOST]:
            left, right = stored.complete[theirs][row], given.complete[mine][row]
            self._find("features", self._key(f"{timeframe} {name}", keys[row]), "complete", left, right)

    def _matched(self, table: str, what: str, given: Any, stored: Any) -> tuple[Any, Any]:
        """Pair rows by their time, and name those that only one side has, or that one has twice."""
        _, mine, theirs = np.intersect1d(given, stored, return_indices=True)
        for time in np.setdiff1d(given, stored)[:MOST]:
            self._find(table, self._key(what, time), "row", None, "a row")
        for time in np.setdiff1d(stored, given)[:MOST]:
            self._find(table, self._key(what, time), "row", "a row", None)
        times, counts = np.unique(stored, return_counts=True)
        for time, count in zip(times[counts > 1][:MOST], counts[counts > 1][:MOST], strict=True):
            self._find(table, self._key(what, time), "rows", int(count), 1)
        return mine, theirs

    def _key(self, what: str, time: int) -> str:
        return f"{self._instrument} {what} {format_time(int(time))}"

    def _find(self, table: str, key: str, name: str, stored: Any, recomputed: Any) -> None:
        finding = Finding(table, key, name, _plain(stored), _plain(recomputed))
        if len(self.findings) < 10 * MOST:
            self.findings.append(finding)

    def _count(self, what: str, number: int) -> None:
        self.compared[what] = self.compared.get(what, 0) + number


def candle_differences(store: Store, instrument: str, timeframe: str, candles: Records) -> Iterator[Finding]:
    """Yield how the last of stored candles differs from what its trades give; whether it is complete is not asked.

    The candle with trades before it is folded too: a move is one from the price before.
    """
    last = candles[-1]
    traded = candles["open_time"][:-1][candles["trades"][:-1] > 0]
    start, end = int(traded[-1] if len(traded) else last["open_time"]), int(last["close_time"])
    frame = rows.to_frame(instrument, store.read("trades", instrument=instrument, start=start, end=end))
    late = store.read("late_trades", instrument=instrument, start=start, end=end, reason=BEHIND).column("trade_id")
    fold = CandleFold([Timeframe.parse(timeframe)])
    parts = [fold.feed(frame.take(~np.isin(frame.trade_id, late.to_numpy())))[0][0], fold.close_until(end)[0]]
    made = np.concatenate(parts)
    again = made[made["open_time"] == last["open_time"]]
    key = f"{instrument} {timeframe} {format_time(int(last['open_time']))}"
    if not len(again):
        yield Finding("candles", key, "trades", int(last["trades"]), 0)
        return
    for name in CANDLE.names or ():
        if name not in _STANDING and not same_bits(candles[-1:][name], again[:1][name])[0]:
            yield Finding("candles", key, name, _plain(last[name]), _plain(again[0][name]))


def invariants(store: Store, instrument: str) -> Iterator[Finding]:
    """Yield candles of any source that break what every candle must hold: low <= open, close <= high, volume >= 0."""
    table = store.read("candles", instrument=instrument)
    candles = rows.to_candles(table)
    low, high = candles["low"], candles["high"]
    rules = {
        "low": (low <= candles["open"]) & (low <= candles["close"]) & (low <= high),
        "high": (high >= candles["open"]) & (high >= candles["close"]),
        "volume": candles["volume"] >= 0,
        "close_time": candles["close_time"] > candles["open_time"],
        "vwap": np.isnan(candles["vwap"])
        | ((candles["vwap"] >= low * (1 - 1e-9)) & (candles["vwap"] <= high * (1 + 1e-9))),
    }
    for name, holds in rules.items():
        for row in np.flatnonzero(~holds)[:MOST]:
            timeframe = table.column("timeframe")[int(row)].as_py()
            key = f"{instrument} {timeframe} {format_time(int(candles['open_time'][row]))}"
            yield Finding(
                "candles", key, name, _plain(candles[name][row]), "a value that keeps low <= open, close <= high"
            )


def _plain(value: Any) -> Any:
    """Return a NumPy number as a Python number, and unknown as None."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and math.isnan(plain) else plain
