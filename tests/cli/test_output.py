"""Tables as JSON, CSV, Parquet and text: nothing lost, nothing invented."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tapeline.cli import files, output
from tapeline.errors import UsageError

NS = pa.timestamp("ns", "UTC")
TABLE = pa.table(
    {
        "at": pa.array([0, 1_500_000_000, None, 1_723_161_600_000_000_001], NS),
        "x": pa.array([0.1, float("nan"), None, float("inf")]),
        "n": pa.array([2**53 + 1, None, -1, 0]),
        "raw": pa.array([b"a", b"\xff", None, b""]),
        "list": pa.array([[1.0, None], [], None, [float("nan")]]),
    }
)
TIMES = ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.500Z", None, "2024-08-09T00:00:00.000000001Z"]


def test_json_keeps_every_digit_and_has_null_for_the_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_json_rows(TABLE)
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [row["at"] for row in rows] == TIMES
    assert [row["x"] for row in rows] == [0.1, None, None, None]
    assert [row["n"] for row in rows] == [2**53 + 1, None, -1, 0]
    assert [row["raw"] for row in rows] == ["a", "\\xff", None, ""]
    assert [row["list"] for row in rows] == [[1.0, None], [], None, [None]]


@pytest.mark.parametrize("rows", [0, 1])
def test_json_rows_are_one_document(capsys: pytest.CaptureFixture[str], rows: int) -> None:
    output.write_json_rows(TABLE.slice(0, rows))
    assert len(json.loads(capsys.readouterr().out)) == rows


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([0, None], pa.timestamp("us", "UTC")), ["1970-01-01T00:00:00Z", None]),
        (pa.array([1], pa.timestamp("us")), ["1970-01-01T00:00:00.000001"]),
        (pa.array([-1], pa.timestamp("s", "UTC")), ["1969-12-31T23:59:59Z"]),
        (pa.array([2**63 - 1], pa.timestamp("us", "UTC")), ["9223372036854775807000 ns"]),
    ],
)
def test_times_of_any_unit_are_read(column: pa.Array, texts: list[str | None]) -> None:
    assert output.readable(pa.table({"t": column}))["t"].to_pylist() == texts


def test_numbers_of_sql_are_numbers() -> None:
    assert output.plain([Decimal("7"), Decimal("0.5"), 2**70]) == [7, 0.5, 2**70]


def test_a_table_for_people_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(pa.table({"a": ["x" * 300], "b": [None], "c": [True]}))
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["a", "b", "c"]
    assert row.split() == ["x" * 300, "-", "yes"]


def test_a_wide_table_lies_on_its_side() -> None:
    turned = output.transposed(TABLE.select(["at", "x", "n"]).slice(0, 2), "at")
    assert turned.column_names == ["at", *TIMES[:2]]
    assert [row.as_py() for row in turned["at"]] == ["x", "n"]
    assert turned[TIMES[1]].to_pylist() == ["-", "-"]


def test_csv_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "x.CSV"
    written = files.write_file(path, [TABLE.slice(0, 2), TABLE.slice(2)], TABLE.schema)
    assert written == {"path": str(path), "rows": 4, "bytes": path.stat().st_size}
    lines = path.read_text().splitlines()
    assert lines[0].replace('"', "") == "at,x,n,raw,list"
    back = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types={"at": pa.string()}))
    assert back["at"].to_pylist() == [time or "" for time in TIMES]
    assert back["n"].to_pylist() == TABLE["n"].to_pylist()


def test_parquet_reads_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    files.write_file(path, [TABLE.slice(0, 2), TABLE.slice(2)], TABLE.schema)
    back = pq.read_table(path)
    for name in ("at", "n", "raw"):
        assert back[name].combine_chunks().equals(TABLE[name].combine_chunks())
    assert str(back["list"].to_pylist()) == str(TABLE["list"].to_pylist())


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["n", "n"])
    files.write_file(tmp_path / "x.parquet", [table], table.schema)
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == [{"n": 1, "n_2": 2}]
    assert list(output.plain_rows(table)) == [{"n": 1, "n_2": 2}]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")

    def tables() -> object:
        yield TABLE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_file(path, tables(), TABLE.schema)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["x.csv"]
    assert path.read_text() == "old"


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"x\.csv: cannot be written: expected a folder with room.*Not a directory"):
        files.write_file(tmp_path / "file" / "x.csv", [TABLE], TABLE.schema)
