"""The drift of champions: how far what they see and say has gone from what they were trained on.

The mathematics is in `tapeline.monitor.drift`; here it is given rows: those after the rows that a champion was trained
on, folded from candles by the same code that serves it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapeline import query
from tapeline.candles import chained
from tapeline.config import Settings
from tapeline.errors import InputError, MissingDependency, NotEnoughData, UnknownName, UsageError
from tapeline.features import FeatureFold
from tapeline.monitor.drift import Drift, DriftDetector, Level
from tapeline.query import CandleRows
from tapeline.registry import Entry, Registry
from tapeline.serving import Champion
from tapeline.stores.base import Store
from tapeline.types import Bool, Float, Int, Timeframe

OUTPUT = "prediction"
"""The column that stands for what a champion says."""
NEWEST = 1440
"""How many of the newest rows are compared with the rows of training, if those are many."""
_SHARE = 7
"""So many stretches as long as the newest rows are in training, at least: they tell how far one more may lie away."""
_REFERENCE = 12_000
_WARMUP = 500
_BLOCKS = (60, 240)


@dataclass(frozen=True, slots=True)
class ModelDrift:
    """How far what a champion sees and says has drifted since it was trained.

    Attributes:
        entry: the champion.
        drifts: by column, the output last; empty where nothing could be measured.
        reason: why not.
        reference_rows: how many rows of training were looked at.
        first: ``as_of`` of the first row compared with them, ns UTC.
        last: of the last.
        rows: how many these are.
    """

    entry: Entry
    drifts: tuple[Drift, ...] = ()
    reason: str = ""
    reference_rows: int = 0
    first: int | None = None
    last: int | None = None
    rows: int = 0

    @property
    def worst(self) -> Drift | None:
        """Return the column that drifted most, None where none did or nothing was measured."""
        drifted = [drift for drift in self.drifts if drift.level != "none"]
        return max(drifted, key=lambda drift: (drift.level == "major", drift.psi), default=None)

    @property
    def level(self) -> Level:
        """Return the level of the column that drifted most."""
        return "none" if self.worst is None else self.worst.level


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Rows of a champion: inputs and output (n x k), their instants, and which are whole."""

    values: Float
    as_of: Int
    complete: Bool

    def between(self, after: int, until: int | None, most: int) -> tuple[Float, Int]:
        wanted = self.complete & (self.as_of > after)
        if until is not None:
            wanted &= self.as_of <= until
        at = np.flatnonzero(wanted)[-most:]
        return self.values[at], self.as_of[at]


class DriftWatch:
    """Measure the drift of champions; what a champion was trained on is read once.

    Args:
        settings: which candles are stored.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: dict[tuple[str, str], _Watched] = {}

    def measure(self, store: Store, instrument: str | None = None) -> list[ModelDrift]:
        """Return the drift of every champion of the return, of one instrument or of all."""
        champions = [
            entry
            for entry in Registry(store).entries(instrument)
            if entry.status == "champion" and entry.target == "return"
        ]
        keys = {(entry.name, entry.version) for entry in champions}
        if instrument is None:
            self._kept = {key: watched for key, watched in self._kept.items() if key in keys}
        return [self._measured(store, entry) for entry in champions]

    def rows_of(self, entry: Entry) -> tuple[list[str], Float, Float]:
        """Return the columns, the rows of training and the newer rows that a champion was last measured on."""
        watched = self._kept[entry.name, entry.version]
        return watched.columns, watched.reference, watched.newer

    def _measured(self, store: Store, entry: Entry) -> ModelDrift:
        try:
            return self._watched(store, entry).measure(store, self._settings)
        except (NotEnoughData, UnknownName, InputError, UsageError, MissingDependency) as error:
            return ModelDrift(entry, reason=str(error))

    def _watched(self, store: Store, entry: Entry) -> _Watched:
        key = entry.name, entry.version
        if key not in self._kept:
            self._kept[key] = _Watched(store, self._settings, entry)
        return self._kept[key]


class _Watched:
    """A champion, and the rows it was trained on."""

    def __init__(self, store: Store, settings: Settings, entry: Entry) -> None:
        self._entry = entry
        self._champion = Champion.of(store, entry.name)
        ours = self._champion.predictor.artifact
        self._trained_to, self._step = ours.trained_to, Timeframe.parse(ours.timeframe).step
        found = query.candles(
            store, settings, ours.instrument, ours.timeframe, end=ours.trained_to, limit=_REFERENCE + _WARMUP
        )
        self.columns = [*ours.columns, OUTPUT]
        self.newer: Float = np.empty((0, len(self.columns)))
        self.reference, as_of = self._seen(found).between(ours.trained_from - 1, ours.trained_to, _REFERENCE)
        self._rows = len(as_of)
        least, most = _BLOCKS
        block = max(least, min(most, len(as_of) // 10))
        self._newest = max(block, min(NEWEST, len(as_of) // _SHARE))
        self._detector = DriftDetector(self.reference, as_of, self.columns, block=block)

    def _seen(self, found: CandleRows) -> _Seen:
        candles = chained(found.records) if found.source == "imported" else found.records
        features, predictor = self._champion.features, self._champion.predictor
        made = FeatureFold(features).feed(candles)
        inputs, columns = features.inputs(made.values, candles["close"])
        predictor.check(features.name, features.version, columns)
        said = predictor.says(inputs, as_of=made.as_of, complete=made.complete)["return"]
        return _Seen(np.column_stack([inputs, said]), made.as_of, made.complete)

    def measure(self, store: Store, settings: Settings) -> ModelDrift:
        ours = self._champion.predictor.artifact
        start = max(0, self._trained_to - _WARMUP * self._step)
        found = query.candles(store, settings, ours.instrument, ours.timeframe, start, limit=NEWEST + _WARMUP)
        self.newer, as_of = self._seen(found).between(self._trained_to, None, self._newest)
        drifts = self._detector.check(self.newer, as_of)
        return ModelDrift(self._entry, tuple(drifts), "", self._rows, int(as_of[0]), int(as_of[-1]), len(as_of))
