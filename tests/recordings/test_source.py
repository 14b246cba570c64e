from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tests.recordings import tools

from tapeline.errors import UnreadableFile
from tapeline.recordings.source import Source

TEXT = b"".join(b"line %d\n" % number for number in range(2_000))


def plain(path: Path) -> tuple[bytes, str]:
    source = Source(path)
    return b"".join(piece for _, piece in source.stream()), source.damage


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "none": bytes,
}


@pytest.mark.parametrize("packing", PACKED)
def test_packing_is_known_by_content(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(PACKED[packing](TEXT))
    assert plain(path) == (TEXT, "")


def test_gzip_members_are_joined_and_padding_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(TEXT) + gzip.compress(b"more\n") + b"\0" * 20)
    assert plain(path) == (TEXT + b"more\n", "")


def test_a_zip_gives_its_files_in_order(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    path.write_bytes(tools.zipped({"a.csv": b"1\n", "empty.csv": b"", "b.csv": b"2\n"}))
    source = Source(path)
    assert list(source.stream()) == [(0, b"1\n"), (1, b"2\n")]
    assert source.members == ("a.csv", "b.csv")


@pytest.mark.parametrize("packing", ["gzip", "bzip2", "xz"])
def test_half_a_packed_file_gives_what_it_holds_and_says_so(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "half"
    data = PACKED[packing](TEXT * 100)
    path.write_bytes(data[: len(data) * 3 // 4])
    found, damage = plain(path)
    assert "cut short" in damage
    assert (TEXT * 100).startswith(found)
    assert packing != "gzip" or len(found) > len(TEXT) * 50


def test_half_a_zip_gives_its_first_file(tmp_path: Path) -> None:
    data = tools.zipped({"20131008_spy_Trade_Tick.csv": TEXT})
    path = tmp_path / "half.zip"
    path.write_bytes(data[: len(data) // 2])
    source = Source(path)
    found = b"".join(piece for _, piece in source.stream())
    assert found
    assert TEXT.startswith(found)
    assert "directory is missing" in source.damage
    assert source.members == ("20131008_spy_Trade_Tick.csv",)


def test_a_flipped_bit_in_gzip_is_noticed(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(TEXT * 50))
    data[-6] ^= 1
    path = tmp_path / "flipped.gz"
    path.write_bytes(data)
    found, damage = plain(path)
    assert found == TEXT * 50
    assert "damaged" in damage


def test_a_zip_with_a_wrong_checksum_gives_its_rows_and_says_so(tmp_path: Path) -> None:
    data = bytearray(tools.zipped({"a.csv": TEXT}))
    at = data.index(b"PK\x01\x02")
    data[at + 16] ^= 1
    path = tmp_path / "wrong.zip"
    path.write_bytes(data)
    found, damage = plain(path)
    assert found == TEXT
    assert "checksum of a.csv differs" in damage


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n")
    assert plain(path) == (b"a,b\n", "")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(TEXT, mtime=0)[:11], "holds nothing readable"),
        (bytes(range(256)) * 4, "is binary"),
        ("time,price\n1,2\n".encode("utf-16"), "expected UTF-8, was 'UTF-16'; convert it: iconv"),
        ("time,price\n1,2\n".encode("utf-16-le"), "UTF-16"),
        (b"name" + b"\0" * 253 + b"ustar\0", "tar archive"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(UnreadableFile, match=text):
        Source(path)


def test_missing_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="does not exist; check the path"):
        Source(tmp_path / "nothing")
    with pytest.raises(UnreadableFile, match="is a folder"):
        Source(tmp_path)
