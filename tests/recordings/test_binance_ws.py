from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from tests.recordings import tools


def saved(tmp_path: Path, data: bytes, name: str = "x.log") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_the_time_of_receipt_is_ts_init(tmp_path: Path) -> None:
    frame = tools.read(saved(tmp_path, tools.ws(3))).only
    assert (frame.ts_init - frame.ts_event).tolist() == [5087] * 3


def test_without_it_ts_init_is_ts_event(tmp_path: Path) -> None:
    frame = tools.read(saved(tmp_path, tools.ws_line(1, stamp=False))).only
    np.testing.assert_array_equal(frame.ts_init, frame.ts_event)


@pytest.mark.parametrize(
    ("stamp", "ns"),
    [
        (b"1723161255 ", 1723161255 * 10**9),
        (b"1723161255.0633569: ", 1723161255063356900),
        (b"1723161255342 ", 1723161255342 * 10**6),
        (b"1723161255342001\t", 1723161255342001 * 10**3),
        (b"1723161255342001999 ", 1723161255342001999),
    ],
)
def test_the_unit_of_receipt_is_told_by_its_magnitude(tmp_path: Path, stamp: bytes, ns: int) -> None:
    assert tools.read(saved(tmp_path, stamp + tools.ws_line(0, stamp=False))).only.ts_init.tolist() == [ns]


def test_bad_lines_are_dead_letters_and_the_others_stay(tmp_path: Path) -> None:
    good = tools.ws_line(1)
    bad = [good[:-5], b"\x80\x81", good.replace(b'"61837.63000000"', b'"1e400"'), good.replace(b"BTCUSDT", b"NONSENSE")]
    bad += [b"123456789012 " + good[20:]]
    whole = tools.read(saved(tmp_path, b"\n".join([good, b"", *bad, tools.ws_line(2)])))
    assert whole.only.trade_id.tolist() == [1001, 1002]
    assert sorted(letter.raw for letter in whole.dead) == sorted(bad)
    assert any("price: expected a finite number > 0, was '1e400'" in reason for reason in whole.reasons)
    assert any("a known quote currency, was 'NONSENSE'" in reason for reason in whole.reasons)
    assert any("receive time: expected an epoch" in reason for reason in whole.reasons)


def test_of_trades_and_aggregates_the_trades_are_kept(tmp_path: Path) -> None:
    agg = b'{"e":"aggTrade","s":"BTCUSDT","a":5,"p":"1","q":"2","f":10,"l":12,"T":1723161255342,"m":true}\n'
    both = tools.read(saved(tmp_path, agg + tools.ws_line(1) + b"\n" + agg))
    assert (both.only.trade_id.tolist(), both.ignored) == ([1001], {"aggTrade": 2})
    alone = tools.read(saved(tmp_path, agg))
    assert (alone.recording.id_kind, alone.only.trade_id.tolist(), alone.only.count.tolist()) == ("aggregate", [5], [3])


def test_several_instruments_give_a_frame_each(tmp_path: Path) -> None:
    other = tools.ws_line(5).replace(b"BTCUSDT", b"ETHBTC").replace(b'"M"', b'"X":"MARKET","M"')
    whole = tools.read(saved(tmp_path, tools.ws_line(1) + b"\n" + other))
    assert {name: len(frame) for name, frame in whole.frames.items()} == {
        "BTC-USDT.BINANCE": 1,
        "ETH-BTC-PERP.BINANCE": 1,
    }


def test_a_given_instrument_names_one_symbol_only(tmp_path: Path) -> None:
    other = tools.ws_line(5).replace(b"BTCUSDT", b"ETHBTC")
    whole = tools.read(saved(tmp_path, tools.ws_line(1) + b"\n" + other), instrument="A-B.BINANCE")
    assert {name: len(frame) for name, frame in whole.frames.items()} == {"A-B.BINANCE": 1}
    assert "expected BTCUSDT, was 'ETHBTC'" in str(whole.reasons)


def test_half_a_gzip_keeps_its_whole_lines_and_no_half_one(tmp_path: Path) -> None:
    data = gzip.compress(tools.ws(5000))
    whole = tools.read(saved(tmp_path, data[: len(data) // 2], "x.gz"))
    assert 1000 < len(whole.only) < 5000
    assert whole.only.trade_id.tolist() == list(range(1000, 1000 + len(whole.only)))
    (letter,) = whole.dead
    assert "cut short" in letter.reason
    assert tools.ws(5000).split(b"\n")[whole.read].startswith(letter.raw)


def test_the_captures_join_across_midnight(shared: Path) -> None:
    folder = shared / "data/hftbacktest-binance"
    first, second = (tools.read(folder / f"spot_btcusdt_2024080{day}.gz") for day in (8, 9))
    assert (len(first.only), len(second.only)) == (9757, 10147)
    assert (first.dead, second.dead) == ([], [])
    ids = np.concatenate([first.only.trade_id, second.only.trade_id])
    assert (np.diff(ids) == 1).all()
    assert list(first.frames) == ["BTC-USDT.BINANCE"]
    assert first.ignored == {"depthUpdate": 3451, "bookTicker": 28040, "depthSnapshot": 1}
    assert (first.only.ts_init < first.only.ts_event).any()


def test_the_futures_capture(shared: Path) -> None:
    whole = tools.read(shared / "data/hftbacktest-binance/usdm_ethusdt_20240808.gz")
    assert {name: len(frame) for name, frame in whole.frames.items()} == {"ETH-USDT-PERP.BINANCE": 14076}
    assert whole.dead == []


def test_a_capture_with_seconds_and_connection_lines(shared: Path) -> None:
    whole = tools.read(shared / "data/cryptofeed/BINANCE.ws.1.0")
    assert whole.recording.id_kind == "aggregate"
    assert {name: len(frame) for name, frame in whole.frames.items()} == {"NKN-USDT.BINANCE": 1, "LRC-BTC.BINANCE": 1}
    assert (whole.dead, whole.ignored["captureHeader"]) == ([], 1)
