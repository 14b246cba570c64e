"""Candles as the venues' REST gives them, straight from the true tape; none of our folds has a part in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tapeline.types import Frame


class Bar(NamedTuple):
    """What was traded in [open_time, open_time + size); the times are ns UTC."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    buy_volume: float
    buy_quote_volume: float


def bars(frame: Frame, size: int) -> list[Bar]:
    """Return the bars of ``size`` ns in which there were trades, oldest first.

    >>> bars(Frame.of("A.SIM", trade_id=[1, 2, 3], ts_event=[0, 5, 25], price=[4, 2, 3], qty=[1, 1, 2]), 10)[0][:6]
    (0, 4.0, 4.0, 2.0, 2.0, 2.0)
    """
    if not len(frame):
        return []
    rows = frame.take(np.lexsort((frame.trade_id, frame.ts_event)))
    opened, starts, trades = np.unique(rows.ts_event // size, return_index=True, return_counts=True)
    bought = np.where(rows.side > 0, rows.qty, 0.0)
    columns = (
        opened * size,
        rows.price[starts],
        np.maximum.reduceat(rows.price, starts),
        np.minimum.reduceat(rows.price, starts),
        rows.price[starts + trades - 1],
        np.add.reduceat(rows.qty, starts),
        np.add.reduceat(rows.qty * rows.price, starts),
        trades,
        np.add.reduceat(bought, starts),
        np.add.reduceat(bought * rows.price, starts),
    )
    return [Bar(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
