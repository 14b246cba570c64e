"""``/api/...`` of the reference systems: symbols, bars, volatility, and charts as Plotly JSON.

Their ``timestamp`` is our ``open_time``; ``end_date`` as a date alone means the whole of that day.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response

from tapeline import query
from tapeline.api import figures
from tapeline.api.answers import answer, told
from tapeline.api.context import Context, context
from tapeline.api.params import MOST_ROWS, Time, TimeframeName, instant, known_parameters
from tapeline.api.problems import NotReady
from tapeline.api.symbols import held, instrument_of
from tapeline.clock import DAY, format_time
from tapeline.config import Settings
from tapeline.errors import UsageError
from tapeline.query import CandleRows
from tapeline.stores._duckdb_reader import Reader

router = APIRouter(prefix="/api", tags=["reference"], dependencies=[Depends(known_parameters)])

Shared = Annotated[Context, Depends(context)]
Symbol = Annotated[str, Query(min_length=1, max_length=64, description="BTCUSD, BTC-USD or BTC-USD.SIM.")]
Symbols = Annotated[str, Query(min_length=1, max_length=400, description="Symbols, with commas between; 10 at most.")]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Answer = dict[str, Any]
_BARS = ("open", "high", "low", "close", "volume")
_ROLLING = 20
_DATE = 10


def bars(
    reader: Reader, settings: Settings, symbol: str, timeframe: str, limit: int, span: tuple[int | None, int | None]
) -> CandleRows:
    """Return the last candles of a symbol."""
    name = instrument_of(symbol, held(reader))
    return query.candles(reader, settings, name, timeframe, *span, limit)


def days(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Return the span that two dates mean: with a date alone as end, up to the end of that day.

    Raises:
        UsageError: the end is before the start.
    """
    first, last = instant(start, "start_date"), instant(end, "end_date")
    if last is not None and end is not None and len(end) == _DATE:
        last += DAY
    if first is not None and last is not None and first >= last:
        raise UsageError("end_date", "is before start_date", expected=f"{start} or later", was=end)
    return first, last


def bar_rows(found: CandleRows, symbol: str) -> list[Answer]:
    """Return candles in the shape of the reference system."""
    return [
        {"timestamp": format_time(int(row["open_time"])), "timestamp_ms": int(row["open_time"]) // 1_000_000}
        | {name: float(row[name]) for name in _BARS}
        | {"symbol": symbol}
        for row in found.records
    ]


def volatility_of(found: CandleRows) -> tuple[list[float], str]:
    """Return the volatility of each candle and how it was measured.

    From the trades inside a candle: the root of the sum of their squared log returns. Where only candles are known:
    the standard deviation of the last 20 log returns of the close; NaN until there are that many.
    """
    if found.source == "trades":
        values: list[float] = found.records["realized_vol"].tolist()
        return values, "root of the sum of squared log returns between the trades of each bar"
    returns = np.diff(np.log(found.records["close"]))
    rolling = [
        float(np.std(returns[at - _ROLLING : at], ddof=1)) if at >= _ROLLING else math.nan
        for at in range(len(found.records))
    ]
    return rolling, f"standard deviation of the last {_ROLLING} log returns of the close"


@router.get("/symbols", **told(Answer, "Symbols", 503))
async def symbols(request: Request) -> Response:
    """List the available symbols."""

    def make(reader: Reader) -> Answer:
        names = sorted(held(reader))
        return {"symbols": names, "count": len(names)}

    return await answer(request, make)


@router.get("/ohlc", **told(Answer, "Bars in order of time", 404, 503))
@router.get("/ohlc/", **told(Answer, "Bars in order of time", 404, 503))
async def ohlc(
    request: Request,
    shared: Shared,
    symbol: Symbol,
    limit: Limit = 100,
    start_date: Time = None,
    end_date: Time = None,
    timeframe: TimeframeName = "1m",
) -> Response:
    """Give the last bars of a symbol."""
    span = days(start_date, end_date)

    def make(reader: Reader) -> Answer:
        rows = bar_rows(bars(reader, shared.settings, symbol, timeframe, limit, span), symbol)
        return {"symbol": symbol, "count": len(rows), "data": rows}

    return await answer(request, make)


@router.get("/ohlc/latest", **told(Answer, "The newest closed bar", 404, 503))
async def latest(request: Request, shared: Shared, symbol: Symbol, timeframe: TimeframeName = "1m") -> Response:
    """Give the newest closed bar of a symbol."""

    def make(reader: Reader) -> Answer:
        rows = bar_rows(bars(reader, shared.settings, symbol, timeframe, 1, (None, None)), symbol)
        if not rows:
            state = {"ready": False, "symbol": symbol, "timeframe": timeframe}
            raise NotReady(f"symbol {symbol}", "has no closed bar yet", state=state, next_step="ask again later")
        return rows[0]

    return await answer(request, make)


@router.get("/volatility", **told(Answer, "Volatility in order of time", 404, 503))
@router.get("/volatility/", **told(Answer, "Volatility in order of time", 404, 503))
async def volatility(
    request: Request,
    shared: Shared,
    symbol: Symbol,
    limit: Limit = 100,
    start_date: Time = None,
    end_date: Time = None,
    timeframe: TimeframeName = "1m",
) -> Response:
    """Give the volatility of the last bars; null where it is unknown."""
    span = days(start_date, end_date)

    def make(reader: Reader) -> Answer:
        found = bars(reader, shared.settings, symbol, timeframe, min(limit + _ROLLING, MOST_ROWS), span)
        values, measure = volatility_of(found)
        rows = [
            {"timestamp": format_time(int(at)), "volatility": value, "symbol": symbol}
            for at, value in zip(found.records["open_time"], values, strict=True)
        ][-limit:]
        return {"symbol": symbol, "count": len(rows), "measure": measure, "data": rows}

    return await answer(request, make)


def _chart(name: str, make: Any) -> None:
    """Add the route of one chart of one symbol."""

    async def chart(
        request: Request, shared: Shared, symbol: Symbol, limit: Limit = 500, timeframe: TimeframeName = "1m"
    ) -> Response:
        return await answer(
            request, lambda reader: make(bars(reader, shared.settings, symbol, timeframe, limit, (None, None)))
        )

    chart.__doc__ = f"Give the chart ``{name}`` of a symbol as Plotly JSON."
    router.get(f"/viz/{name}", name=name, **told(Answer, "A Plotly figure: data and layout", 404, 503))(chart)


_chart("candlestick", figures.candlestick)
_chart("price-line", figures.price_line)
_chart("volume", figures.volume)
_chart("volatility", lambda found: figures.volatility(found, *volatility_of(found)))


@router.get("/viz/multi-symbol", **told(Answer, "A Plotly figure: data and layout", 404, 503))
async def multi_symbol(
    request: Request, shared: Shared, symbols: Symbols, limit: Limit = 500, timeframe: TimeframeName = "1m"
) -> Response:
    """Give the change of several symbols since the first bar shown, as Plotly JSON."""
    names = [name for name in symbols.split(",") if name]
    if not 1 <= len(names) <= 10:
        raise UsageError("symbols", "cannot be used", expected="1 to 10 of them", was=len(names))

    def make(reader: Reader) -> Answer:
        found = [bars(reader, shared.settings, name, timeframe, limit, (None, None)) for name in names]
        return figures.multi_symbol(found)

    return await answer(request, make)
