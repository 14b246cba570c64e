"""Feature sets: an ordered, named list of features with a version, and the fold that computes them from candles.

A feature is written ``close`` (a field of the candle), ``sma(7)`` (an indicator with its parameters),
``talib.CCI(14, window=60)`` (any TA-Lib function over exactly the trailing 60 candles), or any of these with
``as name``. Its columns are named by function and parameters: ``sma_7``, ``macd_7_14_7_signal``.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from tapeline.errors import SnapshotMismatch, UnknownName, UsageError
from tapeline.feature_text import Column, Feature, parse_feature
from tapeline.indicators import window as window_module
from tapeline.indicators.base import Unit, code_in, code_of
from tapeline.kernel import Kernel, Slot, build, state_dtype
from tapeline.talib_window import TalibFeature, talib_version
from tapeline.types import CANDLE, Bool, Float, Int, Records
from tapeline.user_files import paths_in


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Features of n candles.

    Attributes:
        as_of: close time of each candle, ns UTC.
        values: n x k, NaN where unknown.
        complete: whether the whole window behind the row was complete.
    """

    as_of: Int
    values: Float
    complete: Bool

    def __len__(self) -> int:
        return len(self.as_of)

    def take(self, rows: slice) -> Self:
        """Return some of the rows."""
        return type(self)(self.as_of[rows], self.values[rows], self.complete[rows])


@dataclass(frozen=True)
class FeatureSet:
    """An ordered, named list of features, compiled into one kernel.

    >>> features = FeatureSet.of(["close", "sma(7)", "macd(7, 14, 7)"])
    >>> features.names
    ['close', 'sma_7', 'macd_7_14_7', 'macd_7_14_7_signal', 'macd_7_14_7_histogram']
    """

    name: str
    features: tuple[str, ...]
    learning: bool = True
    description: str = ""

    @classmethod
    def of(cls, features: Iterable[str], *, name: str = "custom", learning: bool = True, description: str = "") -> Self:
        """Make a set of features written as text.

        Raises:
            UnknownName: an indicator is not known.
            UsageError: a feature cannot be read, its parameters do not fit, or two columns have one name.
        """
        made = cls(name, tuple(features), learning, description)
        names = made.names
        doubled = sorted({column for column in names if names.count(column) > 1})
        if doubled or not names:
            raise UsageError(
                f"feature set {name}", "is not a list of columns", expected="one or more, each once", was=doubled
            )
        return made

    @classmethod
    def load(cls, name: str) -> Self:
        """Read a set by name from the shipped ones or from the folders in ``TAPELINE_SETS``, or from a TOML file.

        Raises:
            UnknownName: there is none of that name.
            UsageError: the file is not a feature set.
        """
        files = available_sets()
        file = Path(name) if name.endswith(".toml") else files.get(name)
        if file is None or not file.is_file():
            raise UnknownName(
                f"feature set {name}",
                "is not known",
                expected=f"one of {', '.join(sorted(files))} or a TOML file",
                was=name,
            )
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"feature set {file.name}", f"cannot be read: {error}") from error
        features = content.get("features")
        if not isinstance(features, list) or not all(isinstance(feature, str) for feature in features):
            raise UsageError(
                f"feature set {file.name}", "lists no features", expected='features = ["close", "sma(7)"]', was=features
            )
        return cls.of(
            features,
            name=str(content.get("name", file.stem)),
            learning=bool(content.get("learning", True)),
            description=str(content.get("description", "")),
        )

    @classmethod
    def from_definition(cls, text: str) -> Self:
        """Read a set back from its `definition`."""
        content = json.loads(text)
        return cls.of(content["features"], name=content["name"], learning=content["learning"])

    @property
    def definition(self) -> str:
        """Return the set as JSON: what a model's record keeps."""
        return json.dumps({"name": self.name, "features": list(self.features), "learning": self.learning})

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to another process as the definition: indicators hold functions that cannot."""
        return type(self).from_definition, (self.definition,)

    def extended(self, feature: str) -> Self:
        """Return the set with one more feature at its end, or itself if it has that already."""
        extra = type(self).of([feature], name=self.name)
        if set(extra.names) <= set(self.names):
            return self
        return type(self).of(
            [*self.features, feature], name=self.name, learning=self.learning, description=self.description
        )

    @cached_property
    def _parsed(self) -> list[Feature]:
        return [parse_feature(self.name, text) for text in self.features]

    @cached_property
    def columns(self) -> list[Column]:
        """Return the columns in order."""
        return [column for feature in self._parsed for column in feature.columns]

    @property
    def names(self) -> list[str]:
        """Return the names of the columns in order."""
        return [column.name for column in self.columns]

    @cached_property
    def window(self) -> int:
        """Return how many candles a row depends on at least: the longest warm-up and the candle itself."""
        return max(column.warmup for column in self.columns) + 1

    @cached_property
    def version(self) -> str:
        """Return the hash of the definition and of the code of its indicators (12 hex digits)."""
        digest = hashlib.blake2b(digest_size=6)
        digest.update(
            json.dumps(
                [[feature.text, *(column.name for column in feature.columns)] for feature in self._parsed]
            ).encode()
        )
        digest.update(code_in(Path(window_module.__file__)).encode())
        for name in sorted({feature.slot.name for feature in self._parsed if feature.slot}):
            digest.update(code_of(name).encode())
        if any(feature.talib for feature in self._parsed):
            digest.update(talib_version().encode())
        return digest.hexdigest()

    @cached_property
    def plan(self) -> Plan:
        """Return the compiled form."""
        return Plan.of(self)

    def inputs(self, values: Float, close: Float) -> tuple[Float, list[str]]:
        """Return what a model sees of feature values: free of price levels.

        Prices become their ratio to close, less one (``sma_7_to_close``); price changes their ratio to close;
        running totals and the close itself are left out; the rest stays.

        Args:
            values: n x k, as `FeatureFold.feed` gives them.
            close: n closes of the same candles.

        Returns:
            n x m values and m names.
        """
        kept, price, priced, names = self._seen
        columns = np.take(values, kept, axis=1)
        columns[:, priced] /= close[:, None]
        columns[:, price] -= 1.0
        return columns, names

    @cached_property
    def _seen(self) -> tuple[list[int], list[int], list[int], list[str]]:
        """Return which columns a model sees, which of them are prices, which prices or their changes, and all names."""
        kept = [
            place for place, one in enumerate(self.columns) if one.unit is not Unit.CUMULATIVE and one.name != "close"
        ]
        units = [self.columns[place].unit for place in kept]
        price = [place for place, unit in enumerate(units) if unit is Unit.PRICE]
        priced = [place for place, unit in enumerate(units) if unit in (Unit.PRICE, Unit.PRICE_CHANGE)]
        names = [self.columns[place].name for place in kept]
        return kept, price, priced, [f"{name}_to_close" if at in priced else name for at, name in enumerate(names)]


def available_sets() -> dict[str, Path]:
    """Return the TOML files of all sets that can be found by name; a user's own set hides a shipped one."""
    folders = [Path(__file__).parent / "sets", *paths_in(os.environ.get("TAPELINE_SETS", ""))]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.toml"))}


