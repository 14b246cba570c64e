"""A day of an instrument as one HTML file that needs nothing else."""

from __future__ import annotations

from html import escape

import numpy as np

from tapeline.api.day import Day
from tapeline.api.day_figure import figure


def page(day: Day) -> str:
    """Return the day as one HTML file: Plotly itself is in it, and nothing is asked of any network."""
    import plotly.graph_objects
    import plotly.io

    drawn = plotly.graph_objects.Figure(figure(day))
    whole = plotly.io.to_html(drawn, include_plotlyjs=True, full_html=False, config={"displaylogo": False})
    head = f'<meta charset="utf-8"><title>{escape(day.title)}</title>'
    style = "<style>body { font: 14px/1.5 system-ui, sans-serif; margin: 16px; } p { max-width: 80ch; }</style>"
    body = f"{whole}<p>{escape(_summary(day))}</p>"
    return f'<!doctype html><html lang="en"><head>{head}{style}</head><body>{body}</body></html>\n'


def _summary(day: Day) -> str:
    """Return in words what the day is: how whole, and how well was foretold."""
    records = day.candles.records
    known = [(one, came) for one, came in day.predictions if not np.isnan(came)]
    parts = [
        f"{len(records):,} candles, {int((~records['complete']).sum()):,} of them incomplete (grey).",
        f"{len(day.gaps)} gaps that are not healed (red).",
    ]
    if known:
        ours = 1e4 * float(np.mean([abs(one.value - came) for one, came in known]))
        base = 1e4 * float(np.mean([abs(came) for _, came in known]))
        parts.append(f"{len(known):,} predictions with an outcome: mean error {ours:.3f} bp, {base:.3f} bp by saying")
        parts.append("that the price stays. One day proves no edge: see tapeline models for intervals.")
    else:
        parts.append("No prediction of this day has an outcome.")
    return " ".join([*parts, day.candles.note]).strip()
