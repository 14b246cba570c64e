"""A small stored tape that tests of reading share: simulated trades of one instrument, imported candles of another."""

from __future__ import annotations

import numpy as np

from tapeline.clock import MINUTE, ManualClock
from tapeline.config import Settings, load_settings
from tapeline.recorder import Recorder
from tapeline.simulator.market import JANUARY_2024, Market
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import CANDLE, Frame, Records

TRADED, IMPORTED = "BTC-USD.SIM", "ETH-USD.SIM"
START = JANUARY_2024
SETTINGS = load_settings(timeframes=("1m", "5m"), feature_sets=("bars",))


def trades(count: int = 6_000) -> Frame:
    return Frame.concat(list(Market(5, instrument=TRADED).frames(trades=count)))


def imported_candles() -> Records:
    candles = np.zeros(4, CANDLE)
    candles["open_time"] = START + MINUTE * np.array([0, 1, 2, 5])
    candles["close_time"] = candles["open_time"] + MINUTE
    for name in ("open", "high", "low", "close"):
        candles[name] = [10.0, 11.0, 12.0, 13.0]
    candles["volume"] = 1.0
    for name in ("quote_volume", "vwap", "buy_volume", "realized_vol"):
        candles[name] = np.nan
    candles["trades"] = -1
    candles["complete"] = True
    return candles


def fill(store: Store, frame: Frame | None = None, settings: Settings = SETTINGS) -> None:
    frame = trades() if frame is None else frame
    recorder = Recorder(store, settings, clock=ManualClock(START))
    lane = recorder.lane(frame.instrument, contiguous=True)
    with store.transaction():
        recorder.write_sets()
        recorder.feed(lane, frame)
        recorder.write_state(lane)
        store.append("candles", rows.from_candles(IMPORTED, "1m", imported_candles(), source="imported"))
