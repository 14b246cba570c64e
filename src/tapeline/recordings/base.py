"""The contract of recordings: a file of a known format becomes chunks of frames, in order, with nothing lost.

A format is a module of this package with a `RECORDING`. Adding one edits nothing else. Each gives blocks of rows as
they stand in the file, and turns a block into a `Chunk`; counting, skipping and resuming are written once, here.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from tapeline.errors import UnknownName, UnreadableFile
from tapeline.recordings.columns import KNOWN
from tapeline.recordings.source import Source
from tapeline.types import DeadLetter, Frame, Records, venue_of

IdKind = Literal["trade", "aggregate", "row"]
ROWS = 1 << 20
FAR = 2**63 - 1
_CONTIGUOUS = {"BINANCE": ("trade", "aggregate"), "KRAKEN": ("trade",), "COINBASE": ("trade",), "SIM": ("trade",)}


@dataclass(frozen=True, slots=True, eq=False)
class ImportedCandles:
    """Candles made by others: never mixed silently with ours.

    Unknown numbers are NaN, an unknown count of trades is -1, and ``restart`` is never set.
    """

    instrument: str
    timeframe: str
    records: Records


@dataclass(slots=True)
class Chunk:
    """What a block of a file held.

    Attributes:
        frames: trades, one frame an instrument, in the order of the file.
        candles: candles made by others.
        dead: rows that could not be used, raw, with the reason.
        ignored: rows that are known and are not trades, counted by name.
        read: rows looked at (blank lines and headers are none).
        position: rows of the file consumed since its begin, of any kind: what `Recording.chunks` may skip.
        id_kind: what the trade ids are: the venue's, those of its aggregated trades, or made from the rows.
    """

    frames: list[Frame] = field(default_factory=list)
    candles: list[ImportedCandles] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    read: int = 0
    position: int = 0
    id_kind: IdKind = "trade"


@dataclass(frozen=True, slots=True)
class Request:
    """What the user said about a file, and what the caller knows.

    ``now`` is the ts_init of dead letters and ``max_time`` the latest instant a trade may have, both ns UTC.
    """

    instrument: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    now: int = 0
    max_time: int = FAR


class Block(Protocol):
    """Rows as they stand in the file."""

    @property
    def rows(self) -> int:
        """Return how many rows of the file it holds."""

    def cut(self, rows: int) -> tuple[Self, Self]:
        """Cut after ``rows`` rows."""


class Reader(Protocol):
    """One open file of one format.

    Attributes:
        guesses: what was guessed and what the user should know, by name.
        id_kind: see `Chunk`.
    """

    guesses: dict[str, str]
    id_kind: IdKind

    def blocks(self, rows: int) -> Iterator[Any]:
        """Yield the file as blocks of at most ``rows`` rows."""

    def convert(self, block: Any) -> Chunk:
        """Turn a block into a chunk (``position`` and ``id_kind`` are set by the caller)."""

    def tail(self) -> bytes:
        """Return what a damaged file holds after its last whole row."""


@dataclass(frozen=True, slots=True)
class RecordingFormat:
    """A format: its name, what it is in words, how sure it is of a file (0: it is not mine, to 100), and its reader."""

    name: str
    summary: str
    recognise: Callable[[Source], int]
    read: Callable[[Source, Request], Reader]


class Recording:
    """An open file of a known format.

    Attributes:
        path: where it is.
        format: the name of its format.
        guesses: what was guessed, by name: to be printed.
        id_kind: see `Chunk`.
        size: bytes on disk.
    """

    def __init__(self, source: Source, format_: RecordingFormat, request: Request) -> None:
        self._source = source
        self._reader = format_.read(source, request)
        self._now = request.now
        self.path = source.path
        self.format = format_.name
        self.guesses = self._reader.guesses
        self.id_kind: IdKind = self._reader.id_kind
        self.size = source.size

    @property
    def bytes_read(self) -> int:
        """Return how many bytes of the file were read so far."""
        return self._source.bytes_read

    @property
    def damage(self) -> str:
        """Return why the file ended before its end, or an empty text; known when `chunks` is done."""
        return self._source.damage

    def chunks(self, skip: int = 0, rows: int = ROWS) -> Iterator[Chunk]:
        """Yield what the file holds after its first ``skip`` rows, in chunks of at most ``rows`` rows.

        However it is cut and wherever it is resumed, the same rows give the same trades with the same ids.
        """
        position = 0
        for block in self._reader.blocks(rows):
            start, position = position, position + block.rows
            if start < skip:
                before, rest = block.cut(min(skip - start, block.rows))
                if self.id_kind == "row":
                    self._reader.convert(before)
            else:
                rest = block
            if position > skip:
                chunk = self._reader.convert(rest)
                chunk.position, chunk.id_kind = position, self.id_kind
                yield chunk
        if self.damage:
            yield self._broken(position)

    def _broken(self, position: int) -> Chunk:
        reason = f"{self.damage}; all rows before it were kept"
        letter = DeadLetter(f"{self.path.name}:end", reason, self._reader.tail(), self._now)
        return Chunk(dead=[letter], position=max(position, 0), id_kind=self.id_kind)


@cache
def formats() -> Mapping[str, RecordingFormat]:
    """Return every format, by name."""
    package = import_module("tapeline.recordings")
    modules = (import_module(f"{package.__name__}.{item.name}") for item in pkgutil.iter_modules(package.__path__))
    found = [module.RECORDING for module in modules if hasattr(module, "RECORDING")]
    return {item.name: item for item in sorted(found, key=lambda item: item.name)}


def open_recording(
    path: str | Path,
    *,
    instrument: str | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    now: int = 0,
    max_time: int = FAR,
) -> Recording:
    """Open a recorded file; its format is recognised by its content, or given.

    ``instrument`` overrides what the file says; ``columns`` maps our names to the file's, such as
    ``{"price": "p", "ts": "time:ms"}``. ``now`` and ``max_time`` as in `Request`.

    Raises:
        UnreadableFile: the file cannot be read, is of no known format, or does not say what it holds.
        UnknownName: ``format`` is not one.
        UsageError: ``instrument`` or ``columns`` cannot be meant so.
    """
    request = Request(instrument, columns or {}, now, max_time)
    if format is not None and format not in formats():
        raise UnknownName(f"format {format}", "is not known", expected=f"one of {', '.join(formats())}", was=format)
    source = Source(Path(path))
    return Recording(source, formats()[format] if format else _recognise(source, request), request)


def is_contiguous(instrument: str, id_kind: IdKind) -> bool:
    """Say whether a missing id of an instrument is a missing trade.

    >>> is_contiguous("BTC-USDT.BINANCE", "trade"), is_contiguous("SPY.US", "row")
    (True, False)
    """
    return id_kind in _CONTIGUOUS.get(venue_of(instrument), ())


def _recognise(source: Source, request: Request) -> RecordingFormat:
    if request.columns.keys() & KNOWN.keys():
        return formats()["table"]
    sure = {item.name: item.recognise(source) for item in formats().values()}
    best = max(sure, key=lambda name: sure[name])
    if sure[best] > 0:
        return formats()[best]
    listed = "; ".join(f"{item.name} ({item.summary})" for item in formats().values())
    raise UnreadableFile(
        source.where,
        "is of no known format",
        expected=f"one of {listed}",
        was=source.head[:60] or source.kind,
        next_step="name it (--format) or map its columns: --columns price=p,qty=q,ts=time:ms (no header: c1, c2, ...)",
    )
