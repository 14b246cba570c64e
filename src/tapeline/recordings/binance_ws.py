"""Raw WebSocket lines of Binance, each with or without the time of receipt before it, combined or bare.

Trades and aggregated trades are kept; of a file that holds both, the trades, because both tell the same story. All
other kinds of message are counted by name. ``ts_init`` is the time of receipt, otherwise ``ts_event``. The clock of
a recorder may run behind the venue's: that is no fault of the row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

from tapeline.errors import MalformedMessage, UnreadableFile
from tapeline.exchanges import binance
from tapeline.exchanges.base import RawTrade
from tapeline.exchanges.fields import seconds_ns
from tapeline.recordings.base import Chunk, IdKind, RecordingFormat, Request
from tapeline.recordings.court import Court
from tapeline.recordings.instants import UNITS, unit_of
from tapeline.recordings.items import raw_rows
from tapeline.recordings.judge import judge_trades
from tapeline.recordings.lines import LineReader, Lines
from tapeline.recordings.naming import says_futures
from tapeline.recordings.source import Source
from tapeline.types import DeadLetter, check_instrument

_STAMP = re.compile(rb"\s*(\d{9,19}(?:\.\d{1,9})?):?[\s,]+(?=\{)")
_CAPTURE = re.compile(rb"\s*(?:wss?|https?)://")


class _Kept:
    """The trades of a block."""

    def __init__(self) -> None:
        self.places: list[tuple[int, bytes]] = []
        self.names: list[str] = []
        self.received: list[int] = []
        self.trades: list[RawTrade] = []


class BinanceWs:
    """One open file."""

    def __init__(self, source: Source, request: Request) -> None:
        self._reader = LineReader(source)
        self._futures = says_futures(source.path)
        self._event = _first_event(source)
        self.id_kind: IdKind = "aggregate" if self._event == "aggTrade" else "trade"
        self._given = None if request.instrument is None else check_instrument(request.instrument)
        self._symbol = ""
        self._court = Court(source.path.name, self._given or "", request.max_time, request.now)
        self._names: dict[tuple[str, bool], str | None] = {}
        self.guesses = {"ids": "of aggregated trades"} if self.id_kind == "aggregate" else {}
        if self._given is not None:
            self._symbol = _first_symbol(source, self._event)
            self.guesses["instrument"] = f"{self._given} as given, for symbol {self._symbol or '(none seen)'}"

    def blocks(self, rows: int) -> Iterator[Lines]:
        """Yield the rows of the file in blocks."""
        return self._reader.blocks(rows)

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return self._reader.tail

    def convert(self, block: Lines) -> Chunk:
        """Judge a block."""
        kept, ignored, dead = _Kept(), Counter[str](), list[DeadLetter]()
        for number, line in block.filled:
            try:
                name = self._take(number, line, kept)
            except MalformedMessage as error:
                dead.append(self._court.letter(number, line, str(error).removesuffix("; kept in dead letters")))
            else:
                if name:
                    ignored[name] += 1
        chunk = Chunk(dead=dead, ignored=dict(ignored), read=len(block.filled))
        if kept.trades:
            chunk.frames, refused = judge_trades(
                raw_rows(kept.trades, kept.places, kept.names, kept.received), self._court, None
            )
            chunk.dead = dead + refused
        return chunk

    def _take(self, number: int, line: bytes, kept: _Kept) -> str:
        """Keep a trade, or return the name of what the line is."""
        stamp = _STAMP.match(line)
        if not stamp and _CAPTURE.match(line):
            return "captureHeader"
        event = binance.parse(line[stamp.end() :] if stamp else line)
        if isinstance(event, str):
            return event
        if event.kind != self._event:
            return event.kind
        name = self._instrument(event.trade.symbol, event.futures or self._futures, line)
        received = _receipt(stamp[1], line) if stamp else event.trade.ts_event
        kept.names.append(name)
        kept.received.append(received)
        kept.trades.append(event.trade)
        kept.places.append((number, line))
        return ""

    def _instrument(self, symbol: str, futures: bool, line: bytes) -> str:
        if self._given is not None:
            if symbol != self._symbol:
                raise MalformedMessage("binance trade", "symbol", raw=line, expected=self._symbol, was=symbol)
            return self._given
        key = (symbol, futures)
        if key not in self._names:
            self._names[key] = binance.instrument(symbol, futures=futures)
        name = self._names[key]
        if name is None:
            raise MalformedMessage("binance trade", "symbol", raw=line, expected="a known quote currency", was=symbol)
        return name


def _receipt(stamp: bytes, line: bytes) -> int:
    number = Decimal(stamp.decode())
    unit = unit_of(float(number))
    if not unit:
        rule = "an epoch in s, ms, us or ns since 2009"
        raise MalformedMessage("binance line", "receive time", raw=line, expected=rule, was=stamp.decode())
    return int(stamp) * UNITS[unit] if stamp.isdigit() else seconds_ns(number * UNITS[unit] / 10**9)


def _events(source: Source) -> Iterator[binance.Event]:
    for block in LineReader(source, block=1 << 18).blocks(1 << 12):
        if b"rade" not in block.data:
            continue
        for _, line in block.filled:
            stamp = _STAMP.match(line)
            try:
                event = binance.parse(line[stamp.end() :] if stamp else line)
            except MalformedMessage:
                continue
            if isinstance(event, binance.Event):
                yield event


def _first_event(source: Source) -> str:
    """Return ``aggTrade`` if the first thousand events are nothing else, otherwise ``trade``."""
    kinds = {event.kind for event in islice(_events(source), 1000)}
    return "aggTrade" if kinds == {"aggTrade"} else "trade"


def _first_symbol(source: Source, kind: str) -> str:
    return next((event.trade.symbol for event in _events(source) if event.kind == kind), "")


def _recognise(source: Source) -> int:
    if source.kind != "text":
        return 0
    for line in source.first_lines():
        stamp = _STAMP.match(line)
        try:
            binance.parse(line[stamp.end() :] if stamp else line)
        except MalformedMessage:
            continue
        return 90
    return 0


def _open(source: Source, request: Request) -> BinanceWs:
    if source.kind != "text":
        raise UnreadableFile(source.where, "is not text", expected="lines of JSON", was=source.kind)
    return BinanceWs(source, request)


RECORDING = RecordingFormat("binance-ws", "raw Binance WebSocket lines", _recognise, _open)
