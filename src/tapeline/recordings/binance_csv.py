"""Binance's bulk files: CSV (plain or packed) of trades, aggTrades and klines, spot and futures.

Source: github.com/binance/binance-public-data. Times are ms, in spot files from 2025 on us; the magnitude tells.
Spot files have no header, futures files have one. The columns are known by it, otherwise by their number and by
where the true/false column stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tapeline.clock import format_duration
from tapeline.errors import UnreadableFile, UsageError
from tapeline.recordings.base import Chunk, IdKind, ImportedCandles, RecordingFormat, Request
from tapeline.recordings.candle_rows import CandleRows, judge_candles
from tapeline.recordings.court import Court
from tapeline.recordings.instants import FIRST, UNITS, TimeRule, unit_of
from tapeline.recordings.judge import Rows, judge_trades
from tapeline.recordings.lines import Fields, LineReader, Lines, split_fields, without_header
from tapeline.recordings.naming import chosen, instrument_of, says_futures, symbol_in
from tapeline.recordings.source import Source
from tapeline.types import Timeframe

_TIME = TimeRule(("ms", "us"), since=FIRST)
_NAMES = {
    "id": ("id", "tradeid", "aggtradeid", "aggid", "a"),
    "price": ("price", "p"),
    "qty": ("qty", "quantity", "q"),
    "first_id": ("firsttradeid", "firstid", "f"),
    "last_id": ("lasttradeid", "lastid", "l"),
    "time": ("time", "transacttime", "timestamp", "t"),
    "maker": ("isbuyermaker", "m"),
    "open_time": ("opentime",),
    "close_time": ("closetime",),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume",),
    "quote_volume": ("quotevolume", "quoteassetvolume"),
    "trades": ("count", "numberoftrades", "trades"),
    "buy_volume": ("takerbuyvolume", "takerbuybaseassetvolume", "takerbuybasevolume"),
}
_TRADES = ["id", "price", "qty", "quote_qty", "time", "maker"]
_AGG_TRADES = ["id", "price", "qty", "first_id", "last_id", "time", "maker"]
_KLINES = ["open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades", "buy_volume"]
_NEEDED = {
    "trades": {"id", "price", "qty", "time", "maker"},
    "aggTrades": {"id", "price", "qty", "time", "maker", "first_id", "last_id"},
    "klines": set(_KLINES),
}
_BOOLS = {b"true", b"false"}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a bulk file holds: its kind, number of columns, where each stands, and its header (empty: none)."""

    kind: str
    width: int
    at: Mapping[str, int]
    header: bytes = b""


def layout_of(lines: list[bytes]) -> Layout | None:
    """Tell the layout from the first lines, or return None."""
    if not lines:
        return None
    first = [field.strip().strip(b'"') for field in lines[0].strip().split(b",")]
    names = [field.decode("ascii", "replace").lower().replace("_", "").replace(" ", "") for field in first]
    at = {ours: names.index(name) for ours, known in _NAMES.items() for name in known if name in names}
    for kind in ("klines", "aggTrades", "trades"):
        if at.keys() >= _NEEDED[kind]:
            return Layout(kind, len(first), at, lines[0].strip())
    return _without_header(first)


def _without_header(fields: list[bytes]) -> Layout | None:
    bools = [number for number, field in enumerate(fields) if field.lower() in _BOOLS]
    width = len(fields)
    if bools[:1] == [5] and width in (6, 7):
        return _if_numbers(fields, Layout("trades", width, _places(_TRADES)))
    if bools[:1] == [6] and width in (7, 8):
        return _if_numbers(fields, Layout("aggTrades", width, _places(_AGG_TRADES)))
    if not bools and width == 12:
        return _if_numbers(fields, Layout("klines", width, _places(_KLINES)))
    return None


