from __future__ import annotations

from pathlib import Path

import pytest
from tests.recordings import tools

from tapeline.errors import UnreadableFile
from tapeline.recordings.base import open_recording

MS = 1723161255342
FORMS = {
    "spot/BTCUSDT-trades-2024.csv": b"7,1.5,2,3.0,%d,True,True\n" % MS,
    "spot/BTCUSDT-trades-2025.csv": b"7,1.5,2,3.0,%d000,True,True\n" % MS,
    "um/BTCUSDT-trades-2024.csv": b"id,price,qty,quote_qty,time,is_buyer_maker\n7,1.5,2,3.0,%d,true\n" % MS,
    "futures/BTCUSDT-trades-old.csv": b"7,1.5,2,3.0,%d,true\n" % MS,
    "spot/BTCUSDT-aggTrades-2024.csv": b"7,1.5,2,10,12,%d,True,True\n" % MS,
    "um/BTCUSDT-aggTrades-2024.csv": (
        b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
        b"7,1.5,2,10,12,%d,true\n" % MS
    ),
}


def saved(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_trades(tmp_path: Path, name: str, packed: bool) -> None:
    data = FORMS[name]
    path = saved(
        tmp_path,
        name.replace("csv", "zip") if packed else name,
        tools.zipped({Path(name).name: data}) if packed else data,
    )
    whole = tools.read(path)
    aggregate = "agg" in name
    perp = "-PERP" if name.startswith(("um", "futures")) else ""
    assert whole.recording.format == "binance-csv"
    assert whole.recording.id_kind == ("aggregate" if aggregate else "trade")
    assert list(whole.frames) == [f"BTC-USDT{perp}.BINANCE"]
    row = [column[0].item() for column in whole.only.columns()]
    assert row == [7, MS * 10**6, MS * 10**6, 1.5, 2.0, -1, 3 if aggregate else 1]


@pytest.mark.parametrize("scale", [1, 1000])
@pytest.mark.parametrize("header", [False, True])
def test_klines(tmp_path: Path, scale: int, header: bool) -> None:
    names = b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,x,ignore\n"
    start = 1761955200000
    row = b"%d,2.0,2.5,1.5,2.1,100,%d,205.0,7,40,82.0,0\n" % (start * scale, (start + 300_000) * scale - 1)
    whole = tools.read(saved(tmp_path, "BTCUSDT-5m-2025.csv", (names if header else b"") + row))
    (key,) = whole.candles
    assert key == ("BTC-USDT.BINANCE", "5m")
    candle = whole.candles[key][0]
    assert candle["open_time"] == start * 10**6
    assert [candle[name].item() for name in ("open", "high", "low", "close", "volume")] == [2.0, 2.5, 1.5, 2.1, 100.0]
    assert (candle["trades"], candle["buy_volume"], candle["vwap"]) == (7, 40.0, 2.05)


def test_a_zip_of_several_files_drops_each_header(tmp_path: Path) -> None:
    data = FORMS["um/BTCUSDT-trades-2024.csv"]
    path = saved(tmp_path, "BTCUSDT-trades.zip", tools.zipped({"a.csv": data, "b.csv": data.replace(b"\n7,", b"\n8,")}))
    whole = tools.read(path)
    assert (whole.only.trade_id.tolist(), whole.dead) == ([7, 8], [])


def test_candles_of_a_week_are_refused_by_name(tmp_path: Path) -> None:
    row = b"1761955200000,2.0,2.5,1.5,2.1,100,1762559999999,205.0,7,40,82.0,0\n"
    with pytest.raises(UnreadableFile, match=r"expected a length from 100ms that divides a day.*was '7d'"):
        open_recording(saved(tmp_path, "BTCUSDT-1w.csv", row))


def test_a_name_without_symbol_asks_for_the_instrument(tmp_path: Path) -> None:
    path = saved(tmp_path, "download.csv", tools.trades_csv(3))
    with pytest.raises(UnreadableFile, match=r"does not say which instrument it holds.*--instrument"):
        open_recording(path)
    assert list(tools.read(path, instrument="BTC-USDT.BINANCE").frames) == ["BTC-USDT.BINANCE"]


def test_another_csv_forced_to_be_a_bulk_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is no Binance bulk file: expected columns of trades"):
        open_recording(saved(tmp_path, "BTCUSDT.csv", b"a,b\n1,2\n"), format="binance-csv")


def test_the_month_of_candles(shared: Path) -> None:
    whole = tools.read(shared / "data/isda-binance-klines/NEARUSDT-1m-2025-11.csv.gz")
    ((key, records),) = whole.candles.items()
    assert (key, len(records), whole.dead) == (("NEAR-USDT.BINANCE", "1m"), 43_200, [])
    assert whole.recording.guesses["timeframe"] == "1m"


@pytest.mark.parametrize("digits", [25, 5_000])
def test_a_time_of_absurd_length_is_no_bulk_file(tmp_path: Path, digits: int) -> None:
    row = b"1761955200000,2.0,2.5,1.5,2.1,100,%s,205.0,7,40,82.0,0\n" % (b"1" * digits)
    with pytest.raises(UnreadableFile, match="is no Binance bulk file"):
        open_recording(saved(tmp_path, "BTCUSDT-1m.csv", row), format="binance-csv")