@dataclass(frozen=True, slots=True)
class Plan:
    """A feature set made ready to run: its kernel, the type of its state, its TA-Lib parts."""

    kernel: Kernel
    dtype: np.dtype[np.void]
    talib: tuple[tuple[int, TalibFeature], ...]

    @classmethod
    def of(cls, features: FeatureSet) -> Self:
        """Compile a set, or load it from the cache."""
        slots: list[Slot] = []
        fields: list[tuple[int, str]] = []
        talib: list[tuple[int, TalibFeature]] = []
        column = 0
        for feature in features._parsed:
            taken = tuple(range(column, column + len(feature.columns)))
            if feature.slot:
                slot = feature.slot
                slots.append(Slot(f"f{column}_{slot.name}", slot.name, slot.indicator, slot.parameters, taken))
            elif feature.talib:
                talib.append((column, feature.talib))
            else:
                fields.append((column, feature.text))
            column += len(feature.columns)
        return cls(build(features.version, slots, fields, features.window), state_dtype(slots), tuple(talib))


class FeatureFold:
    """Fold candles of one instrument and timeframe into feature rows.

    However the candles are cut into batches, the rows are the same bits; `snapshot` and `restore` carry the state.
    """

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self._plan = features.plan
        self._state = np.zeros(1, self._plan.dtype)
        self._recent = {column: function.history() for column, function in self._plan.talib}

    def feed(self, candles: Records) -> FeatureRows:
        """Return one row per candle.

        Args:
            candles: n records of `CANDLE`, in order of time; one marked ``restart`` begins from nothing.
        """
        if candles.dtype is not CANDLE or not candles.flags.carray:  # it would compile another kernel
            candles = np.require(candles, CANDLE, ("C", "A", "W"))
        n = len(candles)
        values = np.empty((n, len(self.features.columns)))
        complete = np.empty(n, np.bool_)
        starts = [0, *(np.flatnonzero(candles["restart"]) if n > 1 else [])]
        for begin, end in zip(starts, [*starts[1:], n], strict=True):
            if begin < n and candles["restart"][begin]:
                self._reset()
            self._run(candles[begin:end], values[begin:end], complete[begin:end])
        return FeatureRows(candles["close_time"].copy(), values, complete)

    def _run(self, candles: Records, values: Float, complete: Bool) -> None:
        self._plan.kernel(self._state, candles, values, complete)
        for column, function in self._plan.talib:
            recent = self._recent[column]
            values[:, column : column + len(function.outputs)] = recent.feed(candles)

    def _reset(self) -> None:
        self._state[:] = np.zeros(1, self._plan.dtype)
        for recent in self._recent.values():
            recent.reset()

    @property
    def run(self) -> int:
        """Return how many complete candles in a row it stands after."""
        return int(self._state["run"][0])

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return self._state.tobytes() + b"".join(recent.snapshot() for recent in self._recent.values())

    def restore(self, snapshot: bytes) -> None:
        """Continue from a state that `snapshot` gave.

        Raises:
            SnapshotMismatch: its length is not that of this set's state.
        """
        sizes = [self._state.nbytes, *(recent.size for recent in self._recent.values())]
        if len(snapshot) != sum(sizes):
            raise SnapshotMismatch(
                f"feature set {self.features.name}",
                "cannot take this state",
                expected=f"{sum(sizes)} bytes",
                was=len(snapshot),
            )
        self._state = np.frombuffer(snapshot[: sizes[0]], self._plan.dtype).copy()
        at = sizes[0]
        for recent in self._recent.values():
            recent.restore(snapshot[at : at + recent.size])
            at += recent.size
