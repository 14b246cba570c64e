from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tapeline.recordings.candle_rows import CandleRows, judge_candles
from tapeline.recordings.court import Court
from tapeline.recordings.instants import TimeRule


def candle_rows(**changes: list[object]) -> CandleRows:
    columns: dict[str, list[object]] = {
        "time": [1761955200000],
        "open": ["2.0"],
        "high": ["2.5"],
        "low": ["1.5"],
        "close": ["2.1"],
        "volume": ["10"],
        "buy": ["4"],
        **changes,
    }
    arrays = {name: pa.array(column) for name, column in columns.items()}
    return CandleRows(
        open_time=arrays["time"],
        rule=TimeRule(("ms",)),
        prices=[arrays[name] for name in ("open", "high", "low", "close")],
        volume=arrays["volume"],
        size=60 * 10**9,
        locate=lambda row: (row + 1, b"raw"),
        buy_volume=arrays["buy"],
    )


def test_unknown_numbers_of_a_candle_are_nan() -> None:
    records, dead = judge_candles(candle_rows(), Court("f", "A-B.SIM", 2**63 - 1, 0))
    assert dead == []
    candle = records[0]
    assert candle["close_time"] - candle["open_time"] == 60 * 10**9
    assert np.isnan([candle["quote_volume"], candle["vwap"], candle["realized_vol"]]).all()
    assert (candle["trades"], candle["buy_volume"], bool(candle["complete"])) == (-1, 4.0, True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"high": ["2.05"]}, "high: expected the highest price"),
        ({"low": ["2.05"]}, "low: expected the lowest price"),
        ({"volume": ["-1"]}, "volume: expected a finite number >= 0, was '-1'"),
        ({"buy": ["11"]}, "buy volume: expected <= volume"),
        ({"time": [1761955200001]}, "time: expected a multiple of"),
        ({"open": ["NaN"]}, "open: expected a finite number > 0"),
    ],
)
def test_a_candle_that_cannot_be_is_refused(changes: dict[str, list[object]], reason: str) -> None:
    records, dead = judge_candles(candle_rows(**changes), Court("f", "A-B.SIM", 2**63 - 1, 0))
    assert len(records) == 0
    assert dead[0].reason.startswith(reason)
