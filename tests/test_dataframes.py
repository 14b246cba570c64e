"""The notebook functions give the kernels' numbers, in the kind of table that came, and refuse what cannot be meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import talib
from tests.stored import START, trades

import tapeline as tl
from tapeline.errors import UnknownName, UsageError
from tapeline.types import CANDLE

MINUTE = 60_000_000_000
KINDS: dict[str, Callable[[pa.Table], Any]] = {
    "arrow": lambda table: table,
    "pandas": lambda table: table.to_pandas(),
    "polars": pl.from_arrow,
}
kinds = pytest.mark.parametrize("kind", list(KINDS))


def tape() -> pa.Table:
    frame = trades()
    columns = ("trade_id", "ts_event", "price", "qty")
    return pa.table({name: getattr(frame, name) for name in columns} | {"side": frame.side.astype(np.int64)})


def arrow(native: Any) -> pa.Table:
    if isinstance(native, pa.Table):
        return native
    if isinstance(native, pd.DataFrame):
        return pa.Table.from_pandas(native)
    return native.to_arrow()


@kinds
def test_candles_are_those_of_pandas_in_the_kind_that_came(kind: str) -> None:
    made = tl.candles(KINDS[kind](tape()), "1m")
    assert type(made) is type(KINDS[kind](tape()))
    table = arrow(made)
    assert table.column_names == list(CANDLE.names or ())
    assert table.schema.field("open_time").type == pa.timestamp("ns", "UTC")
    prices = tape().to_pandas()
    expected = prices.set_index(pd.to_datetime(prices["ts_event"]))["price"].resample("1min").ohlc().iloc[:-1]
    held = expected["open"].notna().to_numpy()
    assert table["open_time"].cast(pa.int64()).to_pylist() == expected.index.astype("int64").tolist()
    for name in ("open", "high", "low", "close"):
        assert table[name].to_numpy()[held].tolist() == expected[name][held].tolist()
    quiet = int(np.flatnonzero(~held)[0])
    assert (table["trades"][quiet].as_py(), table["vwap"][quiet].as_py()) == (0, None)


@kinds
def test_features_are_those_of_talib_in_the_kind_that_came(kind: str) -> None:
    candles = tl.candles(KINDS[kind](tape()), "1m")
    made = tl.features(candles, ["close", "sma(7)", "rsi(14)"])
    assert type(made) is type(candles)
    table = arrow(made)
    assert table.column_names == ["as_of", "version", "complete", "close", "sma_7", "rsi_14"]
    assert table["as_of"].equals(arrow(candles)["close_time"])
    close = arrow(candles)["close"].to_numpy()
    for name, expected in {"sma_7": talib.SMA(close, 7), "rsi_14": talib.RSI(close, 14)}.items():
        np.testing.assert_allclose(table[name].to_numpy(zero_copy_only=False), expected, rtol=1e-9)
    assert table["complete"].to_pylist()[:15] == [False] * 15
    assert table["complete"].to_pylist()[-1]


def test_the_order_of_rows_does_not_matter() -> None:
    whole = tape().to_pandas()
    shuffled = whole.sample(frac=1.0, random_state=3)
    pd.testing.assert_frame_equal(tl.candles(shuffled, "30s"), tl.candles(whole, "30s"), check_exact=True)


def test_one_instant_is_ordered_by_id() -> None:
    table = pa.table(
        {"ts_event": [5, 5, 5, MINUTE], "trade_id": [3, 1, 2, 4], "price": [3.0, 1.0, 2.0, 9.0], "qty": [1.0] * 4}
    )
    candle = tl.candles(table, "1m").to_pylist()[0]
    assert (candle["open"], candle["close"], candle["high"]) == (1.0, 3.0, 3.0)


def test_the_running_candle_comes_only_when_asked_for() -> None:
    table = pa.table({"ts_event": [0, MINUTE + 1], "price": [10.0, 11.0], "qty": [1.0, 2.0]})
    assert tl.candles(table).num_rows == 1
    running = tl.candles(table, include_running=True).to_pylist()[-1]
    assert (running["close"], running["volume"], running["complete"]) == (11.0, 2.0, False)
    assert tl.candles(table.slice(0, 0)).num_rows == 0


@pytest.mark.parametrize(
    "stamps",
    [
        pd.to_datetime([START, START + MINUTE]),
        pd.to_datetime([START, START + MINUTE], utc=True).tz_convert("America/New_York"),
        pd.to_datetime([START, START + MINUTE]).astype("datetime64[ms]"),
        pd.Series([START, START + MINUTE], dtype="Int64"),
    ],
    ids=["naive", "zoned", "ms", "nullable"],
)
def test_times_may_be_datetimes(stamps: Any) -> None:
    frame = pd.DataFrame({"ts_event": stamps, "price": [1.0, 2.0], "qty": [1, 1]})
    assert tl.candles(frame)["open_time"].tolist() == [pd.Timestamp(START, tz="UTC")]


@kinds
def test_the_side_may_be_text(kind: str) -> None:
    columns = {"ts_event": [0, 1, MINUTE, MINUTE + 1, 2 * MINUTE], "price": [1.0] * 5, "qty": [1.0, 2.0, 3.0, 4.0, 5.0]}
    table = pa.table(columns | {"side": ["BUY", "sell", "SELL", None, "buy"]})
    assert arrow(tl.candles(KINDS[kind](table)))["buy_volume"].to_pylist() == [1.0, None]


def test_aggregated_trades_count_as_many_as_they_stand_for() -> None:
    table = pa.table({"ts_event": [0, MINUTE], "price": [1.0, 1.0], "qty": [1.0, 1.0], "count": [7, 1]})
    assert tl.candles(table)["trades"].to_pylist() == [7]


@kinds
def test_instruments_never_mix(kind: str) -> None:
    one, two = tape(), tape()
    two = two.set_column(2, "price", pa.array(two["price"].to_numpy() * 2))
    names = pa.array(["B.SIM"] * len(one) + ["A.SIM"] * len(two))
    both = pa.concat_tables([one, two]).append_column("instrument", names)
    candles = tl.candles(KINDS[kind](both), "1m")
    made = arrow(candles).to_pandas()
    single = tl.candles(one, "1m").to_pandas()
    assert made["instrument"].unique().tolist() == ["A.SIM", "B.SIM"]
    for name, factor in {"B.SIM": 1, "A.SIM": 2}.items():
        assert made[made["instrument"] == name]["close"].tolist() == (single["close"] * factor).tolist()
    rows = arrow(tl.features(candles, ["sma(3)"])).to_pandas()
    assert rows.groupby("instrument")["sma_3"].apply(lambda column: column.isna().sum()).tolist() == [2, 2]


def test_candles_from_elsewhere_need_only_prices_and_volume() -> None:
    close = np.arange(1.0, 11.0)
    times = pd.date_range("2024-01-01", periods=10, freq="1min", tz="UTC")
    frame = pd.DataFrame({"close_time": times, "open": close, "high": close, "low": close, "close": close, "volume": 1})
    made = tl.features(frame, ["sma(2)", "vwap"])
    assert made["sma_2"].tolist()[1:] == [index + 0.5 for index in range(1, 10)]
    assert made["vwap"].isna().all()
    holed = frame.assign(open_time=times - pd.Timedelta("1min")).drop(index=4)
    assert tl.features(holed, ["sma(2)"])["complete"].tolist() == [False, *[True] * 3, False, False, *[True] * 3]


def test_a_set_is_named_given_or_a_file(tmp_path: Any) -> None:
    candles = tl.candles(tape(), "1m")
    file = tmp_path / "mine.toml"
    file.write_text('features = ["sma(2)"]')
    assert tl.features(candles, str(file)).equals(tl.features(candles, ["sma(2)"]))
    assert "ma_5" in tl.features(candles, "bars").column_names


GOOD = {"ts_event": [0, 1], "price": [1.0, 2.0], "qty": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"price": [1.0, float("nan")]}, r"price: cannot be used: expected finite and > 0, was 'nan \(1 such rows\)'"),
        ({"price": [1.0, None]}, r"price: cannot be used: expected finite and > 0"),
        ({"qty": [0.0, 1.0]}, r"qty: cannot be used: expected finite and > 0, was '0\.0"),
        ({"qty": ["a", "b"]}, r"qty: cannot be used: expected numbers, was 'String'"),
        ({"ts_event": [0.5, 1.0]}, r"ts_event: cannot be used: expected datetimes, or whole ns.*was 'double"),
        ({"ts_event": [0, None]}, r"ts_event: cannot be used: expected datetimes, .*1 of them null"),
        ({"ts_event": [0, 2**63 - 1]}, r"ts_event: cannot be used: expected times from 1970 to before 2200-.*was '92"),
        ({"ts_event": [-1, 0]}, r"ts_event: cannot be used: expected times from 1970 to before 2200-.*was '-1 \(1 su"),
        ({"trade_id": [7, 7]}, r"trade_id: cannot be used: expected each id once, was '1 repeated'"),
        ({"trade_id": ["a", "b"]}, r"trade_id: cannot be used: expected whole numbers, was 'String"),
        ({"side": ["BUY", "up"]}, r"side: cannot be used: expected BUY, SELL or UNKNOWN \(1, -1 or 0\), was 'up'"),
        ({"side": [1, 2]}, r"side: cannot be used: .*, was 2"),
    ],
)
@kinds
def test_bad_trades_are_refused_by_column(kind: str, change: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=rf"^trades column {text}"):
        tl.candles(KINDS[kind](pa.table(GOOD | change)))


def test_what_is_no_table_of_trades_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"^trades: are no table: expected a pandas, Polars or Arrow table, was 'list'"
    ):
        tl.candles([1, 2])
    with pytest.raises(
        UsageError, match=r"lack a column: expected the columns ts_event, price, qty, was 'ts, price'; rename yours"
    ):
        tl.candles(pa.table({"ts": [1], "price": [1.0]}))
    with pytest.raises(UsageError, match="is not a timeframe"):
        tl.candles(pa.table(GOOD), "7m")
    candles = tl.candles(tape(), "1m")
    with pytest.raises(UsageError, match=r"^candles column close_time: .*: expected times that rise"):
        tl.features(candles.take([1, 0]), ["close"])
    with pytest.raises(UnknownName, match="is not known"):
        tl.features(candles, ["nope(7)"])
    with pytest.raises(UnknownName, match=r"^feature set nope: is not known"):
        tl.features(candles, "nope")
