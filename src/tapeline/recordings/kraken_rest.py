"""Bodies of Kraken's REST ``Trades`` call: one in a file, printed in any way, or one a line.

Rows with a trade id keep it; in the older answers without one, the row's time stands for it. Of a body that is cut
the whole rows are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from tapeline.errors import InputError, MalformedMessage, UnreadableFile
from tapeline.exchanges import kraken, kraken_trades
from tapeline.exchanges.base import RawTrade
from tapeline.recordings.base import Chunk, IdKind, RecordingFormat, Request
from tapeline.recordings.court import Court
from tapeline.recordings.items import Items, blocks_of, raw_rows
from tapeline.recordings.judge import RowIds, judge_trades
from tapeline.recordings.lines import LineReader
from tapeline.recordings.source import Source
from tapeline.types import DeadLetter, check_instrument

_MARK = re.compile(rb'"error"\s*:\s*\[')
_RESULT = re.compile(rb'"result"\s*:\s*\{\s*"([^"]{1,40})"\s*:\s*\[\s*\[\s*"')
_LARGEST = 256 << 20
_ROW = re.compile(
    rb'"(?P<pair>[A-Za-z0-9./]{3,20})"\s*:\s*\[\s*(?=\[)|(?P<row>\[\s*"[^"\]]*"\s*,\s*"[^"\]]*"\s*,[^\[\]]*\])'
)
_Row = tuple[str, bytes, "RawTrade | MalformedMessage"]


class KrakenRest:
    """One open file."""

    def __init__(self, source: Source, request: Request) -> None:
        self._source = source
        self._given = None if request.instrument is None else check_instrument(request.instrument)
        self._court = Court(source.path.name, self._given or "", request.max_time, request.now)
        first = next((row[2] for row in self._rows() if isinstance(row[2], RawTrade)), None)
        self.id_kind: IdKind = "row" if first is not None and first.trade_id is None else "trade"
        self._symbol = first.symbol if first else ""
        self._row_ids = RowIds()
        self.guesses = {"ids": "none in the file: made from the times"} if self.id_kind == "row" else {}
        if self._given:
            self.guesses["instrument"] = f"{self._given} as given, for pair {self._symbol}"

    def blocks(self, rows: int) -> Iterator[Items]:
        """Yield the rows of the file in blocks."""
        self._row_ids = RowIds()
        return blocks_of(self._rows(), rows)

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return b""

    def convert(self, block: Items) -> Chunk:
        """Judge a block."""
        chunk = Chunk(read=block.rows)
        trades, places, names = list[RawTrade](), list[tuple[int, bytes]](), list[str]()
        for number, (pair, raw, trade) in enumerate(block.items, block.first):
            name = self._instrument(pair)
            if isinstance(trade, MalformedMessage) or name is None or self._lacks_id(trade):
                chunk.dead.append(self._letter(number, raw, trade, name))
                continue
            trades.append(trade)
            places.append((number, raw))
            names.append(name)
        if trades:
            has_ids = self.id_kind == "trade"
            rows = raw_rows(trades, places, names, ids=has_ids)
            chunk.frames, dead = judge_trades(rows, self._court, None if has_ids else self._row_ids)
            chunk.dead += dead
        return chunk

    def _lacks_id(self, trade: RawTrade) -> bool:
        return trade.trade_id is None and self.id_kind == "trade"

    def _letter(self, number: int, raw: bytes, trade: RawTrade | MalformedMessage, name: str | None) -> DeadLetter:
        if isinstance(trade, MalformedMessage):
            reason = str(trade).removesuffix("; kept in dead letters")
        elif name is None:
            reason = f"pair: expected {self._symbol or 'one of a known quote currency'}, was {trade.symbol!r}"
        else:
            reason = "id: expected one as in the other rows, was missing"
        return self._court.letter(number, raw, reason, name)

    def _instrument(self, pair: str) -> str | None:
        if self._given is None:
            return kraken.instrument(pair)
        return self._given if pair == self._symbol else None

    def _rows(self) -> Iterator[_Row]:
        for body in _bodies(self._source):
            try:
                history = kraken_trades.parse_history(body)
            except MalformedMessage as error:
                yield from _salvage(body, error)
            except InputError as error:
                yield "", body, MalformedMessage("kraken Trades", error.problem, raw=body)
            else:
                yield from ((trade.symbol, _raw(trade), trade) for trade in history.trades)
                yield from (("", bad.raw, bad) for bad in history.bad)


def _raw(trade: RawTrade) -> bytes:
    return msgspec.json.encode(trade)


def _salvage(body: bytes, error: MalformedMessage) -> Iterator[_Row]:
    """Keep the whole rows of a body that is cut or corrupt, and the rest as it is."""
    pair, end = "", 0
    for found in _ROW.finditer(body):
        if pair and (between := body[end : found.start()].strip(b" \t\r\n,")):
            yield pair, between, error
        end = found.end()
        if found["pair"]:
            pair = found["pair"].decode()
            continue
        try:
            yield pair, found["row"], kraken_trades.parse_row(pair, found["row"])
        except MalformedMessage as bad:
            yield pair, found["row"], bad
    yield pair, body[end:], error


def _bodies(source: Source) -> Iterator[bytes]:
    """Yield the bodies: each line one, if the first line is one; otherwise the whole file."""
    reader = LineReader(source)
    if _is_body(source.first_lines(1)[0] if source.head.strip() else b""):
        for block in reader.blocks(1 << 16):
            yield from (line for _, line in block.filled)
        if reader.tail:
            yield reader.tail
        return
    pieces, size = [], 0
    for _, piece in source.stream():
        pieces.append(piece)
        size += len(piece)
        if size > _LARGEST:
            raise UnreadableFile(source.where, "is one JSON body", expected="at most 256 MiB", was=f"{size} bytes")
    if pieces:
        yield b"".join(pieces)


def _is_body(line: bytes) -> bool:
    try:
        kraken_trades.parse_history(line)
    except MalformedMessage:
        return False
    except InputError:
        return True
    return True


def _recognise(source: Source) -> int:
    if source.kind != "text" or not source.head.lstrip().startswith(b"{"):
        return 0
    refused = _MARK.search(source.head) and b'"result"' not in source.head
    return 95 if refused or _RESULT.search(source.head) else 0


def _open(source: Source, request: Request) -> KrakenRest:
    if source.kind != "text":
        raise UnreadableFile(source.where, "is not text", expected="JSON", was=source.kind)
    return KrakenRest(source, request)


RECORDING = RecordingFormat("kraken-rest", "bodies of Kraken's REST Trades call", _recognise, _open)
