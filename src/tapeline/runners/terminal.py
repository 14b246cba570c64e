"""The terminal view: candles, indicators, predictions and their score as they come."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tapeline.clock import Clock, format_time
from tapeline.pipeline import Outputs
from tapeline.runners.score import Score, Scored
from tapeline.types import Prediction, venue_of

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 8
_INDICATORS = ("rsi_14", "sma_21", "ema_21", "macd_7_14_7_histogram", "adx_14")


class View:
    """What a terminal shows of one instrument.

    Args:
        instrument: whose.
        timeframe: of the candles and predictions shown.
        names: columns of the feature set ``technical``.
        clock: tells the present, for rates.
    """

    def __init__(self, instrument: str, timeframe: str, names: Sequence[str], *, clock: Clock) -> None:
        self.instrument = instrument
        self.timeframe = timeframe
        self.score = Score()
        self._names = list(names)
        self._clock = clock
        self._candles: deque[dict[str, float]] = deque(maxlen=60)
        self._features: dict[str, float] = {}
        self._begun = clock.now()
        self.trades = 0
        self._ts = 0
        self._model = "no model yet"

    @property
    def simulated(self) -> bool:
        """Return whether these are not real trades."""
        return venue_of(self.instrument) == "SIM"

    def take(self, outputs: Outputs) -> list[str]:
        """Take what one record gave, and return a line per candle that closed, for a screen that cannot be redrawn."""
        for run in outputs.admission.released:
            self.trades += len(run.frame)
            self._ts = int(run.frame.ts_event[-1])
        candles = outputs.candles.get(self.timeframe)
        if candles is None:
            return []
        self._candles += [{name: candle[name].item() for name in candle.dtype.names} for candle in candles]
        rows = outputs.features.get((self.timeframe, "technical"))
        if rows is not None and len(rows):
            self._features = dict(zip(self._names, rows.values[-1].tolist(), strict=True))
        predictions = [one for one in outputs.predictions if one.timeframe == self.timeframe]
        self.score.expect(predictions)
        self.score.close(candles)
        if predictions:
            self._model = f"{predictions[-1].model} ({predictions[-1].model_version})"
        return [self._line(candle) for candle in list(self._candles)[-len(candles) :]]

    def _line(self, candle: dict[str, float]) -> str:
        mark = "SIMULATED " if self.simulated else ""
        text = f"{mark}{self.instrument} {self.timeframe} {format_time(int(candle['open_time']))}"
        text += f"  close {candle['close']:.10g}  volume {candle['volume']:.6g}  trades {int(candle['trades'])}"
        newest = max(self.score.open.values(), key=lambda one: one.as_of, default=None)
        if newest is not None:
            text += f"  {newest.model} says {_bp(newest.value)} bp [{_bp(newest.low)}, {_bp(newest.high)}]"
        return f"{text}  {self._standing()}"

    def _standing(self) -> str:
        if not self.score.count:
            return "no outcome known yet"
        side = "below" if self.score.saved >= 0 else "above"
        return f"error {abs(self.score.saved):.2%} {side} that of 'the price stays' over {self.score.count} outcomes"

    def __rich__(self) -> RenderableType:
        rate = self.trades / max((self._clock.now() - self._begun) / 1e9, 1e-9)
        title = f"{self.instrument}  {format_time(self._ts)}  {self.trades:,} trades, {rate:,.0f} a second"
        mark = Text(" SIMULATED ", style="bold black on yellow") if self.simulated else Text("")
        body = Group(Text(self._spark(), style="cyan"), self._candle_table(), self._feature_line(), self._predictions())
        return Panel(body, title=Text.assemble(mark, " ", title), title_align="left", padding=(1, 2))

    def _spark(self) -> str:
        closes = [candle["close"] for candle in self._candles]
        if not closes:
            return f"waiting for the first {self.timeframe} candle"
        low, high = min(closes), max(closes)
        scale = (len(_BARS) - 1) / (high - low) if high > low else 0
        return "".join(_BARS[round((close - low) * scale)] for close in closes) + f"  {low:.10g} to {high:.10g}"

    def _candle_table(self) -> Table:
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for name in (f"{self.timeframe} candle", "open", "high", "low", "close", "volume", "trades", "buy share", ""):
            table.add_column(name, justify="left" if name.endswith("candle") else "right")
        for candle in list(self._candles)[-_SHOWN:]:
            up = candle["close"] >= candle["open"]
            share = candle["buy_volume"] / candle["volume"] if candle["volume"] else math.nan
            table.add_row(
                format_time(int(candle["open_time"])),
                *(f"{candle[name]:.10g}" for name in ("open", "high", "low")),
                Text(f"{candle['close']:.10g}", style="green" if up else "red"),
                f"{candle['volume']:.4f}",
                f"{int(candle['trades'])}",
                "unknown" if math.isnan(share) else f"{share:.0%}",
                "" if candle["complete"] else Text("incomplete", style="yellow"),
            )
        return table

    def _feature_line(self) -> Text:
        shown = [f"{name} {self._features[name]:.6g}" for name in _INDICATORS if name in self._features]
        warming = bool(self._features) and any(math.isnan(self._features.get(name, 0.0)) for name in _INDICATORS)
        text = "   ".join(shown).replace("nan", "warming up") if shown else "indicators: waiting for candles"
        return Text(f"\n{text}\n", style="dim" if warming else "")

    def _predictions(self) -> Table:
        table = Table(box=None, padding=(0, 2), header_style="dim", title=self._title(), title_justify="left")
        for name in ("made for", "says (bp)", "interval (bp)", "p(up)", "came (bp)", ""):
            table.add_column(name, justify="right")
        for scored in self.score.newest[-5:]:
            table.add_row(*_scored_row(scored))
        for waiting in sorted(self.score.open.values(), key=lambda one: one.target_time)[-3:]:
            table.add_row(*_row(waiting), Text("waiting", style="dim"), "")
        return table

    def _title(self) -> Text:
        known = self.score.count
        inside = f", {self.score.inside / known:.0%} inside the interval" if known else ""
        hits = f", direction right {self.score.hits / self.score.calls:.0%}" if self.score.calls else ""
        return Text(f"{self._model}: {self._standing()}{hits}{inside}", style="bold")


def _row(prediction: Prediction) -> list[str]:
    up = "unknown" if math.isnan(prediction.p_up) else f"{prediction.p_up:.0%}"
    interval = f"{_bp(prediction.low)} to {_bp(prediction.high)}"
    return [format_time(prediction.target_time), _bp(prediction.value), interval, up]


def _scored_row(scored: Scored) -> list[RenderableType]:
    mark = Text("inside", style="green") if scored.inside else Text("outside", style="red")
    return [*_row(scored.prediction), _bp(scored.outcome), mark]


def _bp(value: float) -> str:
    return f"{value * 1e4:+.2f}"


def live(console: Console) -> bool:
    """Return whether the screen can be redrawn."""
    return console.is_terminal and not console.is_dumb_terminal
