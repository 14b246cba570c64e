from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.recordings.lines import LineReader, Lines, split_fields, without_header
from tapeline.recordings.source import Source


@pytest.mark.parametrize("rows", [1, 2, 1000])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_blocks_join_to_the_file(tmp_path: Path, rows: int, end: bytes) -> None:
    text = b"\n".join(b"row %d" % number for number in range(50)) + end
    path = tmp_path / "x"
    path.write_bytes(text)
    blocks = list(LineReader(Source(path), block=64).blocks(rows))
    assert b"".join(block.data for block in blocks) == text
    assert sum(block.rows for block in blocks) == 50
    assert [block.first for block in blocks] == [1 + sum(b.rows for b in blocks[:k]) for k in range(len(blocks))]


def test_a_cut_keeps_the_numbers() -> None:
    head, tail = Lines(b"a\nb\nc\n", 3, first=5).cut(2)
    assert (head.data, head.first, tail.data, tail.first, tail.rows) == (b"a\nb\n", 5, b"c\n", 7, 1)


def test_rows_of_another_width_are_put_aside_with_their_numbers() -> None:
    fields = split_fields(Lines(b"1,2\n\n3\n4,5\r\n6,7,8\n", 5), 2)
    assert [column.to_pylist() for column in fields.columns] == [["1", "4"], ["2", "5"]]
    assert fields.wrong == [(3, b"3", 1), (5, b"6,7,8", 3)]
    assert fields.line(1) == (4, b"4,5")


def test_a_stray_quote_swallows_no_line() -> None:
    fields = split_fields(Lines(b'1,"2\n3,4\n5,"6"\n', 3), 2)
    assert fields.columns[0].to_pylist() == ["1", "3", "5"]
    assert fields.columns[1].to_pylist()[1:] == ["4", "6"]


def test_a_header_is_dropped_only_at_a_member_s_begin() -> None:
    assert without_header(Lines(b"a,b\n1,2\n", 2), b"a,b").data == b"1,2\n"
    assert without_header(Lines(b"a,b\n1,2\n", 2, first=9), b"a,b").data == b"a,b\n1,2\n"


@given(st.lists(st.sampled_from([b"1,2", b"3", b'"4",5', b'"6', b"", b"7,8,9", b"\xff,1", b"a\rb,c"]), max_size=12))
def test_no_line_is_lost(lines: list[bytes]) -> None:
    block = Lines(b"".join(line + b"\n" for line in lines), len(lines))
    fields = split_fields(block, 2)
    assert len(fields.columns[0]) + len(fields.wrong) == sum(line != b"" for line in lines)
    numbers = [fields.line(row)[0] for row in range(len(fields.columns[0]))] + [number for number, _, _ in fields.wrong]
    assert sorted(numbers) == [number for number, line in enumerate(lines, 1) if line]
