from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.recordings import tools


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "trades.json"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("indent", [None, 4])
def test_a_body_printed_in_any_way(tmp_path: Path, indent: int | None) -> None:
    text = json.dumps(json.loads(tools.kraken_body(5)), indent=indent)
    frame = tools.read(saved(tmp_path, text.encode())).only
    assert (frame.instrument, frame.trade_id.tolist()) == ("BTC-USD.KRAKEN", [100, 101, 102, 103, 104])
    assert frame.ts_event[0] == 1762795433971744500
    assert frame.side.tolist() == [1] * 5


def test_a_body_a_line(tmp_path: Path) -> None:
    error = b'{"error":["EAPI:Rate limit exceeded"]}'
    whole = tools.read(saved(tmp_path, b"\n".join([tools.kraken_body(2), error, tools.kraken_body(3)])))
    assert len(whole.only) == 5
    assert "EAPI:Rate limit exceeded" in whole.reasons[0]
    assert whole.dead[0].raw == error


@pytest.mark.parametrize("indent", [None, 2])
def test_of_a_body_that_is_cut_the_whole_rows_are_kept(tmp_path: Path, indent: int | None) -> None:
    text = json.dumps(json.loads(tools.kraken_body(50)), indent=indent).encode()
    whole = tools.read(saved(tmp_path, text[: len(text) * 2 // 3]))
    assert whole.recording.format == "kraken-rest"
    assert 25 < len(whole.only) < 40
    assert whole.only.trade_id.tolist() == list(range(100, 100 + len(whole.only)))
    assert len(whole.dead) == 1
    assert text[: len(text) * 2 // 3].endswith(whole.dead[0].raw)


def test_what_stands_between_the_rows_of_a_broken_body_is_kept_too(tmp_path: Path) -> None:
    data = tools.kraken_body(3).replace(
        b'["105433.60000","0.00027625",1762795434', b'["105433.6\xff0000", oops 1762795434'
    )
    whole = tools.read(saved(tmp_path, data))
    assert whole.only.trade_id.tolist() == [100, 102]
    assert any(b"oops" in letter.raw for letter in whole.dead)


def test_a_row_without_id_among_others_is_malformed(tmp_path: Path) -> None:
    whole = tools.read(saved(tmp_path, tools.kraken_body(3).replace(b',"",101]', b',""]')))
    assert whole.only.trade_id.tolist() == [100, 102]
    assert whole.reasons == ["id: expected one as in the other rows, was missing"]


@pytest.mark.parametrize("bad", [b"NaN", b"1e999999999", b"-5", b'"soon"'])
def test_bad_times_are_dead_letters(tmp_path: Path, bad: bytes) -> None:
    whole = tools.read(saved(tmp_path, tools.kraken_body(3).replace(b"1762795434.9717445", bad)))
    assert whole.only.trade_id.tolist() == [100, 102]
    assert len(whole.dead) >= 1


def test_the_recorded_bodies(shared: Path) -> None:
    today = tools.read(shared / "data/nautilus-kraken/http_trades.json")
    assert (list(today.frames), len(today.only), today.dead) == (["BTC-USDT.KRAKEN"], 1000, [])
    assert today.only.trade_id.tolist() == list(range(10218208, 10219208))
    old = tools.read(shared / "data/xchange/kraken_trades_old_6field.json")
    assert (list(old.frames), old.recording.id_kind) == (["BTC-USD.KRAKEN"], "row")
    assert (old.only.trade_id == old.only.ts_event).sum() >= 10
