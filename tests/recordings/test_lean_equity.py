from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.recordings import tools

from tapeline.errors import UnreadableFile, UsageError
from tapeline.recordings.base import open_recording
from tapeline.types import Frame

HOUR = 3600 * 10**9


def saved(tmp_path: Path, data: bytes, name: str = "x.zip") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("date", "shift"), [("20131008", 4), ("20131203", 5), ("20130310", 4), ("20131103", 5)])
def test_times_are_new_york_s_also_where_the_clocks_change(tmp_path: Path, date: str, shift: int) -> None:
    ms = 9 * 3_600_000 + 30 * 60_000
    data = tools.zipped({f"{date}_spy_Trade_Tick.csv": b"%d,1674200,210,Q,2000,0\n" % ms})
    frame = tools.read(saved(tmp_path, data)).only
    assert frame.instrument == "SPY.US"
    midnight = np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:]}", "ns").astype(np.int64)
    assert frame.ts_event[0] - midnight == (9 + shift) * HOUR + HOUR // 2
    assert (frame.price[0], frame.qty[0], frame.side[0]) == (167.42, 210.0, 0)


def test_rows_without_id_take_their_time_or_the_next_free_number(tmp_path: Path) -> None:
    frame = tools.read(saved(tmp_path, tools.lean_ticks(4))).only
    assert (frame.trade_id - frame.ts_event).tolist() == [0, 1, 0, 1]


def test_suspicious_prints_are_counted_and_conditions_are_chosen(tmp_path: Path) -> None:
    rows = b"1,10000,5,Q,1,0\n2,10000,6,Q,20000020,0\n3,10000,7,Q,1,1\n4,10000,8,Q,2000,0\n"
    path = saved(tmp_path, tools.zipped({"20131008_spy_Trade_Tick.csv": rows}))
    every = tools.read(path)
    assert (every.only.qty.tolist(), every.ignored) == ([5, 6, 8], {"suspicious": 1})
    priced = tools.read(path, format="lean-equity", columns={"conditions": "priced"})
    assert (priced.only.qty.tolist(), priced.ignored) == ([5, 8], {"suspicious": 1, "condition sets no price": 1})
    assert tools.read(path, columns={"conditions": "priced"}).ignored == priced.ignored


def test_bad_rows_are_dead_letters(tmp_path: Path) -> None:
    rows = b"1,10000,5,Q,1,0\nx,10000,6,Q,1,0\n86400000,10000,6,Q,1,0\n3,0,7,Q,1,0\n4,1\n5,10000,8,Q,zz,0\n"
    whole = tools.read(saved(tmp_path, tools.zipped({"20131008_spy_Trade_Tick.csv": rows})))
    assert whole.only.qty.tolist() == [5, 8]
    assert sorted(letter.source for letter in whole.dead) == ["x.zip:2", "x.zip:3", "x.zip:4", "x.zip:5"]


@pytest.mark.parametrize("word", ["second", "minute"])
def test_bars_are_candles_made_by_others(tmp_path: Path, word: str) -> None:
    data = tools.zipped({f"20131008_spy_{word}_trade.csv": b"14400000,1674200,1674300,1674100,1674200,210\n"})
    whole = tools.read(saved(tmp_path, data))
    assert list(whole.candles) == [("SPY.US", "1s" if word == "second" else "1m")]


def test_crypto_prices_are_not_scaled_and_times_are_utc(tmp_path: Path) -> None:
    data = tools.zipped({"20161007_btcusd_minute_trade.csv": b"60000,415,416,414,415,1.5\n"})
    ((key, records),) = tools.read(saved(tmp_path, data, "coinbase_minute.zip")).candles.items()
    assert key == ("BTC-USD.COINBASE", "1m")
    assert records["open"][0] == 415.0
    assert records["open_time"][0] == np.datetime64("2016-10-07T00:01", "ns").astype(np.int64)


def test_quotes_and_wrong_dates_and_other_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="holds quotes"):
        open_recording(saved(tmp_path, tools.zipped({"20131008_ibm_Quote_Tick.csv": b"1,1,1,1,1,P,1,0\n"})))
    with pytest.raises(UnreadableFile, match="names no date"):
        open_recording(saved(tmp_path, tools.lean_ticks(1, "20131399_spy_Trade_Tick.csv")))
    with pytest.raises(UsageError, match="does not apply to lean-equity"):
        open_recording(saved(tmp_path, tools.lean_ticks(1)), format="lean-equity", columns={"price": "p"})


def bars(frame: Frame, size: int) -> dict[int, list[float]]:
    """Fold trades into open, high, low, close, volume by their period, plainly."""
    out: dict[int, list[float]] = {}
    for time, price, qty in zip(
        (frame.ts_event // size * size).tolist(), frame.price.tolist(), frame.qty.tolist(), strict=True
    ):
        bar = out.setdefault(time, [price, price, price, price, 0.0])
        bar[1:] = [max(bar[1], price), min(bar[2], price), price, bar[4] + qty]
    return out


@pytest.mark.parametrize(("symbol", "ticks"), [("spy", 451_545), ("ibm", 33_381)])
def test_share_of_the_vendor_s_minutes_that_agree(shared: Path, symbol: str, ticks: int) -> None:
    folder = shared / "data/lean-equity"
    path = folder / f"tick_{symbol}_20131008_trade.zip"
    every = tools.read(path)
    priced = tools.read(path, columns={"conditions": "priced"})
    assert (len(every.only), every.dead, every.ignored) == (ticks, [], {})
    assert len(priced.only) + priced.ignored["condition sets no price"] == ticks
    (records,) = tools.read(folder / f"minute_{symbol}_20131008_trade.zip").candles.values()
    ours, prices = (bars(whole.only, 60 * 10**9) for whole in (every, priced))
    names = ("open", "high", "low", "close", "volume")
    vendor = {int(row["open_time"]): [float(row[name]) for name in names] for row in records}
    volume = sum(ours.get(time, [0])[-1] == bar[-1] for time, bar in vendor.items())
    fields = sum(ours.get(time) == bar for time, bar in vendor.items())
    set_prices = sum(prices.get(time, [])[:4] == bar[:4] for time, bar in vendor.items())
    both = sum([*prices.get(time, [])[:4], *ours.get(time, [])[4:]] == bar for time, bar in vendor.items())
    print(
        f"\n{symbol.upper()}: of {len(vendor)} minutes of the vendor, all prints agree in volume in {volume}, in every "
        f"field in {fields}; prints with condition 0x1 or 0x2000 agree in open, high, low, close in {set_prices}; "
        f"prices by those and volumes by all agree in every field in {both}"
    )
    assert volume > 0.98 * len(vendor)
    assert set_prices > 0.99 * len(vendor)
    assert both > 0.98 * len(vendor)
