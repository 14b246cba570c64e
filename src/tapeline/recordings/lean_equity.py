"""Zips of LEAN: ticks of US equities, and second or minute bars of equities and of crypto currencies.

Source: QuantConnect/Lean, Data/equity/readme. Times are ms since midnight in New York (crypto: UTC), prices of
equities are x 10000; date, symbol and resolution stand in the name of the file inside. A tick row is time, price,
size, exchange, condition (hexadecimal), suspicious.

The rule for ticks: every print is a trade, but those marked suspicious (counted as ``suspicious``). Measured on SPY
and IBM, 2013-10-08, against the vendor's own bars: volumes of all prints agree in 826 of 828 and 420 of 424 minutes,
all fields in 667 and 228. The vendor lets only prints set prices that carry condition bit 0x1 (regular) or 0x2000
(extended hours): by that rule open, high, low and close agree in 826 and 422 minutes, volumes in 437 and 33. Hence
nothing is dropped from the tape by default; ``--columns conditions=priced`` keeps only the prints that set prices
(the others are counted as ``condition sets no price``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.errors import UnreadableFile, UsageError
from tapeline.exchanges.fields import split_symbol
from tapeline.recordings.base import Chunk, IdKind, ImportedCandles, RecordingFormat, Request
from tapeline.recordings.candle_rows import CandleRows, judge_candles
from tapeline.recordings.court import Court
from tapeline.recordings.instants import TimeRule
from tapeline.recordings.judge import RowIds, Rows, judge_trades
from tapeline.recordings.lines import Fields, LineReader, Lines, split_fields
from tapeline.recordings.naming import chosen, instrument_of, venue_of_path
from tapeline.recordings.source import Source
from tapeline.recordings.values import integers, reals, to_numpy
from tapeline.types import Bool, Int

_INSIDE = re.compile(r"(\d{8})_([a-z0-9.]+)_(?:(trade|quote)_(tick)|(second|minute)_(trade|quote))\.csv", re.IGNORECASE)
_NEW_YORK = "America/New_York"
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_SETS_PRICE = 0x1 | 0x2000
_NS = TimeRule(("ns",))


class LeanEquity:
    """One open file."""

    id_kind: IdKind = "row"

    def __init__(self, source: Source, request: Request) -> None:
        found = _INSIDE.fullmatch(source.members[0].rpartition("/")[2])
        if found is None or len(source.members) > 1:
            raise UnreadableFile(
                source.where, "is no zip of LEAN", expected="one <date>_<symbol>_..._trade", was=source.members[0]
            )
        if "quote" in (f"{found[3]}{found[6]}").lower():
            raise UnreadableFile(source.where, "holds quotes", expected="trades", was=source.members[0])
        symbol, self._ticks = found[2].upper(), bool(found[4])
        crypto = len(symbol) >= 6 and split_symbol(symbol) is not None
        guessed = instrument_of(symbol, venue_of_path(source.path)) if crypto else f"{symbol}.US"
        name = chosen(request.instrument, guessed, source.path)
        self._scale = 1.0 if crypto else 10_000.0
        self._offsets = _offsets(found[1], "UTC" if crypto else _NEW_YORK, source)
        self._timeframe = "" if self._ticks else {"second": "1s", "minute": "1m"}[found[5].lower()]
        self._priced = _conditions(request)
        self._court = Court(source.path.name, name, request.max_time, request.now)
        self._reader = LineReader(source)
        self._row_ids = RowIds()
        self.guesses = {"instrument": name, "times": "UTC" if crypto else _NEW_YORK, "ids": "made from the times"}

    def blocks(self, rows: int) -> Iterator[Lines]:
        """Yield the rows of the file in blocks."""
        self._row_ids = RowIds()
        return self._reader.blocks(rows)

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return self._reader.tail

    def convert(self, block: Lines) -> Chunk:
        """Judge a block."""
        fields = split_fields(block, 6)
        chunk = Chunk(read=len(fields.wrong) + len(fields.columns[0]))
        chunk.dead = [
            self._court.letter(number, line, f"row: expected 6 fields, was {width}")
            for number, line, width in fields.wrong
        ]
        if self._ticks:
            kept = self._kept(fields, chunk)
            chunk.frames, dead = judge_trades(self._rows(fields, kept), self._court, self._row_ids)
        else:
            records, dead = judge_candles(self._candles(fields), self._court)
            chunk.candles = [ImportedCandles(self._court.instrument, self._timeframe, records)]
        chunk.dead += dead
        return chunk

    def _kept(self, fields: Fields, chunk: Chunk) -> Int:
        """Return the rows that count as trades; the others are counted by name."""
        suspicious = to_numpy(pc.equal(fields.columns[5], "1"))
        silent = _silent(fields.columns[4]) & ~suspicious if self._priced else np.zeros(len(suspicious), np.bool_)
        for name, rows in (("suspicious", suspicious), ("condition sets no price", silent)):
            if rows.any():
                chunk.ignored[name] = int(rows.sum())
        return np.flatnonzero(~(suspicious | silent))

    def _rows(self, fields: Fields, kept: Int) -> Rows:
        columns = [column.take(pa.array(kept)) for column in fields.columns[:3]]
        return Rows(
            price=self._price(columns[1]),
            qty=columns[2],
            time=self._times(columns[0]),
            rule=_NS,
            locate=lambda row: fields.line(int(kept[row])),
        )

    def _candles(self, fields: Fields) -> CandleRows:
        return CandleRows(
            open_time=self._times(fields.columns[0]),
            rule=_NS,
            prices=[self._price(column) for column in fields.columns[1:5]],
            volume=fields.columns[5],
            size=10**9 if self._timeframe == "1s" else 60 * 10**9,
            locate=fields.line,
        )

    def _price(self, column: pa.Array) -> pa.Array:
        values, ok = reals(column)
        return pa.array(values / self._scale, mask=~ok)

    def _times(self, column: pa.Array) -> pa.Array:
        """Return ns UTC of ms since the local midnight, null where that is no time of the day."""
        ms, ok = integers(column)
        ok &= ms < _DAY_MS
        hours = np.where(ok, ms // _HOUR_MS, 0)
        return pa.array((ms * ok + self._offsets[hours]) * 1_000_000, mask=~ok)


def _silent(conditions: pa.Array) -> Bool:
    """Say which conditions set no price; one that is not hexadecimal is left to be a trade."""
    codes = conditions.dictionary_encode()
    flags = []
    for text in codes.dictionary.cast(pa.binary()).to_pylist():
        try:
            flags.append(not int(text, 16) & _SETS_PRICE)
        except ValueError:
            flags.append(False)
    silent: Bool = np.array([*flags, False], np.bool_)[to_numpy(codes.indices)]
    return silent


def _conditions(request: Request) -> bool:
    given = dict(request.columns)
    word = given.pop("conditions", "all")
    if given or word not in {"all", "priced"}:
        was = ",".join(f"{name}={value}" for name, value in request.columns.items())
        raise UsageError(
            "--columns", "does not apply to lean-equity", expected="conditions=all or conditions=priced", was=was
        )
    return word == "priced"


def _offsets(date: str, zone: str, source: Source) -> Int:
    """Return ms since 1970 UTC of the local midnight plus the zone's shift, for each hour of the day."""
    try:
        midnight = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise UnreadableFile(source.where, "names no date", expected="YYYYMMDD", was=date) from error
    local: tzinfo = ZoneInfo(zone)
    hours = [(midnight + timedelta(hours=hour)).replace(tzinfo=local) for hour in range(24)]
    shifts = [hour.utcoffset() or timedelta(0) for hour in hours]
    return np.array([round((midnight - shift).timestamp() * 1000) for shift in shifts], np.int64)


def _recognise(source: Source) -> int:
    return 95 if source.kind == "text" and _INSIDE.fullmatch(source.members[0].rpartition("/")[2]) else 0


def _open(source: Source, request: Request) -> LeanEquity:
    if source.kind != "text":
        raise UnreadableFile(source.where, "is not text", expected="a zip of CSV", was=source.kind)
    return LeanEquity(source, request)


RECORDING = RecordingFormat("lean-equity", "zips of LEAN: ticks or bars of US equities", _recognise, _open)
