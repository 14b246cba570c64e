from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.recordings import tools

from tapeline.recordings.judge import RowIds

GOOD = b"5,1.5,2,2.0,1723161255342,true,true\n"
HEAD = b"id,price,qty,quote_qty,time,is_buyer_maker\n"


def judged(tmp_path: Path, row: bytes) -> tools.Whole:
    path = tmp_path / "BTCUSDT-trades-2024-08.csv"
    path.write_bytes(b"4,1.5,2,2.0,1723161255342,true,true\n" + row + b"\n6,1.5,2,2.0,1723161255342,true,true\n")
    return tools.read(path, max_time=1_800_000_000 * 10**9)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"5,NaN,2,2,1723161255342,true,true", "price: expected a finite number > 0, was 'NaN'"),
        (b"5,1e400,2,2,1723161255342,true,true", "price: expected a finite number > 0, was '1e400'"),
        (b"5,Infinity,2,2,1723161255342,true,true", "price: expected a finite number > 0, was 'Infinity'"),
        (b"5,0,2,2,1723161255342,true,true", "price: expected a finite number > 0, was '0'"),
        (b"5,-1,2,2,1723161255342,true,true", "price: expected a finite number > 0, was '-1'"),
        (b"5,,2,2,1723161255342,true,true", "price: expected a finite number > 0, was ''"),
        (b"5,1.5,1_0,2,1723161255342,true,true", "qty: expected a finite number > 0, was '1_0'"),
        (b"5,1e31,2,2,1723161255342,true,true", "price: expected 1e-30..1e30, was '1e31'"),
        (b"5,1.5,1e-31,2,1723161255342,true,true", "qty: expected 1e-30..1e30, was '1e-31'"),
        (b"5,1.5,0,2,1723161255342,true,true", "qty: expected a finite number > 0, was '0'"),
        (b"-5,1.5,2,2,1723161255342,true,true", "id: expected an integer in 0..2^63-2, was '-5'"),
        (b",1.5,2,2,1723161255342,true,true", "id: expected an integer in 0..2^63-2, was ''"),
        (b"9223372036854775807,1.5,2,2,1723161255342,true,true", "id: expected an integer in 0..2^63-2"),
        (b"9223372036854775808,1.5,2,2,1723161255342,true,true", "id: expected an integer in 0..2^63-2"),
        (b"5,1.5,2,2,1723161255,true,true", "was '1723161255' (wrong unit: looks like s)"),
        (b"5,1.5,2,2,1723161255342000000,true,true", "(wrong unit: looks like ns)"),
        (b"5,1.5,2,2,1199145600000,true,true", "(before 2009-01-03)"),
        (b"5,1.5,2,2,4102444800000,true,true", "(not in 2009..2099 in either)"),
        (b"5,1.5,2,2,4102444800000000,true,true", "(after 2099)"),
        (b"5,1.5,2,2,1900000000000,true,true", "in the future"),
        (b"5,1.5,2,2,,true,true", "time: expected epoch ms or us, was ''"),
        (b"5,1.5,2,2,1723161255342,perhaps,true", "side: expected true or false, was 'perhaps'"),
        (b"5,1.5,2,2,1723161255342,true", "row: expected 7 fields, was 6"),
        (b"5,1.5,2,2,1723161255342,true,true,1", "row: expected 7 fields, was 8"),
        (b"5,1.5\xff,2,2,1723161255342,true,true", "price: expected a finite number > 0"),
    ],
)
def test_a_bad_row_is_a_dead_letter_and_the_good_ones_stay(tmp_path: Path, row: bytes, reason: str) -> None:
    whole = judged(tmp_path, row)
    assert whole.only.trade_id.tolist() == [4, 6]
    (letter,) = whole.dead
    assert reason in letter.reason
    assert (letter.raw, letter.source, letter.kind) == (row, "BTCUSDT-trades-2024-08.csv:2", "malformed")
    assert letter.instrument == "BTC-USDT.BINANCE"
    assert whole.read == 3


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 2])
def test_large_ids_are_exact(tmp_path: Path, number: int) -> None:
    whole = judged(tmp_path, b"%d,1.5,2,2,1723161255342,true,true" % number)
    assert whole.only.trade_id.tolist() == [4, number, 6]


def test_milliseconds_and_microseconds_may_follow_each_other(tmp_path: Path) -> None:
    whole = judged(tmp_path, b"5,1.5,2,2,1735689600000001,true,true")
    assert whole.only.ts_event.tolist()[1] == 1735689600000001000


def test_row_ids_are_the_times_or_the_next_free_number_however_cut() -> None:
    stamps = np.array([10, 10, 10, 11, 50, 40, 51])
    expected = [10, 11, 12, 13, 50, 51, 52]
    assert RowIds().take(stamps).tolist() == expected
    for cut in range(len(stamps) + 1):
        ids = RowIds()
        assert [*ids.take(stamps[:cut]).tolist(), *ids.take(stamps[cut:]).tolist()] == expected
