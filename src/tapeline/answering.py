"""The models that answer in a pipeline: those at hand, and those that its tape names but that cannot be had.

A model is absent where its features or its code are gone, its extra is not installed or its artefact is damaged. The
fold goes on without its predictions, and a state stored meanwhile holds nothing of it. Once it is back it goes on from
the stored candles, at the same bits as if it had never been away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tapeline.errors import BrokenInvariant, InputError, MissingDependency, SnapshotMismatch, UsageError
from tapeline.features import FeatureFold, FeatureRows, FeatureSet
from tapeline.types import Answer, Float, Prediction, Records

CANNOT_BE_HAD = (UsageError, InputError, MissingDependency)
"""What says that a model cannot be had; trouble of the store is not among it."""


class Predictor(Protocol):
    """A model that answers: what it is called, what it looks at, and what it says."""

    @property
    def key(self) -> str:
        """Return ``name@version``."""

    @property
    def timeframe(self) -> str:
        """Return the timeframe whose candles it looks at."""

    @property
    def features(self) -> FeatureSet:
        """Return the feature set it was trained on."""

    def predict(self, instrument: str, rows: FeatureRows, close: Float) -> Sequence[Prediction | Answer]:
        """Return one prediction, or answer to another target, per row that it can answer."""


LoadModel = Callable[[str, int], tuple[Predictor, FeatureFold]]
"""Give, for a ``name@version`` and an instant, the predictor and the fold of its feature set, warmed with the candles
closed up to then."""


@dataclass(frozen=True, slots=True)
class _Absent:
    reason: str


class Answering:
    """The models of one pipeline, by name; a later one takes the place of the one of the same name.

    Args:
        instrument: whose candles they look at.
        load: gives a model.
    """

    def __init__(self, instrument: str, load: LoadModel | None) -> None:
        self._instrument = instrument
        self._load = load
        self._models: dict[str, tuple[str, tuple[Predictor, FeatureFold] | _Absent]] = {}

    @property
    def keys(self) -> list[str]:
        """Return all as ``name@version``, also those that cannot be had."""
        return [key for key, _ in self._models.values()]

    @property
    def absent(self) -> dict[str, str]:
        """Return why each that cannot be had cannot, by ``name@version``."""
        return {key: served.reason for key, served in self._models.values() if isinstance(served, _Absent)}

    def folds(self, timeframe: str) -> list[FeatureFold]:
        """Return what the models at hand that look at candles of a timeframe see them through."""
        served = [one for _, one in self._models.values() if not isinstance(one, _Absent)]
        return [fold for predictor, fold in served if predictor.timeframe == timeframe]

    def answer_with(self, key: str, until: int) -> None:
        """Let a model answer from the next candle on, warmed with the candles closed up to an instant.

        Raises:
            BrokenInvariant: there is no way to load models.
        """
        self._models[_name(key)] = key, self._loaded(key, until)

    def predict(self, timeframe: str, candles: Records) -> list[Prediction | Answer]:
        """Return what the models at hand say of candles that have just closed."""
        made: list[Prediction | Answer] = []
        for _, served in self._models.values():
            if not isinstance(served, _Absent) and served[0].timeframe == timeframe:
                predictor, fold = served
                made += predictor.predict(self._instrument, fold.feed(candles), candles["close"])
        return made

    def snapshot(self) -> list[bytes]:
        """Return the state of each in the order of `keys`; nothing for one that cannot be had."""
        return [b"" if isinstance(served, _Absent) else served[1].snapshot() for _, served in self._models.values()]

    def restore(self, keys: Sequence[str], states: Sequence[bytes], until: int) -> None:
        """Continue from states that `snapshot` gave; one without a state is warmed with the candles up to ``until``.

        Raises:
            BrokenInvariant: there is no way to load models.
        """
        pairs = zip(keys, states, strict=True)
        self._models = {_name(key): (key, self._restored(key, state, until)) for key, state in pairs}

    def _restored(self, key: str, state: bytes, until: int) -> tuple[Predictor, FeatureFold] | _Absent:
        served = self._loaded(key, 0 if state else until)
        if state and not isinstance(served, _Absent):
            try:
                served[1].restore(state)
            except SnapshotMismatch:  # its code has changed: another window
                return self._loaded(key, until)
        return served

    def _loaded(self, key: str, until: int) -> tuple[Predictor, FeatureFold] | _Absent:
        if self._load is None:
            where = f"pipeline {self._instrument}"
            raise BrokenInvariant(where, "met a model and has no way to load it", expected="load_model", was=key)
        try:
            return self._load(key, until)
        except CANNOT_BE_HAD as error:
            return _Absent(str(error))


def _name(key: str) -> str:
    return key.rpartition("@")[0]
