from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.recordings import tools

from tapeline.errors import UnreadableFile, UsageError
from tapeline.recordings.base import open_recording
from tapeline.recordings.columns import parse_columns

HEAD = b"time,price,size,side,id\n"


def saved(tmp_path: Path, data: bytes, name: str = "binance-BTCUSDT.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_what_was_guessed_is_said(tmp_path: Path) -> None:
    guesses = open_recording(saved(tmp_path, tools.table_csv(3))).guesses
    assert guesses == {
        "price": "column price",
        "qty": "column size",
        "ts": "column time (ISO 8601)",
        "id": "column id",
        "side": "column side",
        "instrument": "BTC-USDT.BINANCE",
    }


def test_times_without_zone_are_utc_and_that_is_said(tmp_path: Path) -> None:
    whole = tools.read(saved(tmp_path, HEAD + b"2024-03-31 02:30:00,1,2,buy,1\n"))
    assert whole.recording.guesses["ts"] == "column time (ISO 8601 without zone, read as UTC)"
    assert whole.only.ts_event[0] == np.datetime64("2024-03-31T02:30", "ns").astype(np.int64)


def test_a_map_overrides_and_units_are_kept_to(tmp_path: Path) -> None:
    data = b"a;b;c;d\n1723161255342;7;9;1\n1723161255342000;8;9;2\n"
    columns = {"ts": "a:ms", "price": "b", "qty": "c", "id": "d"}
    whole = tools.read(saved(tmp_path, data, "x.csv"), columns=columns, instrument="A-B.SIM")
    assert (whole.only.price.tolist(), whole.recording.format) == ([7.0], "table")
    assert "wrong unit: looks like us" in whole.reasons[0]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"price": "nothing"}, "no column for price: expected one of time, price, size, side, id, was 'nothing'"),
        ({"prise": "price", "qty": "size"}, "unknown name: expected one of price, qty"),
        ({"ts": "time:weeks"}, "unknown unit of ts: expected s, ms, us, ns or iso"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused(tmp_path: Path, columns: dict[str, str], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        open_recording(saved(tmp_path, tools.table_csv(1)), columns=columns)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"time,size,side\n1,2,3\n", "has no column for price"),
        (b"time,price,size\n1,2,3\n", "column time holds no time: expected times since 2009"),
        (b"time,price,size\n1723161255,two,3\n", "column price holds no number: expected price, was 'two'"),
        (b"time,price,qty,is_ask\n1,2,3,4\n", "looks like an order book"),
        (b"time,price,qty,symbol\n1723161255,2,3,A\n1723161255,2,3,B\n", "holds several instruments.*A, B"),
        (b"nonsense\n1\n", "is no table"),
        (b"price,price,time,qty\n1,2,3,4\n", "is no table"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused(tmp_path: Path, header: bytes, text: str) -> None:
    with pytest.raises(UnreadableFile, match=text):
        open_recording(saved(tmp_path, header), format="table")


def test_a_given_unit_that_no_row_has_is_refused_at_once(tmp_path: Path) -> None:
    path = saved(tmp_path, b"time,price,size\n1723161255342,2,3\n")
    with pytest.raises(UsageError, match="wrong unit of time: expected ms, was 's'; say :ms"):
        open_recording(path, columns={"ts": "time:s"})


def test_later_rows_of_another_symbol_are_dead_letters(tmp_path: Path) -> None:
    rows = b"".join(b"%d,1.5,2,AAA\n" % (1723161255 + number) for number in range(20_000))
    data = b"time,price,qty,symbol\n" + rows + b"1723191255,1.5,2,BBB\n" + b"1723191256,1.5,2,AAA\n"
    whole = tools.read(saved(tmp_path, data), instrument="AAA.US")
    assert len(whole.only) == 20_001
    assert [letter.raw for letter in whole.dead] == [b"1723191255,1.5,2,BBB"]


def test_a_venue_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="does not say which instrument"):
        open_recording(saved(tmp_path, tools.table_csv(2), "BTCUSDT.csv"))


def test_a_receive_time_becomes_ts_init(tmp_path: Path) -> None:
    data = b"local_timestamp,timestamp,price,amount,id\n1723161255343,1723161255342,1,2,3\n"
    frame = tools.read(saved(tmp_path, data)).only
    assert (frame.ts_init - frame.ts_event).tolist() == [10**6]


def test_ids_that_are_no_integers_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    whole = tools.read(saved(tmp_path, HEAD + b"1723161255,1,2,buy,abc-1\n1723161255,1,2,buy,abc-2\n"))
    assert whole.recording.id_kind == "row"
    assert "is not used" in whole.recording.guesses["id"]
    assert np.diff(whole.only.trade_id).tolist() == [1]


@pytest.mark.parametrize(
    ("rows", "step"),
    [(b"2024-01-01,1,2,1,1,5\n2024-01-02,1,2,1,1,5\n", "1d"), (b"1704067200,1,2,1,1,5\n1704067500,1,2,1,1,5\n", "5m")],
)
def test_candles_tell_their_length_by_their_least_step(tmp_path: Path, rows: bytes, step: str) -> None:
    whole = tools.read(saved(tmp_path, b"date,open,high,low,close,volume\n" + rows))
    assert {key: len(records) for key, records in whole.candles.items()} == {("BTC-USDT.BINANCE", step): 2}


def test_one_candle_asks_for_its_length(tmp_path: Path) -> None:
    path = saved(tmp_path, b"date,open,high,low,close,volume\n2024-01-01,1,2,1,1,5\n")
    with pytest.raises(UnreadableFile, match="--columns timeframe=1m"):
        open_recording(path)
    whole = tools.read(path, format="table", columns={"timeframe": "1d"})
    assert list(whole.candles) == [("BTC-USDT.BINANCE", "1d")]


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_typed_tables(tmp_path: Path, kind: str) -> None:
    table = pa.table(
        {
            "timestamp": pa.array([1723161255342] * 3, pa.timestamp("ms")),
            "price": pa.array([1.5, None, float("inf")]),
            "qty": pa.array([2, 3, 4], pa.int32()),
            "trade_id": pa.array([1, 2, 3], pa.uint64()),
            "buyer_maker": pa.array([True, False, True]),
            "nested": pa.array([[1], [2], [3]]),
        }
    )
    data = tools.parquet(table) if kind == "parquet" else tools.feather_bytes(table)
    whole = tools.read(saved(tmp_path, data, f"binance-BTCUSDT.{kind}"))
    assert (whole.only.trade_id.tolist(), whole.only.side.tolist()) == ([1], [-1])
    assert whole.reasons == [
        "price: expected a finite number > 0, was None",
        "price: expected a finite number > 0, was inf",
    ]
    assert b'"trade_id": "2"' in whole.dead[0].raw


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_half_a_typed_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    data = tools.samples()[f"binance-BTCUSDT.{kind}"]
    with pytest.raises(UnreadableFile, match="damaged or cut short"):
        open_recording(saved(tmp_path, data[: len(data) // 2], f"binance-BTCUSDT.{kind}"))


def test_half_a_gzipped_csv_keeps_its_whole_rows(tmp_path: Path) -> None:
    rows = b"".join(
        b"%d.%06d,%d,2,buy,%d\n" % (1723161255 + n, n * 7919 % 10**6, n * 31 % 997 + 1, n) for n in range(5000)
    )
    data = gzip.compress(HEAD + rows)
    whole = tools.read(saved(tmp_path, data[: len(data) // 2], "binance-BTCUSDT.csv.gz"))
    assert 1000 < len(whole.only) < 4000
    assert len(whole.dead) == 1


RECORDED: list[tuple[str, dict[str, Any], str, int]] = [
    (
        "lasota-binance/test_positive_binance_trade_stream_spot_trxusdt_04-03-2025.csv.gz",
        {},
        "TRX-USDT.BINANCE",
        10_000,
    ),
    (
        "lasota-binance/test_negative_binance_trade_stream_spot_trxusdt_04-03-2025.csv.gz",
        {},
        "TRX-USDT.BINANCE",
        10_000,
    ),
    ("salzer-binance/trades_btc_fut_2026-02-16_04.parquet", {}, "BTC-USDT-PERP.BINANCE", 11_947),
    ("nautilus-binance/btcusdt-trades.parquet", {}, "BTC-USDT.BINANCE", 2_001),
    ("highfrequency-taq/sampleTDataRaw_day1.csv.gz", {"instrument": "XXX.US"}, "XXX.US", 39_470),
]


@pytest.mark.parametrize(("name", "options", "instrument", "rows"), RECORDED)
def test_recorded_trades(shared: Path, name: str, options: dict[str, Any], instrument: str, rows: int) -> None:
    whole = tools.read(shared / "data" / name, **options)
    assert {key: len(frame) for key, frame in whole.frames.items()} == {instrument: rows}
    assert whole.dead == []


def test_the_planted_duplicate_is_there(shared: Path) -> None:
    name = "lasota-binance/test_negative_binance_trade_stream_spot_trxusdt_04-03-2025.csv.gz"
    ids = tools.read(shared / "data" / name).only.trade_id
    assert len(np.unique(ids)) < len(ids)


def test_the_19_gaps_of_the_recorder(shared: Path) -> None:
    frame = tools.read(shared / "data/salzer-binance/trades_btc_fut_2026-02-16_04.parquet").only
    assert (np.diff(np.unique(frame.trade_id)) > 1).sum() == 19
    assert (frame.ts_init > frame.ts_event).all()


CANDLES = [
    ("freqtrade/XRP_ETH-1m.feather", "XRP-ETH.BINANCE", "1m", 2_469),
    ("freqtrade/XRP_ETH-5m.feather", "XRP-ETH.BINANCE", "5m", 706),
    ("nautilus-ohlcv/btc-perp-20211231-20220201_1m.csv.gz", "BTC-PERP.FTX", "1m", 45_031),
]


@pytest.mark.parametrize(("name", "instrument", "timeframe", "rows"), CANDLES)
def test_recorded_candles(shared: Path, name: str, instrument: str, timeframe: str, rows: int) -> None:
    whole = tools.read(shared / "data" / name, instrument=instrument)
    assert {key: len(records) for key, records in whole.candles.items()} == {(instrument, timeframe): rows}
    assert whole.dead == []


def test_an_order_book_is_not_taken_for_trades(shared: Path) -> None:
    name = "lasota-binance/test_positive_binance_difference_depth_stream_spot_trxusdt_04-03-2025.csv.gz"
    with pytest.raises(UnreadableFile, match="looks like an order book"):
        open_recording(shared / "data" / name)


def test_without_a_header_columns_are_numbered(tmp_path: Path) -> None:
    data = b"1723161255342,7,9\n1723161255343,8,9\n"
    with pytest.raises(UnreadableFile, match=r"no known format.*c1, c2"):
        open_recording(saved(tmp_path, data))
    columns = {"ts": "c1:ms", "price": "c2", "qty": "c3"}
    assert tools.read(saved(tmp_path, data), columns=columns).only.price.tolist() == [7.0, 8.0]


def test_names_that_differ_only_in_case_are_told_apart(tmp_path: Path) -> None:
    data = b"e,E,s,t,p,q,T,m,M\ntrade,1723161255343,BTCUSDT,7,1.5,2,1723161255342,True,False\n"
    frame = tools.read(saved(tmp_path, data)).only
    assert [column[0].item() for column in frame.columns()][:6] == [
        7,
        1723161255342 * 10**6,
        1723161255342 * 10**6,
        1.5,
        2.0,
        -1,
    ]


@pytest.mark.parametrize("text", ["", "price", "price=", "=p", "price=a,price=b", "price=a,,qty=b"])
def test_a_map_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--columns: cannot be read: expected each name once"):
        parse_columns(text)


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USD_kraken.csv"
    path.write_bytes(b"time,price,size\n")
    with pytest.raises(UnreadableFile, match="holds no row: expected rows after its header"):
        tools.read(path)
