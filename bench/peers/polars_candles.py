"""Candles by Polars: a lazy scan of the plain file, all cores, every timeframe from the trades, in one collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tapeline.types import Float

COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume", "vwap", "trades", "buy_volume", "realized_vol")
_PREVIOUS_CLOSE = ("open", "high", "low", "close")


def candles(file: Path, sizes: Sequence[int]) -> dict[int, dict[str, Float]]:
    """Return per window size (ns) the columns of all its candles; the order of the file is trusted."""
    trades = pl.scan_parquet(file).set_sorted("ts_event")
    trades = trades.with_columns(
        quote=pl.col("price") * pl.col("qty"),
        bought=pl.when(pl.col("side") > 0).then(pl.col("qty")).otherwise(0.0),
        squared=(pl.col("price") / pl.col("price").shift()).log().pow(2),
    )
    frames = pl.collect_all([_grouped(trades, size) for size in sizes])
    return {size: _filled(frame, size) for size, frame in zip(sizes, frames, strict=True)}


def _grouped(trades: pl.LazyFrame, size: int) -> pl.LazyFrame:
    price, qty = pl.col("price"), pl.col("qty")
    return trades.group_by_dynamic("ts_event", every=f"{size}i").agg(
        open=price.first(),
        high=price.max(),
        low=price.min(),
        close=price.last(),
        volume=qty.sum(),
        quote_volume=pl.col("quote").sum(),
        trades=pl.col("count").sum(),
        buy_volume=pl.col("bought").sum(),
        variance=pl.col("squared").slice(1).sum(),
        rows=pl.len(),
    )


def _filled(frame: pl.DataFrame, size: int) -> dict[str, Float]:
    """Add the candles of quiet periods, and the columns that follow from the others."""
    times = frame["ts_event"]
    grid = pl.DataFrame({"ts_event": np.arange(times[0], times[-1] + size, size)})
    full = grid.join(frame, on="ts_event", how="left", maintain_order="left").with_columns(
        pl.col("close").forward_fill()
    )
    full = full.with_columns(
        *(pl.col(name).fill_null(pl.col("close")) for name in _PREVIOUS_CLOSE[:3]),
        *(pl.col(name).fill_null(0) for name in ("volume", "quote_volume", "trades", "buy_volume", "rows")),
    )
    full = full.with_columns(
        vwap=pl.col("quote_volume") / pl.col("volume"),
        realized_vol=pl.when(pl.col("rows") > 1).then(pl.col("variance").sqrt()).otherwise(float("nan")),
    )
    return {name: full[name].cast(pl.Float64).to_numpy() for name in ("ts_event", *COLUMNS)}
