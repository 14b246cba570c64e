"""The pipeline of one instrument: ledger, candles, features and predictions as one fold over its tape.

It is fed frames of trades and decisions, and told nothing else: no clock, no store, no network. Whatever drives it
(replay, the live process, a Kafka worker, training) gets the same bits from the same tape, however the tape is cut and
wherever it was stopped and resumed.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit

from tapeline.answering import Answering, LoadModel
from tapeline.candles import GRID_STATE, MAX_QUIET, CandleFold
from tapeline.clock import MINUTE
from tapeline.errors import BrokenInvariant, SnapshotMismatch
from tapeline.features import FeatureFold, FeatureRows, FeatureSet
from tapeline.ledger import REORDER_WINDOW, Admission, Ledger
from tapeline.types import CANDLE, Answer, Decision, DecisionKind, Frame, Prediction, Records, Timeframe

MAX_AHEAD = MINUTE
"""A trade stamped further ahead of its receipt than this (ns) is quarantined."""

_MAGIC = b"TAPELINE"
_LAYOUT = 2
_RECORDS = hashlib.blake2b(f"{CANDLE}{GRID_STATE}".encode(), digest_size=4).hexdigest()


@dataclass(frozen=True, slots=True)
class Layout:
    """What a pipeline computes: everything that a snapshot depends on."""

    timeframes: tuple[str, ...] = ("1m", "5m", "1h")
    sets: tuple[FeatureSet, ...] = ()
    contiguous: bool = True
    reorder_window: int = REORDER_WINDOW
    max_quiet: int = MAX_QUIET
    max_ahead: int = MAX_AHEAD

    def describe(self) -> dict[str, Any]:
        """Return the layout as plain values, part by part."""
        return {
            "format": _LAYOUT,
            "timeframes": list(self.timeframes),
            "feature sets": {features.name: features.version for features in self.sets},
            "contiguous": self.contiguous,
            "reorder window": self.reorder_window,
            "max quiet": self.max_quiet,
            "max ahead": self.max_ahead,
            "records": _RECORDS,
        }

    @property
    def hash(self) -> str:
        """Return the hash of the layout (16 hex digits)."""
        return hashlib.blake2b(json.dumps(self.describe()).encode(), digest_size=8).hexdigest()


@dataclass(slots=True)
class Outputs:
    """What feeding one record gave.

    Attributes:
        candles: closed candles by timeframe.
        features: feature rows by (timeframe, feature set).
        predictions: in order of ``as_of``; ``made_at`` is ``as_of`` until a driver puts its clock's time there.
        answers: likewise, of models of other targets.
        admission: what the ledger said of the frame.
        behind: trades that came after one of their candles had closed.
        quarantined: trades stamped too far in the future.
    """

    admission: Admission
    quarantined: Frame
    behind: list[Frame] = field(default_factory=list)
    candles: dict[str, Records] = field(default_factory=dict)
    features: dict[tuple[str, str], FeatureRows] = field(default_factory=dict)
    predictions: list[Prediction] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


class Pipeline:
    """Fold one instrument's tape into candles, features and predictions.

    Args:
        instrument: whose tape.
        layout: what to compute.
        load_model: gives the model that a MODEL decision names. One that cannot be had makes no predictions, and
            nothing else changes.

    >>> pipeline = Pipeline("BTC-USD.SIM", Layout(timeframes=("1m",)))
    >>> trades = Frame.of("BTC-USD.SIM", trade_id=[1, 2], ts_event=[0, 60_000_000_000], price=[10, 11], qty=[1, 1])
    >>> pipeline.feed(trades).candles["1m"]["close"].tolist()
    [10.0]
    """

    def __init__(
        self,
        instrument: str,
        layout: Layout,
        *,
        load_model: LoadModel | None = None,
    ) -> None:
        self.instrument = instrument
        self.layout = layout
        self.ledger = Ledger(instrument, contiguous=layout.contiguous, reorder_window=layout.reorder_window)
        self._candles = CandleFold([Timeframe.parse(name) for name in layout.timeframes], max_quiet=layout.max_quiet)
        self._features = {
            (timeframe, features.name): FeatureFold(features)
            for timeframe in layout.timeframes
            for features in layout.sets
        }
        self._models = Answering(instrument, load_model)
        self._none = Frame.empty(instrument)
        self.decisions = 0
        """How many decisions were fed: with the ledger's position, how far on the tape it stands."""

    def feed(self, record: Frame | Decision) -> Outputs:
        """Take the next record of the tape and return all that follows from it.

        Raises:
            BrokenInvariant: the record is of another instrument, or names a model where there is no way to load one.
        """
        if record.instrument != self.instrument:
            raise BrokenInvariant(
                f"pipeline {self.instrument}", "was fed another tape", expected=self.instrument, was=record.instrument
            )
        return self._feed_frame(record) if isinstance(record, Frame) else self._feed_decision(record)

    def running(self) -> dict[str, Records]:
        """Return each timeframe's running candle as it stands (none before the first trade)."""
        return dict(zip(self.layout.timeframes, self._candles.running(), strict=True))

    @property
    def next_close(self) -> int | None:
        """Return when the first of the running candles ends, None before the first trade."""
        return self._candles.next_close

    @property
    def warmup(self) -> dict[str, tuple[int, int]]:
        """Return by timeframe how many complete candles in a row there are, and how many are needed.

        Needed are those of the longest window that a model looks at; without one, of the longest feature set.
        """
        told = {}
        for timeframe in self.layout.timeframes:
            stored = [fold for (name, _), fold in self._features.items() if name == timeframe]
            folds = self._models.folds(timeframe) or stored
            if folds:
                longest = max(folds, key=lambda fold: fold.features.window)
                told[timeframe] = (longest.run, longest.features.window)
        return told

    @property
    def models(self) -> list[str]:
        """Return the models that answer, as ``name@version``, also those that cannot be had."""
        return self._models.keys

    @property
    def absent(self) -> dict[str, str]:
        """Return why each model that cannot be had cannot, by ``name@version``."""
        return self._models.absent

    def _feed_frame(self, frame: Frame) -> Outputs:
        if _any_ahead(frame.ts_event, frame.ts_init, self.layout.max_ahead):
            ahead = frame.ts_event - frame.ts_init > self.layout.max_ahead
            return self._after(self.ledger.admit(frame.take(~ahead)), frame.take(ahead))
        return self._after(self.ledger.admit(frame), self._none)

    def _feed_decision(self, decision: Decision) -> Outputs:
        nothing = self._none
        self.decisions += 1
        if decision.kind is DecisionKind.START:
            self.ledger.start(decision.value)
        elif decision.kind is DecisionKind.GIVE_UP:
            return self._after(self.ledger.give_up(decision.position + 1, decision.value), nothing)
        elif decision.kind is DecisionKind.MODEL:
            self._models.answer_with(decision.text, decision.value)
        else:
            outputs = self._after(self.ledger.release_until(decision.value), nothing)
            self._close(outputs, self._candles.close_until(decision.value))
            return outputs
        return Outputs(Admission([], nothing, nothing, nothing), nothing)

    def _after(self, admission: Admission, quarantined: Frame) -> Outputs:
        """Fold what the ledger released."""
        outputs = Outputs(admission, quarantined)
        for run in admission.released:
            if run.after_gap:
                self._candles.hole()
            closed, late = self._candles.feed(run.frame)
            if late.any():
                outputs.behind.append(run.frame.take(late))
            self._close(outputs, closed)
        if self.ledger.gap_ahead:
            self._candles.hole()
        return outputs

    def _close(self, outputs: Outputs, closed: Sequence[Records]) -> None:
        """Compute features and predictions of candles that have just closed, and add all to the outputs."""
        for timeframe, candles in zip(self.layout.timeframes, closed, strict=True):
            if not len(candles):
                continue
            outputs.candles[timeframe] = _joined_records(outputs.candles.get(timeframe), candles)
            for features in self.layout.sets:
                key = (timeframe, features.name)
                outputs.features[key] = _joined_rows(outputs.features.get(key), self._features[key].feed(candles))
            for said in self._models.predict(timeframe, candles):
                if isinstance(said, Prediction):
                    outputs.predictions.append(said)
                else:
                    outputs.answers.append(said)
        outputs.predictions.sort(key=lambda prediction: prediction.as_of)
        outputs.answers.sort(key=lambda answer: answer.as_of)

    def _closed_until(self) -> int:
        """Return the end of the newest closed candle of any timeframe, 0 before the first trade."""
        steps = {name: Timeframe.parse(name).step for name in self.layout.timeframes}
        ends = [int(grid["close_time"][0]) - steps[name] for name, grid in self.running().items() if len(grid)]
        return max(ends, default=0)

    def snapshot(self, *, waiting: bool = True) -> bytes:
        """Return the whole state, with the layout it belongs to.

        Without the trades that are ``waiting`` it is small whatever waits behind a gap: `tapeline.tape.resume` feeds
        them again.
        """
        parts = [json.dumps(self.layout.describe()).encode(), *self._sections(waiting=waiting)]
        return _MAGIC + b"".join(struct.pack("<q", len(part)) + part for part in parts)

    def _sections(self, *, waiting: bool) -> list[bytes]:
        models = json.dumps([self.decisions, *self.models]).encode()
        features = [fold.snapshot() for fold in self._features.values()]
        return [
            self.ledger.snapshot(waiting=waiting),
            self._candles.snapshot(),
            models,
            *features,
            *self._models.snapshot(),
        ]

    def restore(self, snapshot: bytes) -> None:
        """Continue from a state that `snapshot` gave.

        Raises:
            SnapshotMismatch: it belongs to another layout; the text names the part that differs.
        """
        parts = _split(self.instrument, snapshot)
        self._refuse_foreign(json.loads(parts[0]))
        self.ledger.restore(parts[1])
        self._candles.restore(parts[2])
        self.decisions, *models = json.loads(parts[3])
        ends = 4 + len(self._features)
        for fold, part in zip(self._features.values(), parts[4:ends], strict=True):
            fold.restore(part)
        self._models.restore(models, parts[ends:], self._closed_until())

    def _refuse_foreign(self, theirs: dict[str, Any]) -> None:
        for part, ours in self.layout.describe().items():
            if theirs.get(part) != ours:
                raise SnapshotMismatch(
                    f"{self.instrument} state",
                    f"belongs to another layout ({part})",
                    expected=str(ours),
                    was=theirs.get(part),
                    next_step="rebuild it from the tape with: tapeline rebuild",
                )


