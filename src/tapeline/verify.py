"""Verify: recompute everything from the tape, in several ways, and compare it with what is stored, bit for bit.

The tape is folded in one piece, in random cuts with a snapshot and a restore at each, and in permuted and repeated
order. Candles, features, late trades, predictions, the ledger and the stored state must all agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tapeline.compare import Comparer, Finding, invariants
from tapeline.config import Settings
from tapeline.errors import SnapshotMismatch, UnknownName
from tapeline.explain import recompute
from tapeline.intervals import Intervals
from tapeline.pipeline import Layout, Pipeline
from tapeline.recorder import layout_of, settings_of
from tapeline.serving import champion_loader
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import Record, TapeInfo, decisions, info, instruments, records, resume
from tapeline.types import DecisionKind, Frame, GapStatus

Progress = Callable[[str, int], None]
"""Is told what is under way, and how many trades it has behind it."""

_CUTS = 200
"""How often a tape is cut, at least."""
_ORDERED = (DecisionKind.CLOCK, DecisionKind.MODEL)


@dataclass(slots=True)
class VerifyReport:
    """What was compared, what differed, and what could not be proven."""

    findings: list[Finding] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    unproven: list[str] = field(default_factory=list)
    unproven_predictions: int = 0

    def count(self, what: str, number: int) -> None:
        """Add to how many of something were checked."""
        self.checked[what] = self.checked.get(what, 0) + number

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "clean": self.clean,
            "checked": self.checked,
            "findings": [asdict(finding) for finding in self.findings],
            "unproven": self.unproven,
            "unproven_predictions": self.unproven_predictions,
        }

    @property
    def clean(self) -> bool:
        """Return whether nothing differs, and every stored prediction could be recomputed."""
        return not self.findings and not self.unproven_predictions


def verify(
    store: Store, settings: Settings, instrument: str | None = None, *, seed: int = 0, progress: Progress | None = None
) -> VerifyReport:
    """Compare what is stored with what the tape gives.

    Args:
        store: what to check.
        settings: the layout where the store does not tell with which one it was written.
        instrument: one only; all when None.
        seed: of the cuts and permutations.
        progress: is told how far it is.

    Raises:
        UnknownName: the store does not hold the instrument.
    """
    report = VerifyReport()
    for tape in instruments(store) if instrument is None else [info(store, instrument)]:
        check = _Check(store, settings, tape, report, progress or (lambda what, trades: None))
        check.run(np.random.default_rng(seed))
    known = {tape.instrument for tape in instruments(store)}
    for state in store.read("states").to_pylist() if instrument is None else []:
        if state["instrument"] not in known:
            report.findings.append(Finding("instruments", state["instrument"], "row", None, "a row: it has a state"))
    for made in recompute(store, settings, instrument):
        report.findings += made.findings
        report.count("predictions", made.proven)
        report.unproven += filter(None, [made.missing])
        report.unproven_predictions += made.unproven
    return report


class _Check:
    def __init__(
        self, store: Store, settings: Settings, tape: TapeInfo, report: VerifyReport, progress: Progress
    ) -> None:
        self._store = store
        self._settings = settings
        self._tape = tape
        self._report = report
        self._progress = progress
        self._load_model = champion_loader(store)
        self._trades = 0
        self._stored = store.read("states", instrument=tape.instrument).to_pylist()
        self._layout = self._layout_made_with()

    def _layout_made_with(self) -> Layout:
        """Return the layout that the stored state tells, that of the settings where it tells none that can be had."""
        contiguous = self._tape.contiguous
        try:
            return layout_of(settings_of(self._stored[0]["snapshot"], self._settings), contiguous=contiguous)
        except (IndexError, SnapshotMismatch, UnknownName):
            return layout_of(self._settings, contiguous=contiguous)

    def run(self, rng: np.random.Generator) -> None:
        """Check one instrument."""
        name = self._tape.instrument
        if not self._tape.contiguous:
            self._report.unproven.append(f"{name}: ids are not contiguous: that no trade is missing is unproven")
        self._check_tape()
        self._report.findings += invariants(self._store, name)
        stored = self._stored
        expected = f"/{self._layout.hash}"
        if not stored or stored[0]["layout"] != expected:
            was = stored[0]["layout"] if stored else None
            step = f"{expected} (fold it anew with: tapeline rebuild {name})"
            self._report.findings.append(Finding("states", name, "layout", was, step))
            return
        last = self._compare("in one piece", self._records())
        try:
            wrong = "" if self._resumed(stored[0]["snapshot"]) == last else "other bytes"
        except SnapshotMismatch as error:
            wrong = str(error)
        if wrong:
            self._report.findings.append(Finding("states", name, "snapshot", wrong, "the state after the whole tape"))
        self._compare("in random cuts", self._cut(rng))
        self._compare("in another order", self._permuted(rng))

    def _records(self) -> Iterator[Record]:
        return records(self._store, self._tape, rows=self._settings.flush_rows)

    def _compare(self, how: str, tape: Iterator[Record | None]) -> bytes:
        """Fold the tape (None: snapshot, and go on in a new pipeline) and compare all it gives with what is stored."""
        pipeline = self._pipeline()
        comparer = Comparer(self._store, self._tape.instrument, self._layout, how)
        for record in tape:
            if record is None:
                again = self._pipeline()
                again.restore(pipeline.snapshot())
                pipeline = again
                continue
            if isinstance(record, Frame):
                comparer.trades += len(record)
                self._progress(f"{self._tape.instrument} {how}", comparer.trades)
            comparer.take(pipeline.feed(record))
        self._report.findings += comparer.finish(late=how == "in one piece")
        for what, number in comparer.compared.items():
            self._report.count(f"{what} {how}", number)
        return pipeline.snapshot()

    def _resumed(self, snapshot: bytes) -> bytes:
        """Return the state that a restart comes to: the stored one, and what the tape holds beyond it."""
        pipeline = self._pipeline()
        pipeline.restore(snapshot)
        resume(self._store, self._tape, pipeline, rows=self._settings.flush_rows)
        return pipeline.snapshot()

    def _pipeline(self) -> Pipeline:
        return Pipeline(self._tape.instrument, self._layout, load_model=self._load_model)

    def _cut(self, rng: np.random.Generator) -> Iterator[Record | None]:
        for record in self._records():
            if not isinstance(record, Frame):
                yield record
                continue
            edges = np.sort(rng.integers(0, len(record) + 1, -(-_CUTS * len(record) // self._trades)))
            for a, b in zip([0, *edges.tolist()], [*edges.tolist(), len(record)], strict=True):
                yield None
                yield record.take(slice(a, b))

    def _permuted(self, rng: np.random.Generator) -> Iterator[Record]:
        """Yield the tape out of order and with repeats, between the decisions whose moment matters."""
        taken = decisions(self._store, self._tape.instrument)
        moments = {entry.position for entry in taken if entry.kind in _ORDERED}
        timeless = [entry for entry in taken if entry.kind not in _ORDERED and entry.position not in moments]
        yield from timeless
        for record in self._records():
            if isinstance(record, Frame):
                yield from self._shuffled(record, rng)
            elif record not in timeless:
                yield record

    def _shuffled(self, frame: Frame, rng: np.random.Generator) -> Iterator[Frame]:
        if self._tape.contiguous:
            order = rng.permutation(len(frame))
        else:
            # Inside half the reorder window every order must give the same; a trade is late only beyond the window.
            blocks = frame.ts_event // (self._layout.reorder_window // 2)
            order = np.lexsort((rng.random(len(frame)), blocks))
        again = rng.choice(order, len(order) // 10) if self._tape.contiguous else order[:0]
        arriving = frame.take(np.concatenate([order, again]))
        edges = np.sort(rng.integers(0, len(arriving) + 1, 4)).tolist()
        for a, b in zip([0, *edges], [*edges, len(arriving)], strict=True):
            yield arriving.take(slice(a, b))

    def _check_tape(self) -> None:
        """Check that no id is on the tape twice, and that the gaps stored are those there are."""
        name = self._tape.instrument
        seen, count = Intervals(), 0
        for table in self._store.tape(name, rows=self._settings.flush_rows):
            frame = rows.to_frame(name, table)
            ids = np.sort(frame.trade_id)
            twice = ids[1:][ids[1:] == ids[:-1]]
            if self._tape.contiguous:
                twice = np.concatenate([twice, ids[seen.contains(ids)]])
                seen.add(ids)
            self._report.findings += [
                Finding("trades", f"{name} {i}", "trade_id", "more than once", "once") for i in twice[:10]
            ]
            count += len(frame)
        self._trades = count
        self._report.count("trades", count)
        stored = self._store.read("gaps", instrument=name).to_pylist()
        gaps = {(gap["first_missing"], gap["last_missing"]) for gap in stored if gap["status"] != GapStatus.HEALED}
        holes = set(seen.holes()) if self._tape.contiguous else set()
        for first, last in sorted(gaps ^ holes):
            here = (first, last) in gaps
            self._report.findings.append(
                Finding("gaps", f"{name} {first}-{last}", "status", "open" if here else None, None if here else "open")
            )
