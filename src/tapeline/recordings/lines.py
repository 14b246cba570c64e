"""Blocks of whole lines out of a stream of bytes, and their fields as columns of text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from tapeline.errors import UnreadableFile
from tapeline.recordings.source import PIECE, Source
from tapeline.recordings.values import one_chunk

BLOCK = 16 << 20
_LONGEST_LINE = 64 << 20


@dataclass(frozen=True)
class Lines:
    """Whole lines of one member of a file; ``first`` is the number of the first of them in that member, from 1."""

    data: bytes
    rows: int
    member: int = 0
    first: int = 1

    def cut(self, rows: int) -> tuple[Lines, Lines]:
        """Cut after ``rows`` lines."""
        at = _after(self.data, rows)
        return (
            Lines(self.data[:at], rows, self.member, self.first),
            Lines(self.data[at:], self.rows - rows, self.member, self.first + rows),
        )

    @cached_property
    def filled(self) -> list[tuple[int, bytes]]:
        """Return (number, line) of the lines that are not blank."""
        lines = enumerate(self.data.replace(b"\r\n", b"\n").split(b"\n"), self.first)
        return [(number, line) for number, line in lines if line not in {b"", b"\r"}]


class LineReader:
    """Read a source as blocks of lines.

    ``tail`` holds the last line of a damaged stream: it may be half a line, hence it is no row.
    """

    def __init__(self, source: Source, *, block: int = BLOCK) -> None:
        self.source = source
        self.tail = b""
        self._block = block
        self._line = 0.97 * len(source.head) / max(source.head.count(b"\n"), 1)

    def blocks(self, rows: int) -> Iterator[Lines]:
        """Yield blocks of at most ``rows`` lines, in order, each of one member."""
        self.tail = b""
        first, last, rest = 1, 0, b""
        for member, data in self._whole(min(self._block, max(int(rows * self._line) - PIECE, 1 << 16))):
            if member != last:
                first, last = 1, member
            rest = data
            while rest:
                lines = _lines(rest, member, first)
                block, after = lines.cut(rows) if lines.rows > rows else (lines, None)
                yield block
                first, rest = first + block.rows, after.data if after else b""

    def _whole(self, block: int) -> Iterator[tuple[int, bytes]]:
        """Yield (member, bytes that end with a line's end)."""
        parts: list[bytes] = []
        held, last = 0, 0
        for member, piece in self.source.stream():
            if member != last:
                yield last, b"".join(parts)
                parts, held, last = [], 0, member
            parts.append(piece)
            held += len(piece)
            if held >= block and b"\n" in piece:
                data, _, rest = b"".join(parts).rpartition(b"\n")
                yield last, data + b"\n"
                parts, held = [rest], len(rest)
            elif held > _LONGEST_LINE:
                raise UnreadableFile(self.source.where, f"has no line end within {_LONGEST_LINE >> 20} MiB")
        yield last, self._end(b"".join(parts))

    def _end(self, data: bytes) -> bytes:
        if not self.source.damage:
            return data
        whole, end, self.tail = data.rpartition(b"\n")
        return whole + end


def _lines(data: bytes, member: int, first: int) -> Lines:
    return Lines(data, data.count(b"\n") + (not data.endswith(b"\n")), member, first)


def _after(data: bytes, rows: int) -> int:
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    if rows <= 0:
        return 0
    return int(ends[rows - 1]) + 1 if rows <= len(ends) else len(data)


@dataclass(frozen=True)
class Fields:
    """The fields of a block as columns of text; ``wrong`` are rows (number, line, fields) of another width."""

    columns: list[pa.Array]
    lines: Lines
    wrong: list[tuple[int, bytes, int]]

    def line(self, row: int) -> tuple[int, bytes]:
        """Return (number, line) of a row of the columns."""
        return self._kept[row]

    @cached_property
    def _kept(self) -> list[tuple[int, bytes]]:
        wrong = {number for number, _, _ in self.wrong}
        return [item for item in self.lines.filled if item[0] not in wrong]


def split_fields(lines: Lines, width: int, delimiter: str = ",", wanted: list[int] | None = None) -> Fields:
    """Split lines into ``width`` fields, and return those wanted (all, without); the others come empty."""
    fields = _split_fast(lines, width, delimiter, wanted) if _is_utf8(lines.data) else None
    return fields if fields is not None else _split_slowly(lines, width, delimiter)


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _split_fast(lines: Lines, width: int, delimiter: str, wanted: list[int] | None) -> Fields | None:
    invalid: list[pacsv.InvalidRow] = []

    def skip(row: pacsv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    data = lines.data
    quoted = b'"' in data
    names = [str(number) for number in range(width)]
    include = names if wanted is None else [names[number] for number in wanted]
    try:
        table = pacsv.read_csv(
            pa.py_buffer(data),
            pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
            pacsv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False, invalid_row_handler=skip),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), check_utf8=False, include_columns=include
            ),
        )
    except pa.ArrowException:
        return None
    odd = quoted or invalid or (b"\r" in data and data.count(b"\r") != data.count(b"\r\n"))
    if odd and table.num_rows + len(invalid) != len(lines.filled):
        return None
    wrong = [(*lines.filled[row.number - 1], row.actual_columns) for row in invalid]
    empty = pa.nulls(table.num_rows, pa.string())
    columns = [one_chunk(table[name]) if name in include else empty for name in names]
    return Fields(columns, lines, wrong)


def _split_slowly(lines: Lines, width: int, delimiter: str) -> Fields:
    """Split line by line: for blocks with stray quotes or carriage returns."""
    rows: list[list[str]] = []
    wrong: list[tuple[int, bytes, int]] = []
    for number, line in lines.filled:
        fields = _fields_of(line, delimiter)
        if len(fields) == width:
            rows.append(fields)
        else:
            wrong.append((number, line, len(fields)))
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return Fields(columns or [pa.array([], pa.string()) for _ in range(width)], lines, wrong)


def _fields_of(line: bytes, delimiter: str) -> list[str]:
    text = line.decode("utf-8", "replace").replace("\r", " ").replace("\0", " ")
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=False), [])
    except csv.Error:
        return text.split(delimiter)


def without_header(lines: Lines, header: bytes) -> Lines:
    """Return the lines without the header, if they begin a member with it."""
    if not header or lines.first != 1 or not lines.filled or lines.filled[0][1].strip() != header:
        return lines
    return lines.cut(lines.filled[0][0])[1]
