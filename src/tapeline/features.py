"""Feature sets: an ordered, named list of features with a version, and the fold that computes them from candles.

A feature is written ``close`` (a field of the candle), ``sma(7)`` (an indicator with its parameters),
``talib.CCI(14, window=60)`` (any TA-Lib function over exactly the trailing 60 candles), or any of these with
``as name``. Its columns are named by function and parameters: ``sma_7``, ``macd_7_14_7_signal``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from tapeline.errors import SnapshotMismatch, UnknownName, UsageError
from tapeline.indicators import window as window_module
from tapeline.indicators.base import Unit, code_in, code_of, find
from tapeline.kernel import Kernel, Slot, build, state_dtype
from tapeline.talib_window import TalibFeature, talib_version
from tapeline.types import CANDLE, Bool, Float, Int, Records

_FEATURE = re.compile(r"(talib\.)?([A-Za-z_]\w*)\s*(?:\((.*)\))?(?:\s+as\s+([A-Za-z_]\w*))?")
_FIELDS = {
    "open": Unit.PRICE,
    "high": Unit.PRICE,
    "low": Unit.PRICE,
    "close": Unit.PRICE,
    "vwap": Unit.PRICE,
    "volume": Unit.QUANTITY,
    "quote_volume": Unit.QUANTITY,
    "buy_volume": Unit.QUANTITY,
    "trades": Unit.QUANTITY,
    "realized_vol": Unit.RATIO,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a feature set: its name, its unit, and how many first rows are NaN."""

    name: str
    unit: Unit
    warmup: int


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

    def extended(self, feature: str) -> Self:
        """Return the set with one more feature at its end, or itself if it has that already."""
        extra = type(self).of([feature], name=self.name)
        if set(extra.names) <= set(self.names):
            return self
        return type(self).of(
            [*self.features, feature], name=self.name, learning=self.learning, description=self.description
        )

    @cached_property
    def _parsed(self) -> list[_Feature]:
        return [_parse(self.name, text) for text in self.features]

    @cached_property
    def columns(self) -> list[Column]:
        """Return the columns in order."""
        return [column for feature in self._parsed for column in feature.columns]

    @property
    def names(self) -> list[str]:
        """Return the names of the columns in order."""
        return [column.name for column in self.columns]

    @property
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
        columns, names = [], []
        for index, column in enumerate(self.columns):
            series = values[:, index]
            if column.unit is Unit.CUMULATIVE or column.name == "close":
                continue
            if column.unit is Unit.PRICE:
                columns.append(series / close - 1.0)
            elif column.unit is Unit.PRICE_CHANGE:
                columns.append(series / close)
            else:
                columns.append(series)
            priced = column.unit in (Unit.PRICE, Unit.PRICE_CHANGE)
            names.append(f"{column.name}_to_close" if priced else column.name)
        return np.ascontiguousarray(np.column_stack(columns)) if columns else np.empty((len(values), 0)), names


def available_sets() -> dict[str, Path]:
    """Return the TOML files of all sets that can be found by name; a user's own set hides a shipped one."""
    folders = [
        Path(__file__).parent / "sets",
        *map(Path, filter(None, os.environ.get("TAPELINE_SETS", "").split(os.pathsep))),
    ]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.toml"))}


@dataclass(frozen=True, slots=True)
class _Feature:
    """One entry of a set: an indicator (slot), a TA-Lib function, or a field of the candle (neither)."""

    text: str
    columns: tuple[Column, ...]
    slot: Slot | None = None
    talib: TalibFeature | None = None


def _parse(owner: str, text: str) -> _Feature:
    match = _FEATURE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"feature set {owner}",
            "has a feature that cannot be read",
            expected="name, name(7) or name(7) as x",
            was=text,
        )
    prefix, name, arguments, alias = match.groups()
    positional, named = _arguments(text, arguments)
    if prefix:
        function = TalibFeature.of(name, positional, named)
        return _Feature(function.text, tuple(_talib_columns(function, alias)), talib=function)
    if arguments is None and name in _FIELDS:
        return _Feature(name, (Column(alias or name, _FIELDS[name], 0),))
    return _indicator(name, positional, named, alias)


def _arguments(text: str, arguments: str | None) -> tuple[list[float], dict[str, float]]:
    positional: list[float] = []
    named: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in (arguments or "").split(","))):
        key, equals, value = part.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(
                f"feature {text}", "has a parameter that is no number", expected="a finite number", was=value
            )
        if equals:
            named[key.strip()] = number
        else:
            positional.append(number)
    return positional, named


def _indicator(name: str, positional: Sequence[float], named: dict[str, float], alias: str | None) -> _Feature:
    indicator = find(name)
    wanted = [parameter.name for parameter in indicator.parameters]
    given = dict(zip(wanted, positional, strict=False)) | named
    if len(positional) > len(wanted) or set(given) != set(wanted) or len(given) < len(positional) + len(named):
        shown = [f"{value:g}" for value in positional] + [f"{key}={value:g}" for key, value in named.items()]
        raise UsageError(
            f"feature {name}", "has other parameters", expected=f"({', '.join(wanted)})", was=f"({', '.join(shown)})"
        )
    parameters = tuple(parameter.check(name, given[parameter.name]) for parameter in indicator.parameters)
    base = alias or "_".join([name, *(_short(value) for value in parameters)])
    columns = tuple(
        Column(f"{base}_{output.suffix}" if output.suffix else base, output.unit, warmup)
        for output, warmup in zip(indicator.outputs, indicator.warmups(*parameters), strict=True)
    )
    canonical = f"{name}({', '.join(map(repr, parameters))})"
    return _Feature(canonical, columns, Slot("", name, indicator, parameters, ()))


def _short(value: float) -> str:
    return f"{value:g}".replace(".", "p").replace("-", "m").replace("+", "")


def _talib_columns(function: TalibFeature, alias: str | None) -> Iterable[Column]:
    base = alias or function.column
    for suffix, unit in zip(function.outputs, function.units, strict=True):
        yield Column(f"{base}_{suffix}" if suffix else base, unit, function.window - 1)


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
        candles = np.require(candles, CANDLE, ("C", "A", "W"))  # another memory layout would compile another kernel
        n = len(candles)
        values = np.empty((n, len(self.features.columns)))
        complete = np.empty(n, np.bool_)
        starts = [0, *(np.flatnonzero(candles["restart"]) if n else [])]
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
