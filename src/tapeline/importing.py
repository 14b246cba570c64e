"""Import: recorded files into the tape, folded and committed chunk by chunk.

Each chunk is one transaction of trades, candles, features, state and the position in the file: a kill loses at most
the chunk under way, and the next import of the same file goes on where the last commit stands. Trades that are older
than what was folded join the tape too; the instrument is then folded anew at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tapeline.clock import Clock, format_time, parse_duration
from tapeline.config import Settings
from tapeline.errors import InputError, UnreadableFile, UsageError
from tapeline.imported_candles import fold_imported, keep_candles
from tapeline.lane import Lane
from tapeline.recorder import Recorder
from tapeline.recordings.base import Chunk, IdKind, ImportedCandles, Recording, is_contiguous, open_recording
from tapeline.refold import refold
from tapeline.serving import champion_loader
from tapeline.stores import rows
from tapeline.stores.base import KINDS, Store
from tapeline.types import Counters, Frame


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is: ``done`` of ``total`` (bytes of a file, or trades folded anew; 0 where unknown)."""

    what: str
    done: int
    total: int
    rows: int


@dataclass(slots=True)
class FileResult:
    """What an import found in one file; ``first`` and ``last`` are times of trades or candles, ns UTC."""

    path: str
    format: str = ""
    instrument: str = ""
    read: int = 0
    new: int = 0
    duplicates: int = 0
    malformed: int = 0
    conflicts: int = 0
    late: int = 0
    first: int | None = None
    last: int | None = None
    ignored: dict[str, int] = field(default_factory=dict)
    guesses: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    def saw(self, instrument: str, first: int, last: int) -> None:
        """Note an instrument and the span of time that the file has of it."""
        self.instrument = ",".join(sorted({*filter(None, self.instrument.split(",")), instrument}))
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values with times in RFC 3339."""
        plain = asdict(self)
        for name in ("first", "last"):
            plain[name] = None if plain[name] is None else format_time(plain[name])
        return {key: value for key, value in plain.items() if key != "late"}


@dataclass(slots=True)
class ImportReport:
    """What an import did: a result per file, and the gaps of the instruments it touched, by id."""

    files: list[FileResult] = field(default_factory=list)
    gaps: list[tuple[str, int, int]] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    refolded: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Return why files could not be read, or not to their end."""
        return [result.problem for result in self.files if result.problem]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        fields = ("instrument", "first_missing", "last_missing")
        return {
            "files": [result.to_json() for result in self.files],
            "gaps": [dict(zip(fields, gap, strict=True)) for gap in self.gaps],
            "unproven": self.unproven,
            "refolded": self.refolded,
        }


Progress = Callable[[ImportProgress], None]

_FEW_GAPS = 1000
"""A file with more open gaps than this at once is not in order."""


