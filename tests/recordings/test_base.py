from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.recordings import tools

from tapeline.errors import UnknownName, UnreadableFile, UsageError
from tapeline.recordings.base import formats, is_contiguous, open_recording

NAMES = list(tools.samples())


def written(tmp_path: Path, name: str, count: int = 20) -> Path:
    path = tmp_path / name
    path.write_bytes(tools.samples(count)[name])
    return path


def test_formats_find_themselves() -> None:
    assert list(formats()) == [
        "binance-csv",
        "binance-ws",
        "ccxt-json",
        "kraken-rest",
        "lean-equity",
        "parquet-store",
        "table",
        "tapeline-parquet",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_a_sample_is_read(tmp_path: Path, name: str) -> None:
    whole = tools.read(written(tmp_path, name))
    assert whole.rows == 20
    assert whole.dead == []
    assert whole.read == 20 + sum(whole.ignored.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [1, 3, 7])
def test_however_a_file_is_cut_the_rows_are_the_same(tmp_path: Path, name: str, rows: int) -> None:
    path = written(tmp_path, name)
    one, cut = tools.read(path), tools.read(path, rows=rows)
    assert_same(one, cut)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_resumes_at_any_position(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, 7)
    whole = tools.read(path)
    positions = [chunk.position for chunk in open_recording(path).chunks(rows=1)]
    assert positions == sorted(set(positions))
    for done, position in enumerate(positions, 1):
        head = sum(
            sum(map(len, chunk.frames)) + sum(len(part.records) for part in chunk.candles)
            for chunk in list(open_recording(path).chunks(rows=1))[:done]
        )
        rest = tools.read(path, skip=position, rows=4)
        assert head + rest.rows == whole.rows
        for instrument, frame in rest.frames.items():
            full = whole.frames[instrument]
            assert_columns(full.take(slice(len(full) - len(frame), None)).columns(), frame.columns())


def assert_same(one: tools.Whole, other: tools.Whole) -> None:
    assert one.frames.keys() == other.frames.keys()
    assert one.ignored == other.ignored
    assert (one.read, one.position, one.reasons) == (other.read, other.position, other.reasons)
    for instrument, frame in one.frames.items():
        assert_columns(frame.columns(), other.frames[instrument].columns())
    for key, records in one.candles.items():
        assert repr(records.tolist()) == repr(other.candles[key].tolist())


def assert_columns(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> None:
    for left, right in zip(one, other, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("name", NAMES)
def test_columns_have_the_types_of_a_frame_and_can_be_written(tmp_path: Path, name: str) -> None:
    for chunk in open_recording(written(tmp_path, name)).chunks():
        for frame in chunk.frames:
            assert [column.dtype.str for column in frame.columns()] == ["<i8", "<i8", "<i8", "<f8", "<f8", "|i1", "<i4"]
            assert all(column.flags.writeable for column in frame.columns())


def test_progress_ends_at_the_size(tmp_path: Path) -> None:
    whole = tools.read(written(tmp_path, "spot_btcusdt.gz"))
    assert whole.recording.bytes_read == whole.recording.size


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="expected one of binance-csv, binance-ws"):
        open_recording(written(tmp_path, "spy.zip"), format="nothing")


def test_a_file_of_no_known_format_says_what_was_seen(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\nnothing happened\n")
    with pytest.raises(UnreadableFile, match=r"no known format: expected one of .*dear diary.*--format"):
        open_recording(path)


def test_a_wrong_instrument_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a name"):
        open_recording(written(tmp_path, "spy.zip"), instrument="spy")


@pytest.mark.parametrize("name", [name for name in NAMES if "1m" not in name])
def test_the_given_instrument_overrides(tmp_path: Path, name: str) -> None:
    assert list(tools.read(written(tmp_path, name), instrument="A-B.SIM").frames) == ["A-B.SIM"]


@pytest.mark.parametrize("name", [name for name in NAMES if "export" not in name and "1m" not in name])
def test_trades_after_max_time_are_dead_letters(tmp_path: Path, name: str) -> None:
    whole = tools.read(written(tmp_path, name), max_time=1_300_000_000 * 10**9, now=42)
    assert whole.rows == 0
    assert len(whole.dead) == 20
    assert all("in the future" in reason for reason in whole.reasons)
    assert {letter.ts_init for letter in whole.dead} == {42}


def test_which_ids_are_contiguous() -> None:
    assert is_contiguous("BTC-USDT.BINANCE", "aggregate")
    assert is_contiguous("BTC-USD.KRAKEN", "trade")
    assert is_contiguous("BTC-USD.COINBASE", "trade")
    assert not is_contiguous("BTC-USD.KRAKEN", "row")
    assert not is_contiguous("AAPL.MASSIVE", "trade")
