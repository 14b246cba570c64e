"""Kraken's REST call ``OHLC``: the last 720 closed candles and the running one, with flat ones for quiet periods.

Source: docs.kraken.com, rest-api/get-ohlc-data: the running candle is always there, whatever ``since`` says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tapeline.clock import MINUTE, SECOND
from tapeline.simulator.tape import Tape, decimal_texts
from tapeline.simulator.venues._bars import Bar, bars

INTERVALS = ("1", "5", "15", "30", "60", "240", "1440", "10080", "21600")
"""Minutes."""
_CLOSED = 720


def ohlc(full: str, tape: Tape, interval: str, since: int, now: int) -> bytes:
    """Return the candles of a pair, of one of the ``INTERVALS``, that begin after ``since`` (ns)."""
    size = int(interval) * MINUTE
    running = now // size * size
    oldest = running - _CLOSED * size
    begin = tape.at_time(oldest)
    found = bars(tape.rows(begin, tape.at_time(now + 1)), size)
    before = [_quiet(oldest - size, price) for price in tape.rows(begin - 1, begin).price.tolist()]
    made = _without_holes([*before, *found], running, size)[len(before) :]
    shown = [bar for bar in made if bar.open_time > since or bar.open_time == running]
    closed = running // SECOND - size // SECOND
    return b'{"%b":[%b],"last":%d}' % (full.encode(), _rows(tape, shown).encode(), closed)


def _without_holes(found: Sequence[Bar], running: int, size: int) -> list[Bar]:
    """Return bars up to the running one; where nothing was traded the last close stands."""
    made: list[Bar] = []
    for bar in [*found, _quiet(running + size, 0.0)]:
        while made and made[-1].open_time + size < bar.open_time:
            made.append(_quiet(made[-1].open_time + size, made[-1].close))
        made.append(bar)
    return made[:-1]


def _quiet(open_time: int, price: float) -> Bar:
    return Bar(open_time, price, price, price, price, 0.0, 0.0, 0, 0.0, 0.0)


def _rows(tape: Tape, found: Sequence[Bar]) -> str:
    prices, qtys = tape.listing.price_decimals, tape.listing.qty_decimals
    shown = [(*bar[1:5], bar.quote_volume / bar.volume if bar.volume else 0.0) for bar in found]
    columns = [decimal_texts(column, prices) for column in np.array(shown).reshape(-1, 5).T]
    volumes = decimal_texts(np.array([bar.volume for bar in found]), None if qtys is None else max(qtys, 8))
    return ",".join(
        f'[{bar.open_time // SECOND},"{opened}","{high}","{low}","{close}","{vwap}","{volume}",{bar.trades}]'
        for bar, opened, high, low, close, vwap, volume in zip(found, *columns, volumes, strict=True)
    )
