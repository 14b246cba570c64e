"""What a terminal shows of a running process: venues and their state, instruments, and one of them in detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tapeline.clock import Clock
from tapeline.hub import Committed
from tapeline.runners.terminal import View

_COLOURS = {"live": "green", "healing": "cyan", "connecting": "yellow", "subscribing": "yellow"}


class LiveView:
    """Show a process.

    Args:
        timeframe: of the candles and predictions in detail.
        names: columns of the feature set ``technical``.
        clock: tells the present.
    """

    def __init__(self, timeframe: str, names: Sequence[str], *, clock: Clock) -> None:
        self.address = ""
        """Where its page is served."""
        self._timeframe = timeframe
        self._names = names
        self._clock = clock
        self._views: dict[str, View] = {}
        self._status: Mapping[str, Any] = {}

    def take(self, committed: Committed) -> list[str]:
        """Take what was committed, and return a line per candle that closed."""
        name = committed.instrument
        if name not in self._views:
            self._views[name] = View(name, self._timeframe, self._names, clock=self._clock)
        return self._views[name].take(committed.outputs)

    def set_status(self, status: Mapping[str, Any]) -> None:
        """Take the state of the process, as the API gives it."""
        self._status = status

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [self._head(), self._venues(), self._instruments()]
        busiest = max(self._views.values(), key=lambda view: view.trades, default=None)
        return Group(*parts, *([busiest] if busiest else [Text("waiting for the first trade", style="dim")]))

    def _head(self) -> Text:
        mark = Text(" SIMULATED ", style="bold black on yellow") if self._status.get("simulated") else Text("")
        health = str(self._status.get("health", "starting"))
        colour = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}.get(health, "dim")
        reasons = ", ".join(self._status.get("reasons", ()))
        memory = self._status.get("memory_bytes")
        used = f"  {memory / 1e6:,.0f} MB" if memory else ""
        rest = f"  {reasons}{self._lag()}{used}  "
        return Text.assemble(mark, " ", (health, colour), rest, (self.address, "bold underline"))

    def _lag(self) -> str:
        """Return how long trades take from the socket to what is stored."""
        total = self._status.get("latency_ms", {}).get("total", {})
        if total.get("p50") is None:
            return "  lag unknown"
        return f"  lag {total['p50']:,.1f} ms, 99 % below {total['p99']:,.1f} ms"

    def _venues(self) -> Table:
        table = _table("venue", "feed", "state", "trades", "connects", "healed", "lost for ever", "ahead of us", "")
        for venue in self._status.get("venues", ()):
            state = str(venue["state"])
            skew = venue.get("skew_ms")
            table.add_row(
                venue["venue"],
                venue["feed"],
                Text(state, style=_COLOURS.get(state, "red")),
                f"{venue['trades']:,}",
                str(venue["connects"]),
                f"{venue['healed']:,}",
                f"{venue['unhealable']:,}",
                "unknown" if skew is None else f"{skew:+.0f} ms",
                "; ".join([venue["reason"], *(f"{one}: {why}" for one, why in venue["refused"].items())]).strip("; "),
            )
        return table

    def _instruments(self) -> Table:
        table = _table("instrument", "price", "trades/s", "held back", "gaps open", "healed", "lost", "late", "refused")
        for one in self._status.get("instruments", ()):
            gaps, price = one["gaps"], one.get("price")
            table.add_row(
                one["instrument"],
                "unknown" if price is None else f"{price:.10g}",
                "unknown" if one["trades_per_second"] is None else f"{one['trades_per_second']:,.1f}",
                f"{one['pending']:,}",
                *(f"{gaps[status]:,}" for status in ("open", "healed", "unhealable")),
                f"{one['late']:,}",
                f"{one['dead_letters']:,}",
            )
        return table


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for place, name in enumerate(names):
        table.add_column(name, justify="left" if place == 0 or not name else "right")
    return table
