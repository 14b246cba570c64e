"""Any table of trades or candles: CSV (plain or packed) with a header, Parquet, Feather.

Columns are mapped by the user or guessed, and what was guessed is said. Without a column of ids the rows' times stand
for them. A file holds one instrument: rows of another than the first rows' go to the dead letters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.clock import format_duration
from tapeline.errors import UnreadableFile, UsageError
from tapeline.recordings.base import Chunk, IdKind, ImportedCandles, RecordingFormat, Request
from tapeline.recordings.candle_rows import CandleRows, judge_candles
from tapeline.recordings.columns import could_be_table, map_columns
from tapeline.recordings.court import Court
from tapeline.recordings.instants import times
from tapeline.recordings.judge import RowIds, Rows, judge_trades
from tapeline.recordings.naming import chosen, instrument_of, says_futures, symbol_in, venue_in, venue_of_path
from tapeline.recordings.source import Source
from tapeline.recordings.tables import Part, Table, header_of, open_table
from tapeline.recordings.values import to_numpy, words
from tapeline.types import Timeframe

_CANDLES = ("open", "high", "low", "close")


class TableReader:
    """One open file."""

    def __init__(self, source: Source, request: Request) -> None:
        self._table: Table = open_table(source)
        self._map = map_columns(source.where, self._table.sample, request.columns)
        self._names = sorted(set(self._map.at.values()))
        self.guesses = self._map.notes
        self._symbol = self._one("symbol", source)
        name = chosen(request.instrument, self._instrument(source), source.path)
        self._court = Court(source.path.name, name, request.max_time, request.now)
        self.id_kind: IdKind = "trade" if "id" in self._map.at else "row"
        self._row_ids = RowIds()
        self.guesses["instrument"] = name
        if self._map.candles:
            self._size = self._length(source)
            self.guesses["timeframe"] = format_duration(self._size)
        elif self.id_kind == "row":
            self.guesses.setdefault("id", "no column: made from the times")

    def blocks(self, rows: int) -> Iterator[Any]:
        """Yield the rows of the file in blocks."""
        self._row_ids = RowIds()
        return self._table.blocks(rows)

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return self._table.tail()

    def convert(self, block: Any) -> Chunk:
        """Judge a block."""
        part = self._table.read(block, self._names)
        chunk = Chunk(read=part.rows + len(part.wrong))
        chunk.dead = [self._court.letter(number, line, reason) for number, line, reason in part.wrong]
        part = self._of_symbol(part, chunk)
        if self._map.candles:
            records, dead = judge_candles(self._candles(part), self._court)
            chunk.candles = [ImportedCandles(self._court.instrument, format_duration(self._size), records)]
        else:
            row_ids = self._row_ids if self.id_kind == "row" else None
            chunk.frames, dead = judge_trades(self._trades(part), self._court, row_ids)
        chunk.dead += dead
        return chunk

    def _column(self, part: Part, name: str) -> pa.Array | None:
        return part.columns[self._map.at[name]] if name in self._map.at else None

    def _of_symbol(self, part: Part, chunk: Chunk) -> Part:
        """Put rows of another symbol aside."""
        column = self._column(part, "symbol")
        if column is None:
            return part
        same = pc.fill_null(pc.equal(column.cast(pa.string()), self._symbol), False)
        mask = to_numpy(same)
        if mask.all():
            return part
        reason = f"symbol: expected {self._symbol}, was another; import a file for each instrument"
        chunk.dead += [self._court.letter(*part.locate(row), reason) for row in np.flatnonzero(~mask).tolist()]
        kept = np.flatnonzero(mask)
        columns = {name: values.filter(same) for name, values in part.columns.items()}
        return Part(columns, len(kept), lambda row: part.locate(int(kept[row])))

    def _trades(self, part: Part) -> Rows:
        rules = self._map.rules
        maker = self._column(part, "maker")
        return Rows(
            price=self._column(part, "price"),
            qty=self._column(part, "qty"),
            time=self._column(part, "ts"),
            rule=rules["ts"],
            locate=part.locate,
            trade_id=self._column(part, "id"),
            side=self._column(part, "side") if maker is None else maker,
            maker=maker is not None,
            received=self._column(part, "ts_init"),
            received_rule=rules.get("ts_init", rules["ts"]),
            count=self._column(part, "count"),
        )

    def _candles(self, part: Part) -> CandleRows:
        return CandleRows(
            open_time=self._column(part, "ts"),
            rule=self._map.rules["ts"],
            prices=[self._column(part, name) for name in _CANDLES],
            volume=self._column(part, "volume"),
            size=self._size,
            locate=part.locate,
            quote_volume=self._column(part, "quote_volume"),
            trades=self._column(part, "trades"),
            buy_volume=self._column(part, "buy_volume"),
        )

    def _one(self, name: str, source: Source) -> str:
        """Return the only word of a column in the first rows."""
        if name not in self._map.at:
            return ""
        column = self._table.sample[self._map.at[name]].cast(pa.string(), safe=False)
        found = sorted({str(word) for word in words(column) if word})
        if name == "symbol" and len(found) > 1:
            step = "import a file for each instrument"
            was = ", ".join(found[:5])
            raise UnreadableFile(source.where, "holds several instruments", expected="one", was=was, next_step=step)
        return found[0] if found else ""

    def _instrument(self, source: Source) -> str | None:
        venue = venue_in(self._one("venue", source)) or venue_of_path(source.path)
        market = self._one("market", source).lower()
        futures = market.startswith(("fut", "perp", "swap", "um", "usdm")) or (not market and says_futures(source.path))
        return instrument_of(self._symbol or symbol_in(source.path), venue, futures=futures)

    def _length(self, source: Source) -> int:
        """Return the length of the candles, ns: as given, otherwise the least step between the first rows."""
        if self._map.timeframe:
            return Timeframe.parse(self._map.timeframe).size
        stamps, ok = times(self._table.sample[self._map.at["ts"]], self._map.rules["ts"])
        steps = np.diff(np.unique(stamps[ok]))
        text = format_duration(int(steps.min())) if len(steps) else "one row"
        try:
            return Timeframe.parse(text).size
        except UsageError as error:
            rule, step = "a length that divides a day", "say it: --columns timeframe=1m"
            raise UnreadableFile(
                source.where, "candles of what length", expected=rule, was=text, next_step=step
            ) from error


def _recognise(source: Source) -> int:
    if source.kind != "text":
        return 10
    lines = source.first_lines(1)
    return 10 if lines and could_be_table(header_of(lines[0].strip())[1]) else 0


RECORDING = RecordingFormat("table", "CSV with a header, Parquet or Feather, by its columns", _recognise, TableReader)