def _places(names: list[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _if_numbers(fields: list[bytes], layout: Layout) -> Layout | None:
    times = [fields[layout.at[name]] for name in ("time", "open_time", "close_time") if name in layout.at]
    return layout if all(unit_of(_stamp(field)) in _TIME.units for field in times) else None


def _stamp(field: bytes) -> int:
    """Return a time as an integer, 0 where the field is none."""
    return int(field) if field.isdigit() and len(field) < 20 else 0


class BinanceCsv:
    """One open file."""

    def __init__(self, source: Source, request: Request) -> None:
        layout = layout_of(source.first_lines(2))
        if layout is None:
            rule = "columns of trades (6 or 7), aggTrades (7 or 8) or klines (12)"
            raise UnreadableFile(source.where, "is no Binance bulk file", expected=rule, was=source.head[:60])
        self._layout = layout
        self._reader = LineReader(source)
        self.id_kind: IdKind = "aggregate" if layout.kind == "aggTrades" else "trade"
        name = self._name(source, request)
        self._court = Court(source.path.name, name, request.max_time, request.now)
        self.guesses = {"kind": layout.kind, "instrument": name}
        if not request.instrument and not name.endswith("-PERP.BINANCE"):
            self.guesses["instrument"] = f"{name} (spot, because its path says nothing of futures)"
        if layout.kind == "klines":
            self._size = _size(source, layout)
            self.guesses["timeframe"] = format_duration(self._size)

    def _name(self, source: Source, request: Request) -> str:
        symbol = symbol_in(source.path) or symbol_in(Path(source.members[0]))
        found = instrument_of(symbol, "BINANCE", futures=says_futures(source.path))
        return chosen(request.instrument, found, source.path)

    def blocks(self, rows: int) -> Iterator[Lines]:
        """Yield the rows of the file in blocks."""
        return self._reader.blocks(rows)

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return self._reader.tail

    def convert(self, block: Lines) -> Chunk:
        """Judge a block."""
        layout = self._layout
        wanted = sorted(set(layout.at.values()))
        fields = split_fields(without_header(block, layout.header), layout.width, wanted=wanted)
        chunk = Chunk(read=len(fields.wrong) + len(fields.columns[0]))
        chunk.dead = [
            self._court.letter(number, line, f"row: expected {layout.width} fields, was {width}")
            for number, line, width in fields.wrong
        ]
        if layout.kind == "klines":
            records, dead = judge_candles(self._candles(fields), self._court)
            chunk.candles = [ImportedCandles(self._court.instrument, format_duration(self._size), records)]
        else:
            chunk.frames, dead = judge_trades(self._trades(fields), self._court, None)
        chunk.dead += dead
        return chunk

    def _trades(self, fields: Fields) -> Rows:
        def column(name: str) -> pa.Array | None:
            return fields.columns[self._layout.at[name]] if name in self._layout.at else None

        aggregate = self.id_kind == "aggregate"
        return Rows(
            price=column("price"),
            qty=column("qty"),
            time=column("time"),
            rule=_TIME,
            locate=fields.line,
            trade_id=column("id"),
            side=column("maker"),
            maker=True,
            first_id=column("first_id") if aggregate else None,
            last_id=column("last_id") if aggregate else None,
        )

    def _candles(self, fields: Fields) -> CandleRows:
        column = {name: fields.columns[at] for name, at in self._layout.at.items()}
        return CandleRows(
            open_time=column["open_time"],
            rule=_TIME,
            prices=[column[name] for name in ("open", "high", "low", "close")],
            volume=column["volume"],
            size=self._size,
            locate=fields.line,
            quote_volume=column["quote_volume"],
            trades=column["trades"],
            buy_volume=column["buy_volume"],
        )


def _size(source: Source, layout: Layout) -> int:
    """Return the length of the candles, ns, from the first row that tells it."""
    for line in source.first_lines()[bool(layout.header) :]:
        fields = line.strip().split(b",")
        if len(fields) == layout.width:
            begin, end = (_stamp(fields[layout.at[name]]) for name in ("open_time", "close_time"))
            if end > begin and (unit := unit_of(begin)) in _TIME.units:
                return _check_size(source, (end - begin + 1) * UNITS[unit])
    raise UnreadableFile(source.where, "has no row that tells the candles' length", next_step="check its times")


def _check_size(source: Source, size: int) -> int:
    try:
        return Timeframe.parse(format_duration(size)).size
    except UsageError as error:
        text = format_duration(size)
        raise UnreadableFile(source.where, "has candles of another kind", expected=error.expected, was=text) from error


def _recognise(source: Source) -> int:
    return 80 if source.kind == "text" and layout_of(source.first_lines(2)) else 0


def _open(source: Source, request: Request) -> BinanceCsv:
    if source.kind != "text":
        raise UnreadableFile(source.where, "is not text", expected="CSV", was=source.kind)
    return BinanceCsv(source, request)


RECORDING = RecordingFormat("binance-csv", "Binance bulk files: trades, aggTrades, klines", _recognise, _open)
