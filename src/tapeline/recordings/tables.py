"""Tables as files hold them: CSV with a header, Parquet, Feather; the same few verbs for all.

A table has names, a sample of its first rows, blocks of rows, and gives a block's columns as a `Part`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from tapeline.errors import UnreadableFile
from tapeline.recordings.lines import Fields, LineReader, Lines, split_fields, without_header
from tapeline.recordings.source import Source
from tapeline.recordings.values import plain, shown

_DELIMITERS = ",;\t|"
_MOST_COLUMNS = 512
_SAMPLE = 1000
_FOREIGN = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, NotImplementedError, MemoryError)


@dataclass(frozen=True, slots=True)
class Part:
    """Columns of a block; ``wrong`` are its rows of another width (number, line, reason)."""

    columns: Mapping[str, pa.Array]
    rows: int
    locate: Callable[[int], tuple[int, bytes]]
    wrong: list[tuple[int, bytes, str]] = field(default_factory=list)


class Table(Protocol):
    """A file as a table."""

    names: list[str]
    sample: dict[str, pa.Array]

    def blocks(self, rows: int) -> Iterator[Any]:
        """Yield the rows in blocks of at most ``rows``."""

    def read(self, block: Any, names: list[str]) -> Part:
        """Return the named columns of a block."""

    def tail(self) -> bytes:
        """Return what a damaged file holds after its last whole row."""


def open_table(source: Source) -> Table:
    """Open a source as a table.

    Raises:
        UnreadableFile: it is none.
    """
    return CsvTable(source) if source.kind == "text" else ArrowTable(source)


class CsvTable:
    """CSV; comma, semicolon, tab or bar between the fields. Without a header the columns are c1, c2, ..."""

    def __init__(self, source: Source) -> None:
        lines = source.first_lines(_SAMPLE)
        self._header = lines[0].strip() if lines else b""
        self._delimiter, self.names = header_of(self._header)
        if self.names and not any(map(_is_name, self.names)):
            self._header, self.names = b"", [f"c{number + 1}" for number in range(len(self.names))]
        if not 1 < len(self.names) <= _MOST_COLUMNS or len(set(self.names)) < len(self.names):
            rule = "a first line that names two or more different columns"
            raise UnreadableFile(source.where, "is no table", expected=rule, was=self._header[:60])
        self._reader = LineReader(source)
        body = lines[1:] if self._header else lines
        first = self._split(Lines(b"\n".join(body), len(body), first=2), self.names) if body else None
        empty = pa.array([], pa.string())
        self.sample = {name: first.columns[at] if first else empty for at, name in enumerate(self.names)}

    def blocks(self, rows: int) -> Iterator[Lines]:
        """Yield the rows of the file in blocks."""
        return self._reader.blocks(rows)

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return self._reader.tail

    def read(self, block: Lines, names: list[str]) -> Part:
        """Return the named columns of a block."""
        fields = self._split(without_header(block, self._header), names)
        rule = f"row: expected {len(self.names)} fields, was "
        wrong = [(number, line, f"{rule}{width}") for number, line, width in fields.wrong]
        columns = {name: fields.columns[self.names.index(name)] for name in names}
        return Part(columns, len(fields.columns[self.names.index(names[0])]), fields.line, wrong)

    def _split(self, block: Lines, names: list[str]) -> Fields:
        return split_fields(block, len(self.names), self._delimiter, sorted({self.names.index(name) for name in names}))


def header_of(line: bytes) -> tuple[str, list[str]]:
    """Return the delimiter and the names that a first line gives."""
    text = line.decode("utf-8", "replace").replace("\r", " ").replace("\0", " ")
    delimiter = max(_DELIMITERS, key=text.count)
    try:
        names = next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        names = []
    return delimiter, [name.strip() for name in names]


def _is_name(field: str) -> bool:
    """Say whether a field of a first line is a name: not empty, and without digits in front."""
    return field[:1].isalpha() and field.lower() not in {"true", "false", "nan", "null", "none"}


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of an Arrow table; ``first`` is the number of the first, from 1."""

    table: pa.Table
    first: int

    @property
    def rows(self) -> int:
        """Return how many rows it holds."""
        return int(self.table.num_rows)

    def cut(self, rows: int) -> tuple[Batch, Batch]:
        """Cut after ``rows`` rows."""
        return Batch(self.table.slice(0, rows), self.first), Batch(self.table.slice(rows), self.first + rows)


class ArrowTable:
    """Parquet, Feather or an Arrow IPC file. Nested columns are left aside; ``words`` are few and repeated."""

    def __init__(self, source: Source, words: Sequence[str] = ()) -> None:
        self._source = source
        try:
            self._file: pq.ParquetFile | None = _parquet(source, words)
            self.schema: pa.Schema = self._file.schema_arrow if self._file else _schema(source)
            self.names = [item.name for item in self.schema if not pa.types.is_nested(item.type)]
            first = next(self._tables(_SAMPLE), None)
        except _FOREIGN as error:
            text = f"is damaged or cut short ({str(error)[:120]})"
            raise UnreadableFile(source.where, text, next_step="get the file again") from error
        empty = self.schema.empty_table() if first is None else first
        self.sample = {name: plain(empty[name]) for name in self.names if self.names.count(name) == 1}
        self.names = list(self.sample)

    def blocks(self, rows: int) -> Iterator[Batch]:
        """Yield the rows of the file in blocks."""
        first = 1
        self._source.damage = ""
        try:
            for table in self._tables(rows):
                batch = Batch(table, first)
                first += table.num_rows
                self._source.bytes_read = min(self._source.size, first * self._source.size // max(self._total, 1))
                yield batch
        except _FOREIGN as error:
            self._source.damage = f"{self._source.kind} damaged after row {first - 1}: {str(error)[:120]}"

    def tail(self) -> bytes:
        """Return what stands after the last whole row of a damaged file."""
        return b""

    def read(self, block: Batch, names: list[str]) -> Part:
        """Return the named columns of a block."""
        columns = {name: plain(block.table[name]) for name in names}

        def locate(row: int) -> tuple[int, bytes]:
            values = {name: shown(column, row) for name, column in columns.items()}
            return block.first + row, json.dumps(values).encode()

        return Part(columns, block.rows, locate)

    def _tables(self, rows: int) -> Iterator[pa.Table]:
        if self._file is not None:
            self._total = self._file.metadata.num_rows
            for batch in self._file.iter_batches(batch_size=rows):
                yield pa.Table.from_batches([batch])
            return
        if self._source.kind == "arrow":
            yield from self._record_batches(rows)
            return
        table = feather.read_table(self._source.path)
        table.validate(full=True)
        self._total = table.num_rows
        for at in range(0, table.num_rows, rows):
            yield table.slice(at, rows)

    def _record_batches(self, rows: int) -> Iterator[pa.Table]:
        with pa.memory_map(str(self._source.path)) as file:
            reader = pa.ipc.open_file(file)
            self._total = self._source.size
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                batch.validate(full=True)
                table = pa.Table.from_batches([batch])
                for at in range(0, table.num_rows, rows):
                    yield table.slice(at, rows)


def _parquet(source: Source, words: Sequence[str]) -> pq.ParquetFile | None:
    if source.kind != "parquet":
        return None
    names = pq.read_schema(source.path).names
    return pq.ParquetFile(source.path, read_dictionary=[word for word in words if word in names], pre_buffer=False)


def _schema(source: Source) -> pa.Schema:
    if source.kind == "feather1":
        return feather.read_table(source.path).schema
    with pa.memory_map(str(source.path)) as file:
        return pa.ipc.open_file(file).schema
