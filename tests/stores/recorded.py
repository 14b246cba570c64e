"""Trades for the tests of stores: recorded ones as tables, and a synthetic tape."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from tapeline.stores.base import KINDS

TRADES = KINDS["trades"].schema
MS = 1_000_000


def binance_trades(path: Path, instrument: str) -> pa.Table:
    """Read the trades among the lines `<receive ns> <combined-stream frame>`."""
    rows = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            received, _, raw = line.partition(" ")
            data = json.loads(raw).get("data", {})
            if data.get("e") == "trade":
                side = -1 if data["m"] else 1
                price, qty = float(data["p"]), float(data["q"])
                rows.append((instrument, data["t"], data["T"] * MS, int(received), price, qty, side, 1))
    return pa.table(dict(zip(TRADES.names, zip(*rows, strict=True), strict=True)), TRADES)


def recordings(shared: Path) -> list[pa.Table]:
    folder = shared / "data" / "hftbacktest-binance"
    return [
        binance_trades(folder / "spot_btcusdt_20240808.gz", "BTC-USDT.BINANCE"),
        binance_trades(folder / "spot_btcusdt_20240809.gz", "BTC-USDT.BINANCE"),
        binance_trades(folder / "usdm_ethusdt_20240808.gz", "ETH-USDT-PERP.BINANCE"),
    ]


def synthetic(count: int, *, seed: int = 1, instrument: str = "BTC-USD.SIM") -> pa.Table:
    """Make a random walk of prices in cents, sizes in 1e-5, times in ms, ids from 0 on."""
    rng = np.random.default_rng(seed)
    stamps = 1_700_000_000_000_000_000 + np.cumsum(rng.integers(0, 200, count)) * MS
    columns = {
        "instrument": pa.repeat(instrument, count),
        "trade_id": np.arange(count),
        "ts_event": stamps,
        "ts_init": stamps,
        "price": np.round(60_000 + np.cumsum(rng.normal(0, 1, count)), 2),
        "qty": np.round(rng.exponential(0.1, count) + 1e-5, 5),
        "side": (rng.integers(0, 2, count) * 2 - 1).astype(np.int8),
        "count": np.ones(count, np.int32),
    }
    return pa.table(columns, schema=TRADES)


def instrument_row(instrument: str, *, contiguous: bool) -> pa.Table:
    row = {"instrument": instrument, "venue": "SIM", "id_kind": "venue", "contiguous": contiguous, "first_seen": 0}
    return pa.Table.from_pylist([row], KINDS["instruments"].schema)