def described(snapshot: bytes) -> dict[str, Any]:
    """Return the description of the layout that a snapshot belongs to, as `Layout.describe` gave it.

    Raises:
        SnapshotMismatch: it is no snapshot.
    """
    layout: dict[str, Any] = json.loads(_split("pipeline", snapshot)[0])
    return layout


@njit(cache=True)
def _any_ahead(ts_event: Any, ts_init: Any, most: int) -> bool:
    """Return whether a trade is stamped more than ``most`` after its receipt."""
    found = False
    for row in range(len(ts_event)):
        found |= ts_event[row] - ts_init[row] > most
    return found


def _split(instrument: str, snapshot: bytes) -> list[bytes]:
    """Return the parts of a snapshot, the description of its layout first."""
    parts: list[bytes] = []
    at = len(_MAGIC)
    while at + 8 <= len(snapshot):
        size = int(struct.unpack_from("<q", snapshot, at)[0])
        at += 8
        parts.append(snapshot[at : at + size])
        at += size
    if not snapshot.startswith(_MAGIC) or at != len(snapshot) or len(parts) < 4:
        raise SnapshotMismatch(
            f"{instrument} state", "is no snapshot of a pipeline", expected="a whole snapshot", was=snapshot[:16]
        )
    return parts


def _joined_records(before: Records | None, more: Records) -> Records:
    return more if before is None else np.concatenate([before, more])


def _joined_rows(before: FeatureRows | None, more: FeatureRows) -> FeatureRows:
    if before is None:
        return more
    return FeatureRows(
        np.concatenate([before.as_of, more.as_of]),
        np.concatenate([before.values, more.values]),
        np.concatenate([before.complete, more.complete]),
    )
