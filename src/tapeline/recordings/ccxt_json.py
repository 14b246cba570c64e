"""A JSON list, or JSON lines, of trades as ccxt gives them (also Freqtrade's older files).

Source: the ccxt manual, "Trades, Executions, Transactions". ``timestamp`` is ms, ``side`` the taker's. Where ``info``
is Binance's raw aggregated trade, the ids are those and ``count`` is l - f + 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tapeline.errors import UnreadableFile
from tapeline.exchanges.base import RawTrade
from tapeline.recordings.base import Chunk, IdKind, RecordingFormat, Request
from tapeline.recordings.court import Court
from tapeline.recordings.items import Elements, Items, blocks_of, raw_rows
from tapeline.recordings.judge import RowIds, judge_trades
from tapeline.recordings.naming import chosen, instrument_of, says_futures, venue_of_path
from tapeline.recordings.source import Source

_SIDES = {"buy": 1, "sell": -1, None: 0}
_MILLI = 1_000_000
_INT64 = 2**63


class CcxtJson:
    """One open file."""

    def __init__(self, source: Source, request: Request) -> None:
        self._elements = Elements(source)
        first = next((item for _, item in self._elements if _is_trade(item)), None)
        if first is None:
            raise UnreadableFile(source.where, "holds no ccxt trade", was=source.head[:60], expected="a list of trades")
        self.id_kind: IdKind = "row" if first["id"] is None else "aggregate" if _is_aggregate(first) else "trade"
        self._symbol = str(first["symbol"])
        venue = "BINANCE" if _is_aggregate(first) else venue_of_path(source.path)
        futures = ":" in self._symbol or says_futures(source.path)
        found = instrument_of(self._symbol.partition(":")[0], venue, futures=futures)
        name = chosen(request.instrument, found, source.path)
        self._court = Court(source.path.name, name, request.max_time, request.now)
        self._row_ids = RowIds()
        self.guesses = {"instrument": f"{name}, for symbol {self._symbol}"}

    def blocks(self, rows: int) -> Iterator[Items]:
        """Yield the rows of the file in blocks."""
        self._row_ids = RowIds()
        return blocks_of(iter(self._elements), min(rows, 1 << 16))

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return self._elements.tail

    def convert(self, block: Items) -> Chunk:
        """Judge a block."""
        chunk = Chunk(read=block.rows)
        trades, places = list[RawTrade](), list[tuple[int, bytes]]()
        for number, (text, item) in enumerate(block.items, block.first):
            raw = text.encode("utf-8", "replace")
            trade = self._trade(item)
            if isinstance(trade, str):
                chunk.dead.append(self._court.letter(number, raw, trade))
            else:
                trades.append(trade)
                places.append((number, raw))
        if trades:
            has_ids = self.id_kind != "row"
            rows = raw_rows(trades, places, [self._court.instrument] * len(trades), ids=has_ids)
            chunk.frames, dead = judge_trades(rows, self._court, None if has_ids else self._row_ids)
            chunk.dead += dead
        return chunk

    def _trade(self, item: Any) -> RawTrade | str:
        """Read one element, or say what is wrong with it."""
        if not _is_trade(item):
            return "element: expected a ccxt trade, was something else"
        if item["symbol"] != self._symbol:
            return f"symbol: expected {self._symbol}, was {str(item['symbol'])[:40]!r}"
        stamp, number, side = item["timestamp"], item["id"], item["side"]
        if not isinstance(stamp, int) or not 0 <= stamp * _MILLI < _INT64:
            return f"timestamp: expected epoch ms, was {str(stamp)[:40]}"
        if self.id_kind != "row" and not _is_id(number):
            return f"id: expected an integer in 0..2^63-2, was {str(number)[:40]!r}"
        if not isinstance(side, str | None) or side not in _SIDES:
            return f"side: expected buy or sell, was {str(side)[:40]!r}"
        count = _count(item) if self.id_kind == "aggregate" else 1
        if not 0 < count < 2**31:
            return "count: expected l >= f, was otherwise"
        numbers = str(item["price"]), str(item["amount"])
        return RawTrade(
            self._symbol, int(number) if self.id_kind != "row" else None, stamp * _MILLI, *numbers, _SIDES[side], count
        )


def _is_trade(item: Any) -> bool:
    return isinstance(item, dict) and {"symbol", "timestamp", "id", "side", "price", "amount"} <= item.keys()


def _is_id(number: Any) -> bool:
    text = str(number)
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) < _INT64


def _is_aggregate(item: dict[str, Any]) -> bool:
    info = item.get("info")
    return isinstance(info, dict) and {"a", "f", "l", "T"} <= info.keys()


def _count(item: dict[str, Any]) -> int:
    info = item.get("info")
    if not isinstance(info, dict) or not (_is_id(info.get("f")) and _is_id(info.get("l"))):
        return 0
    return int(info["l"]) - int(info["f"]) + 1


def _recognise(source: Source) -> int:
    head = source.head.lstrip()
    marks = (b'"amount"', b'"side"', b'"symbol"', b'"timestamp"')
    return 90 if source.kind == "text" and head[:1] in (b"[", b"{") and all(mark in head for mark in marks) else 0


def _open(source: Source, request: Request) -> CcxtJson:
    if source.kind != "text":
        raise UnreadableFile(source.where, "is not text", expected="JSON", was=source.kind)
    return CcxtJson(source, request)


RECORDING = RecordingFormat("ccxt-json", "a JSON list of trades in ccxt's form", _recognise, _open)
