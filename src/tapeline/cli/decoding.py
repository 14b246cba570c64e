"""What a recording of a venue's messages holds: messages one a line, or a document that holds them somewhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tapeline.errors import InputError, MalformedMessage, UnknownName, UnreadableFile
from tapeline.exchanges.base import Ack, Exchange, Ignored, RawTrade, Trade, body_kind, exchanges
from tapeline.recordings.lines import LineReader
from tapeline.recordings.naming import symbol_in, venue_of_path
from tapeline.recordings.source import Source

_SAMPLE = 300
_LARGEST = 256 << 20
_DEEPEST = 6
_SMALL = 1 << 20
_STAMP = re.compile(rb"\s*\d{9,19}(?:\.\d{1,9})?:?[\s,]+(?=[{\[])")
_CAPTURE = re.compile(rb"(?:wss?|https?)://(\S+) (<->|<-|->)(?: \d+(?:\.\d+)?)?(?:: (.*))?", re.DOTALL)
_SYMBOL = re.compile(rb"(?:symbol|product_id)=([A-Za-z0-9-]{3,20})")
_CONFIGURATION = b"configuration: "
_NO_SYMBOL = "?"


@dataclass(slots=True)
class Decoded:
    """Counts of what was found, and the ids of trades by (instrument, kind); bad rows are malformed too."""

    exchange: Exchange
    acks: int = 0
    refused: int = 0
    malformed: int = 0
    bad_rows: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    ids: dict[tuple[str, str], list[int | None]] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """Return how many things could be read."""
        return sum(map(len, self.ids.values())) + self.acks + self.refused + self.ignored.total()

    @property
    def problem(self) -> str:
        """Say that this is no recording of the venue: no trade, and more that is malformed than could be read."""
        if any(self.ids.values()) or self.malformed <= self.read:
            return ""
        venue, was = self.exchange.venue, f"{self.malformed} of {self.malformed + self.read} malformed"
        step = "see the reasons, or leave --venue out to have the venue recognised"
        return f"is no recording of {venue}: expected messages of {venue}, was {was}; {step}"

    def refuse(self, error: InputError) -> None:
        """Count a message that cannot be read."""
        self.malformed += 1
        self.reasons[
            f"{error.where}: {error.problem}" + (f": expected {error.expected}" if error.expected else "")
        ] += 1

    def add(self, instrument: str, kind: str, trade: RawTrade) -> None:
        """Count a trade."""
        self.ids.setdefault((instrument, kind), []).append(trade.trade_id)

    def merge(self, other: Decoded) -> None:
        """Add the counts of another."""
        self.acks, self.refused = self.acks + other.acks, self.refused + other.refused
        self.malformed, self.bad_rows = self.malformed + other.malformed, self.bad_rows + other.bad_rows
        self.ignored.update(other.ignored)
        self.reasons.update(other.reasons)
        for key, ids in other.ids.items():
            self.ids.setdefault(key, []).extend(ids)

    def to_json(self) -> dict[str, Any]:
        """Return the report; of an instrument that has trades and aggregated trades, the trades."""
        instruments, ignored = {}, Counter(self.ignored)
        for (name, kind), ids in sorted(self.ids.items()):
            if kind != "trade" and (name, "trade") in self.ids:
                ignored[kind] += len(ids)
            else:
                instruments[name] = _span(ids, self.exchange.contiguous)
        return {
            "venue": self.exchange.venue,
            "trades": sum(one["trades"] for one in instruments.values()),
            "acks": self.acks,
            "refused": self.refused,
            "ignored": dict(sorted(ignored.items())),
            "malformed": self.malformed,
            "reasons": dict(self.reasons.most_common(20)),
            "problem": self.problem,
            "instruments": instruments,
        }


def decode_file(path: Path, venue: str | None = None) -> Decoded:
    """Decode a recording; the venue is given, or recognised by what the first messages are.

    Raises:
        UnreadableFile: the file cannot be read, or is of no venue, or of two.
        UnknownName: ``venue`` is not one.
    """
    source = Source(path)
    if source.kind != "text":
        raise UnreadableFile(source.where, "is not text", expected="messages as JSON", was=source.kind)
    exchange = _recognise(source) if venue is None else _named(venue)
    found = _decode(_messages(source), exchange, symbol_in(path))
    if source.damage:
        found.refuse(UnreadableFile(source.where, source.damage))
    return found


def _named(venue: str) -> Exchange:
    if venue.upper() not in exchanges():
        raise UnknownName(f"venue {venue}", "is not known", expected=f"one of {', '.join(exchanges())}", was=venue)
    return exchanges()[venue.upper()]


def _recognise(source: Source) -> Exchange:
    sample = [one for one in islice(_messages(source), _SAMPLE) if b"{" in one or b"[" in one]
    found = [_decode(sample, exchange, "") for exchange in exchanges().values()]
    most = max(one.read - one.malformed for one in found)
    best = [one.exchange for one in found if one.read - one.malformed == most]
    if len(best) > 1:
        best = [one for one in best if one.venue == venue_of_path(source.path)]
    if not any(one.read for one in found) or not best:
        problem, rule = "holds no messages of a known venue", f"messages of {', '.join(exchanges())}"
        step = "if you know it, name it: --venue V"
        raise UnreadableFile(source.where, problem, expected=rule, was=source.head[:60], next_step=step)
    return best[0]


def _messages(source: Source) -> Iterator[bytes]:
    """Yield the messages of a file: the whole of it if that is a document over many lines, otherwise its lines."""
    first = source.first_lines(1)
    if first and not _is_message(first[0]) and source.size <= _LARGEST:
        whole = b"".join(piece for _, piece in source.stream())
        if _is_document(whole):
            yield whole
            return
    for block in LineReader(source).blocks(1 << 14):
        yield from (line for _, line in block.filled)


def _is_message(line: bytes) -> bool:
    return bool(_CAPTURE.match(line)) or _is_document(line[_stamp(line) :])


def _is_document(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _stamp(line: bytes) -> int:
    match = _STAMP.match(line)
    return match.end() if match else 0


def _decode(messages: Iterable[bytes], exchange: Exchange, symbol: str) -> Decoded:
    found = Decoded(exchange)
    for message in messages:
        capture = _CAPTURE.match(message)
        if message.startswith(_CONFIGURATION):
            found.ignored["capture configuration"] += 1
        elif capture and capture[2] != b"->":
            found.ignored["capture opened" if capture[2] == b"<->" else "sent"] += 1
        else:
            document = (capture[3] or b"") if capture else message[_stamp(message) :]
            try:
                found.merge(_one(document, exchange, _symbol(capture[1] if capture else b"", symbol)))
            except MalformedMessage as error:
                found.refuse(error)
    return found


def _symbol(text: bytes, otherwise: str) -> str:
    match = _SYMBOL.search(text)
    return match[1].decode() if match else otherwise


def _one(document: bytes, exchange: Exchange, symbol: str, depth: int = 0) -> Decoded:
    """Decode a document: a message, a REST body, one event out of an array, or what holds such documents."""
    try:
        return _events(document, exchange)
    except MalformedMessage as error:
        refused = error
    body: Decoded | None = None
    for text in (document, b"[" + document + b"]"):
        with suppress(MalformedMessage):
            body = body or _body(text, exchange, symbol)
    if body and body.read:
        return body
    inside = _inside(document, exchange, symbol, depth) if depth < _DEEPEST else None
    for found in (inside if inside and inside.read else None, body, inside):
        if found and found.read + found.bad_rows:
            return found
    raise refused


def _inside(document: bytes, exchange: Exchange, symbol: str, depth: int) -> Decoded:
    """Decode what stands in a document that is nothing itself; a text in it may tell the symbol."""
    found = Decoded(exchange)
    said = _symbol(document, symbol) if len(document) < _SMALL else symbol
    for inner in _inner(document):
        try:
            found.merge(_one(inner, exchange, said, depth + 1))
        except MalformedMessage as error:
            found.refuse(error)
    return found


def _events(message: bytes, exchange: Exchange) -> Decoded:
    found = Decoded(exchange)
    for event in exchange.parse(message, 0):
        if isinstance(event, Trade):
            found.add(event.instrument, event.kind, event.raw)
        elif isinstance(event, Ack):
            found.acks += event.accepted
            found.refused += not event.accepted
        elif isinstance(event, Ignored):
            found.ignored[event.kind] += 1
    return found


def _body(body: bytes, exchange: Exchange, symbol: str) -> Decoded:
    """Decode a REST body, or an event that stands alone although the venue sends arrays."""
    found = Decoded(exchange)
    name = body_kind(exchange, body)
    if name:
        found.ignored[name] += 1
        return found
    try:
        history = exchange.parse_history(body, symbol)
    except MalformedMessage:
        return _events(body, exchange)
    except InputError:
        found.ignored["error"] += 1
        return found
    for trade in history.trades:
        found.add(exchange.instrument(trade.symbol) or f"{_NO_SYMBOL}.{exchange.venue}", history.kind, trade)
    found.ignored.update(history.ignored)
    found.bad_rows = len(history.bad)
    for error in history.bad:
        found.refuse(error)
    return found


def _inner(document: bytes) -> Iterator[bytes]:
    """Yield the objects and arrays that stand in an object or array."""
    try:
        values = msgspec.json.decode(document, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for value in values.values() if isinstance(values, dict) else values:
        if bytes(value)[:1] in {b"{", b"["}:
            yield bytes(value)


def _span(ids: list[int | None], contiguous: bool) -> dict[str, Any]:
    known = np.unique(np.array([one for one in ids if one is not None], np.int64))
    if not contiguous or not len(known):
        return {"trades": len(ids), "first_id": None, "last_id": None, "missing": None}
    first, last = int(known[0]), int(known[-1])
    return {"trades": len(ids), "first_id": first, "last_id": last, "missing": last - first + 1 - len(known)}