def import_files(
    paths: Sequence[Path],
    store: Store,
    settings: Settings,
    *,
    clock: Clock,
    instrument: str | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Read recorded files into the tape, and fold what is new.

    A file that cannot be read is named in the report; the others are imported.

    Args:
        paths: the files, in any order.
        store: takes everything.
        settings: timeframes, feature sets and limits.
        clock: tells what lies in the future.
        instrument: overrides what the files say.
        format: a format's name, where it is not to be recognised.
        columns: our names to the file's, such as ``{"price": "p"}``.
        progress: is told how far it is.

    Raises:
        StoreError: the database refuses.
    """
    job = _Import(store, settings, clock, progress or (lambda _: None))
    ahead = parse_duration(settings.max_ahead)
    for path in paths:
        result = FileResult(str(path))
        job.report.files.append(result)
        try:
            now = clock.now()
            recording = open_recording(
                path, instrument=instrument, format=format, columns=columns, now=now, max_time=now + ahead
            )
            job.read(recording, result, told=f"{instrument}|{sorted((columns or {}).items())}")
        except (InputError, UsageError) as error:
            result.problem = str(error)
    job.finish()
    return job.report


class _Import:
    def __init__(self, store: Store, settings: Settings, clock: Clock, progress: Progress) -> None:
        self.report = ImportReport()
        self._store = store
        self._settings = settings
        self._progress = progress
        self._recorder = Recorder(store, settings, clock=clock, load_model=champion_loader(store))
        self._imported: set[tuple[str, str]] = set()
        with store.transaction():
            self._recorder.write_sets()

    def read(self, recording: Recording, result: FileResult, *, told: str) -> None:
        """Read one file from where the last import of it stands; ``told`` is what the user said about it."""
        key = _identity(recording, told)
        before = [row for row in self._store.read("imports", file=key).to_pylist() if not row["done"]]
        skip = self._resume(result, before[0]) if before else 0
        result.format, result.guesses = recording.format, recording.guesses
        position = skip
        for chunk in recording.chunks(skip=skip, rows=self._settings.flush_rows):
            position = chunk.position
            lanes = self._keep(key, chunk, result)
            for lane in lanes:
                self._relieve(lane)
            self._progress(ImportProgress(result.path, recording.bytes_read, recording.size, result.read))
        result.problem = _problem(recording, result)
        with self._store.transaction():
            self._note(key, result, position, done=True)

    def _relieve(self, lane: Lane) -> None:
        """Keep what waits behind gaps bounded: give a few gaps up; where there are many, fold at the end instead."""
        if lane.pipeline.ledger.pending <= self._settings.max_pending:
            return
        if len(lane.pipeline.ledger.awaited()) <= _FEW_GAPS:
            self._recorder.give_up_gaps(lane)
        else:
            self._recorder.keep_unfolded(lane)

    @staticmethod
    def _resume(result: FileResult, row: dict[str, Any]) -> int:
        for name in ("read", "new", "duplicates", "malformed", "conflicts", "late", "first", "last", "instrument"):
            setattr(result, name, row[name])
        return int(row["position"])

    def _keep(self, key: str, chunk: Chunk, result: FileResult) -> list[Lane]:
        """Fold and commit one chunk."""
        frames = _one_each(chunk.frames)
        lanes = [self._lane(frame.instrument, chunk.id_kind) for frame in frames]
        with self._store.transaction():
            for lane, frame in zip(lanes, frames, strict=True):
                self._feed(lane, frame, result)
            for candles in chunk.candles:
                self._keep_candles(candles, result)
            if chunk.dead:
                self._store.append("dead_letters", rows.from_dead_letters(chunk.dead))
            result.read += chunk.read
            result.malformed += len(chunk.dead)
            for name, count in chunk.ignored.items():
                result.ignored[name] = result.ignored.get(name, 0) + count
            self._note(key, result, chunk.position, done=False)
            for lane in lanes:
                self._recorder.write_state(lane)
        return lanes

    def _lane(self, instrument: str, id_kind: IdKind) -> Lane:
        """Return the lane of an instrument; one that an earlier run left unfinished is finished first."""
        fresh = all(lane.tape.instrument != instrument for lane in self._recorder.lanes())
        lane = self._recorder.lane(instrument, id_kind=id_kind, contiguous=is_contiguous(instrument, id_kind))
        if fresh and lane.stale:
            self._refold(lane)
        return lane

    def _feed(self, lane: Lane, frame: Frame, result: FileResult) -> None:
        if not lane.tape.contiguous:
            frame = frame.take(np.lexsort((frame.trade_id, frame.ts_event)))
        lane.counters = Counters()
        self._recorder.feed(lane, frame, keep_behind=True)
        for name in ("new", "duplicates", "conflicts", "late"):
            setattr(result, name, getattr(result, name) + lane.counters.counts.get(name, 0))
        result.saw(frame.instrument, int(frame.ts_event.min()), int(frame.ts_event.max()))

    def _keep_candles(self, candles: ImportedCandles, result: FileResult) -> None:
        """Keep candles made by others, marked as such."""
        records = candles.records
        if not len(records):
            return
        new, conflicts = keep_candles(self._store, candles)
        result.new += new
        result.conflicts += conflicts
        result.duplicates += len(records) - new - conflicts
        result.saw(candles.instrument, int(records["open_time"].min()), int(records["open_time"].max()))
        self._imported.add((candles.instrument, candles.timeframe))

    def _note(self, key: str, result: FileResult, position: int, *, done: bool) -> None:
        row = {"file": key, "position": position, "done": done} | asdict(result)
        names = KINDS["imports"].schema.names
        self._store.upsert("imports", rows.from_dicts("imports", {name: row[name] for name in names}))

    def finish(self) -> None:
        """Fold anew what needs it, give up the gaps that no file filled, and compute features of imported candles."""
        for lane in self._recorder.lanes():
            if lane.stale:
                self.report.refolded.append(lane.tape.instrument)
                self._refold(lane)
            self._recorder.give_up_gaps(lane)
            if lane.tape.contiguous:
                self.report.gaps += [(lane.tape.instrument, *hole) for hole in lane.pipeline.ledger.holes()]
            else:
                self.report.unproven.append(f"{lane.tape.instrument}: ids are not contiguous: completeness is unproven")
        for instrument, timeframe in sorted(self._imported):
            fold_imported(self._store, self._settings, instrument, timeframe)

    def _refold(self, lane: Lane) -> None:
        done = 0
        for count in refold(self._recorder, lane):
            done += count
            self._progress(ImportProgress(f"folding {lane.tape.instrument}", done, 0, done))


def _problem(recording: Recording, result: FileResult) -> str:
    """Say what is wrong with a file as a whole, or return an empty text."""
    if recording.damage:
        return f"{result.path}: {recording.damage}; the rows before it are imported"
    if result.read and result.malformed >= result.read:
        read = f"{result.malformed} malformed"
        step = 'see the reasons: tapeline sql "SELECT reason, count(*) FROM dead_letters GROUP BY 1"'
        return str(
            UnreadableFile(
                f"file {result.path}",
                "holds no row that can be used",
                expected="trades or candles",
                was=read,
                next_step=step,
            )
        )
    return ""


def _identity(recording: Recording, told: str) -> str:
    """Return a name for a file that changes with its place, its size, its time of change and how it is read."""
    stat = recording.path.stat()
    text = f"{recording.path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{recording.format}|{told}"
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _one_each(frames: Sequence[Frame]) -> list[Frame]:
    """Join the frames of each instrument, leaving out empty ones."""
    by_name: dict[str, list[Frame]] = {}
    for frame in frames:
        if len(frame):
            by_name.setdefault(frame.instrument, []).append(frame)
    return [Frame.concat(parts) for parts in by_name.values()]
