"""Charts of candles as Plotly JSON (``data`` and ``layout``), made without Plotly itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapeline import wire
from tapeline.api.reads import SIMULATED
from tapeline.query import CandleRows
from tapeline.types import venue_of

Figure = dict[str, Any]
_UP, _DOWN = "#1a9e6a", "#d1495b"


def candlestick(found: CandleRows) -> Figure:
    """Return candles; those that are not complete are named in their hover text."""
    records = found.records
    trace = {
        "type": "candlestick",
        "name": found.instrument,
        "x": _x(found),
        **{name: records[name].tolist() for name in ("open", "high", "low", "close")},
        "text": ["" if complete else "incomplete" for complete in records["complete"].tolist()],
        "increasing": {"line": {"color": _UP}},
        "decreasing": {"line": {"color": _DOWN}},
    }
    made = _figure([trace], [found], f"{found.instrument} {found.timeframe}", "price")
    made["layout"]["xaxis"]["rangeslider"] = {"visible": False}
    return made


def price_line(found: CandleRows) -> Figure:
    """Return the closes as a line."""
    return _figure([_line(found, found.records["close"].tolist())], [found], f"{found.instrument} close", "price")


def volume(found: CandleRows) -> Figure:
    """Return the volumes as bars."""
    trace = {"type": "bar", "name": found.instrument, "x": _x(found), "y": found.records["volume"].tolist()}
    return _figure([trace], [found], f"{found.instrument} volume", "volume (base)")


def volatility(found: CandleRows, values: Sequence[float], measure: str) -> Figure:
    """Return volatilities as a line; unknown ones are gaps in it."""
    return _figure([_line(found, list(values))], [found], f"{found.instrument} volatility: {measure}", "volatility")


def multi_symbol(found: Sequence[CandleRows]) -> Figure:
    """Return the change of several instruments since the first candle of each, in percent."""
    traces = []
    for one in found:
        closes = one.records["close"]
        changes = ((closes / closes[0] - 1) * 100).tolist() if len(closes) else []
        traces.append(_line(one, changes))
    return _figure(traces, found, "change since the first bar", "%")


def _x(found: CandleRows) -> list[str]:
    return wire.times(found.records["open_time"])


def _line(found: CandleRows, values: list[float]) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines", "name": found.instrument, "x": _x(found), "y": values}


def _figure(traces: list[dict[str, Any]], of: Sequence[CandleRows], title: str, unit: str) -> Figure:
    """Return a figure; SIMULATED stands in its title where data is."""
    simulated = any(venue_of(one.instrument) == SIMULATED for one in of)
    layout = {
        "title": {"text": f"SIMULATED {title}" if simulated else title},
        "xaxis": {"type": "date", "title": {"text": "UTC"}},
        "yaxis": {"title": {"text": unit}},
    }
    return {"data": traces, "layout": layout}
