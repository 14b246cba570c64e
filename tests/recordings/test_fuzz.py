"""Arbitrary bytes, and valid files with faults: only errors of the tree come out, and every other row is kept."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.recordings import tools

from tapeline.errors import InputError, UsageError
from tapeline.recordings.base import formats, open_recording

SAMPLES = tools.samples(8)
LINES = ["spot_btcusdt.log", "BTCUSDT-trades-2024-08.csv", "BTCUSDT-1m-2025-11.csv", "binance-BTCUSDT.csv"]
PIECES = [
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\0",
    b"1e400",
    b"NaN",
    b"-",
    b"[",
    b"}",
    b"9" * 400,
    b"\xff",
    b"\xef\xbb\xbf",
    b"",
]
JUNK = st.binary(max_size=40).map(lambda data: bytes(code for code in data if code >= 32))
quick = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survive(name: str, data: bytes, format_: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        with suppress(InputError, UsageError):
            for chunk in open_recording(path, format=format_, instrument="A-B.SIM").chunks(rows=5):
                trades = sum(map(len, chunk.frames)) + sum(len(part.records) for part in chunk.candles)
                assert trades <= chunk.read


@pytest.mark.parametrize("format_", [None, *formats()])
@quick
@given(data=st.binary(max_size=400))
@example(data=b"[" * 100_000)
@example(data=b"PK\x03\x04" + b"\0" * 40)
@example(data=b"PAR1" + b"\0" * 40 + b"PAR1")
@example(data=b"ARROW1\0\0" + b"\0" * 40 + b"ARROW1")
@example(data=b'{"a":' * 20_000)
@example(data=b"1" * 5_000 + b"," + b"1" * 5_000)
def test_arbitrary_bytes(format_: str | None, data: bytes) -> None:
    survive("BTCUSDT-binance.csv", data, format_)


@pytest.mark.parametrize("name", SAMPLES)
@quick
@given(data=st.data())
def test_files_with_faults(name: str, data: st.DataObject) -> None:
    content = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        match data.draw(st.sampled_from(["flip", "insert", "delete", "cut", "repeat"])):
            case "flip" if content:
                content[at] ^= data.draw(st.integers(1, 255))
            case "insert":
                content[at:at] = data.draw(st.sampled_from(PIECES) | st.binary(max_size=4))
            case "delete":
                del content[at : at + data.draw(st.integers(1, 30))]
            case "cut":
                del content[at:]
            case "repeat":
                content[at:at] = content[: data.draw(st.integers(0, 200))]
    survive(name, bytes(content), None)


@pytest.mark.parametrize("name", LINES)
@quick
@given(bad=st.lists(st.tuples(st.integers(2, 9), JUNK), max_size=5))
def test_bad_lines_between_good_ones_lose_nothing(name: str, bad: list[tuple[int, bytes]]) -> None:
    lines = SAMPLES[name].splitlines()
    for at, junk in bad:
        lines.insert(at, junk + b'"x')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(b"\n".join(lines) + b"\n")
        whole = tools.read(path)
        assert whole.rows == 8
        assert len(whole.dead) == len(bad)
        assert whole.read == 8 + len(bad) + sum(whole.ignored.values())
