"""The process that bench/api.py asks: a database with a model, 10,000 trades a second coming in, the API over it.

While trades come in, a candle of the series that is asked for closes every second.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tapeline.api.app import create_app
from tapeline.api.server import listen, serving
from tapeline.clock import DAY, MINUTE
from tapeline.config import load_settings
from tapeline.hub import Hub
from tapeline.learning.artifact import Artifact
from tapeline.learning.fitting import fit
from tapeline.model_rows import dataset_of, learning_set, model_rows
from tapeline.models.base import model_class
from tapeline.registry import Registry
from tapeline.serving import keep_definition
from tapeline.simulator.market import JANUARY_2024, Market
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import CANDLE, Frame

NAME = "BTC-USD.SIM"
LIVE = "LOAD-USD.SIM"
HORIZON = 5 * MINUTE
STEP = 0.05
COMMITS_A_CANDLE = 20


def fill(store: DuckDBStore, candles: int) -> None:
    """Store candles made by others, and a model of their directions that answers."""
    prices = np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-4, candles))) * 60_000
    made = np.zeros(candles, CANDLE)
    made["open_time"] = JANUARY_2024 + MINUTE * np.arange(candles)
    made["close_time"] = made["open_time"] + MINUTE
    for name in ("open", "high", "low", "close", "vwap"):
        made[name] = prices
    for name in ("volume", "quote_volume", "buy_volume"):
        made[name] = 1.0
    made["complete"] = True
    store.append("candles", rows.from_candles(NAME, "1m", made, source="imported"))
    features = learning_set("bars", "1m", HORIZON)
    data = dataset_of(model_rows(store, load_settings(), NAME, "1m", features), HORIZON)
    seen = data.for_target("direction", 1)
    model = fit(model_class("logistic", "direction"), seen, seed=1)
    text, nan = model.dump().decode(), float("nan")
    task = (NAME, "1m", HORIZON, "direction", "logistic", text, data.columns, features.name, features.version)
    artifact = Artifact(*task, nan, nan, 0.9, JANUARY_2024, JANUARY_2024 + DAY, candles, "bench", "0" * 32, 1, "bench")
    asked = {"content": text, "columns": len(data.columns), "row": seen.inputs[-1].tolist()}
    store.path.with_suffix(".json").write_text(json.dumps(asked))
    Registry(store).register(artifact, now=JANUARY_2024)
    Registry(store).promote(artifact.name, artifact.version, now=JANUARY_2024)
    keep_definition(store, features)


@dataclass
class Written:
    """How many trades were stored, and how long their commits took (s)."""

    stored: int = 0
    busy: float = 0.0


def write_trades(store: DuckDBStore, per_second: int, stop: threading.Event, written: Written) -> None:
    """Commit trades by the clock until told to stop: who falls behind goes on at once."""
    size = max(1, int(per_second * STEP))
    market = Market(3, instrument=LIVE, trades_per_second=100).frames(rows=size)
    candle = rows.to_candles(store.read("candles", instrument=NAME, timeframe="1m", limit=1))
    due = time.perf_counter()
    for number, frame in enumerate(market, 1):
        due += STEP
        if stop.wait(max(0.0, due - time.perf_counter())):
            return
        begun = time.perf_counter()
        with store.transaction():
            store.append("trades", rows.from_frame(Frame(LIVE, *frame.columns())))
            if number % COMMITS_A_CANDLE == 0:
                candle["open_time"] += MINUTE
                candle["close_time"] += MINUTE
                store.append("candles", rows.from_candles(NAME, "1m", candle, source="imported"))
        written.busy += time.perf_counter() - begun
        written.stored += size


async def tell(hub: Hub, every: float, written: Written) -> None:
    """Tell on the channel status what the time is and what is stored, for whoever measures how long that takes."""
    while True:
        stored, busy = written.stored, written.busy
        hub.set_status({"sent": time.perf_counter_ns(), "stored": stored, "busy": busy})
        await asyncio.sleep(every)


async def serve(db: Path, candles: int, per_second: int) -> None:
    """Serve until stdin closes."""
    settings = load_settings(db=db, timeframes=("1m",), feature_sets=("bars",), rate_limit=0)
    store, stop, hub, written = DuckDBStore(db), threading.Event(), Hub(), Written()
    fill(store, candles)
    writer = threading.Thread(target=write_trades, args=(store, per_second, stop, written))
    async with serving(create_app(store.reader, hub, None, settings), listen("127.0.0.1", 0)) as address:
        gc.freeze()  # as `tapeline serve` does
        print(address, flush=True)
        if per_second:
            writer.start()
        teller = asyncio.create_task(tell(hub, 0.2, written))
        await asyncio.to_thread(sys.stdin.read)
        gc.unfreeze()
        teller.cancel()
        stop.set()
        if per_second:
            writer.join()
    store.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
