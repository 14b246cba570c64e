"""A day of an instrument as a Plotly figure: candles, indicators, volume, predictions and their error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapeline import wire
from tapeline.api import figures
from tapeline.api.day import Day
from tapeline.clock import format_duration, format_time
from tapeline.types import Float, Prediction

Trace = dict[str, Any]
PRICE, VOLUME, INDICATORS, ERRORS = "y", "y2", "y3", "y4"
_DOMAINS = {PRICE: (0.5, 1.0), VOLUME: (0.38, 0.48), INDICATORS: (0.19, 0.35), ERRORS: (0.0, 0.15)}
_GAP, _INCOMPLETE = "rgba(209,73,91,0.35)", "rgba(130,140,150,0.3)"
_SAID, _CAME, _BASELINE = "#2f6fdb", "#e08e0b", "#808a94"
_MOST_ON_PRICE = 0.5
"""An indicator is drawn over the price where its values stay within this share of it."""


def figure(day: Day) -> figures.Figure:
    """Return the day: price with indicators and predictions, volume, other indicators, and the error."""
    candles = figures.candlestick(day.candles)["data"][0]
    volume = figures.volume(day.candles)["data"][0] | {"name": "volume", "marker": {"color": "rgba(110,125,140,0.5)"}}
    traces = [_on(candles, PRICE), _on(volume, VOLUME), *_indicators(day), *_predictions(day), *_errors(day)]
    return {"data": traces, "layout": _layout(day)}


def _on(trace: Trace, axis: str) -> Trace:
    return {**trace, "yaxis": axis, "xaxis": "x"}


def _line(name: str, x: list[str], y: list[Any], axis: str, **more: Any) -> Trace:
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "yaxis": axis, **more}


def _indicators(day: Day) -> list[Trace]:
    """Return a line for each indicator; but the first of each pane is hidden until it is chosen in the legend."""
    close = float(np.nanmedian(day.candles.records["close"]))
    made: list[Trace] = []
    taken: set[str] = set()
    for name, found in day.features.items():
        x = wire.times(found.rows.as_of)
        for index, column in enumerate(found.features.names):
            values = found.rows.values[:, index]
            if column in {"open", "high", "low", "close", "volume"} or np.isnan(values).all():
                continue
            axis = PRICE if _like_price(values, close) else INDICATORS
            shown = {} if axis not in taken else {"visible": "legendonly"}
            taken.add(axis)
            made.append(
                _line(column, x, _known(values), axis, legendgroup=name, legendgrouptitle={"text": name}, **shown)
            )
    return made


def _like_price(values: Float, close: float) -> bool:
    return bool(np.nanmax(np.abs(values / close - 1)) < _MOST_ON_PRICE)


def _known(values: Float) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _predictions(day: Day) -> list[Trace]:
    """Return each prediction at its target time: what was said with its interval, coloured by what came."""
    if not day.predictions:
        return []
    said = [one for one, _ in day.predictions]
    x = wire.times(np.array([one.target_time for one in said]))
    price = [one.close * float(np.exp(one.value)) for one in said]
    high = [one.close * float(np.exp(one.high)) - at for one, at in zip(said, price, strict=True)]
    low = [at - one.close * float(np.exp(one.low)) for one, at in zip(said, price, strict=True)]
    inside = [np.isnan(came) or one.low <= came <= one.high for one, came in day.predictions]
    bars = {"type": "data", "symmetric": False, "array": _known(np.array(high)), "arrayminus": _known(np.array(low))}
    look = {"color": [_SAID if one else _CAME for one in inside], "size": 4}
    text = [_told(one, came) for one, came in day.predictions]
    return [
        {
            **_line("prediction at its target (orange: outside its interval)", x, _known(np.array(price)), PRICE),
            "mode": "markers",
            "marker": look,
            "error_y": {**bars, "color": "rgba(47,111,219,0.25)", "thickness": 1, "width": 0},
            "text": text,
        }
    ]


def _told(one: Prediction, came: float) -> str:
    outcome = "outcome unknown" if np.isnan(came) else f"came {1e4 * came:+.2f} bp"
    return f"{one.model} {one.model_version[:8]}: said {1e4 * one.value:+.2f} bp, {outcome}"


def _errors(day: Day) -> list[Trace]:
    """Return by horizon the running mean absolute error, beside that of saying that the price stays."""
    made: list[Trace] = []
    for horizon in sorted({one.horizon for one, _ in day.predictions}):
        scored = [(one, came) for one, came in day.predictions if one.horizon == horizon and not np.isnan(came)]
        if not scored:
            continue
        x = wire.times(np.array([one.target_time for one, _ in scored]))
        count = np.arange(1, len(scored) + 1)
        ours = np.cumsum([abs(one.value - came) for one, came in scored]) / count
        base = np.cumsum([abs(came) for _, came in scored]) / count
        ahead = format_duration(horizon)
        made.append(_line(f"error, {ahead} ahead", x, _known(1e4 * ours), ERRORS, line={"color": _SAID}))
        style = {"color": _BASELINE, "dash": "dash"}
        made.append(_line(f"error of “the price stays”, {ahead}", x, _known(1e4 * base), ERRORS, line=style))
    return made


def _layout(day: Day) -> dict[str, Any]:
    titles = {PRICE: "price", VOLUME: "volume (base)", INDICATORS: "indicators", ERRORS: "mean error so far (bp)"}
    axes = {
        axis.replace("y", "yaxis"): {"domain": list(domain), "title": {"text": titles[axis]}, "anchor": "x"}
        for axis, domain in _DOMAINS.items()
    }
    return {
        "title": {"text": day.title},
        "xaxis": {"type": "date", "title": {"text": "UTC"}, "anchor": ERRORS, "rangeslider": {"visible": False}},
        **axes,
        "shapes": [*_bands(_incomplete(day), _INCOMPLETE), *_bands([gap[:2] for gap in day.gaps], _GAP)],
        "annotations": [_note(*gap) for gap in day.gaps],
        "hovermode": "x",
        "template": "none",
        "margin": {"l": 80, "r": 20, "t": 60, "b": 50},
        "height": 1000,
    }


def _incomplete(day: Day) -> list[tuple[int, int]]:
    """Return the spans of candles in a row that are not complete."""
    spans: list[tuple[int, int]] = []
    for row in day.candles.records[~day.candles.records["complete"]]:
        begun, ended = int(row["open_time"]), int(row["close_time"])
        if spans and spans[-1][1] == begun:
            spans[-1] = (spans[-1][0], ended)
        else:
            spans.append((begun, ended))
    return spans


def _bands(spans: Sequence[tuple[int, int]], colour: str) -> list[dict[str, Any]]:
    line = {"width": 1, "color": colour}
    look = {"type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "fillcolor": colour, "line": line}
    return [{**look, "layer": "below", "x0": format_time(a), "x1": format_time(b)} for a, b in spans]


def _note(begun: int, ended: int, text: str) -> dict[str, Any]:
    middle = format_time((begun + ended) // 2)
    return {"x": middle, "xref": "x", "y": 1, "yref": "paper", "text": text, "showarrow": False, "yanchor": "bottom"}
