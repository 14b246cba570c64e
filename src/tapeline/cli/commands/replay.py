"""``tapeline replay``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation
from tapeline.clock import SystemClock
from tapeline.errors import UsageError

if TYPE_CHECKING:
    from tapeline.pipeline import Outputs
    from tapeline.runners.replay import Pace
    from tapeline.runners.terminal import View

_FAST = 0.0


def speed(context: click.Context, parameter: click.Parameter, text: str) -> float:
    """Read a speed: ``max``, or how many seconds of the tape pass in one.

    Raises:
        UsageError: it is neither.
    """
    try:
        value = _FAST if text == "max" else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9 or (value == 0 and text != "max"):
        raise UsageError("--speed", "cannot be read", expected="max or a number > 0", was=text)
    return value


@click.command(cls=Command)
@click.option("--instrument", metavar="I", help="Whose tape; needed where the database holds several.")
@click.option("--speed", callback=speed, default="max", show_default=True, help="Seconds of the tape in one, or max.")
@click.option("--timeframe", default=None, help="Candles to show; the first stored timeframe by default.")
@click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), help="Write into this database; goes on where it stands."
)
@click.pass_obj
def command(
    invocation: Invocation, instrument: str | None, speed: float, timeframe: str | None, to: Path | None
) -> int:
    """Drive the pipeline from the stored tape.

    Watch it at any speed, or build another database from it.
    """
    from contextlib import ExitStack

    from tapeline.runners import replay as runner
    from tapeline.stores.duckdb import DuckDBStore

    clock = SystemClock()
    pace = pacer(speed)
    with ExitStack() as stack:
        store = stack.enter_context(invocation.store())
        tape = _tape(store, instrument)
        view = _view(invocation, tape.instrument, timeframe, clock)
        if to is None:
            steps = runner.replay(store, invocation.settings, tape, pace=pace)
        else:
            target = DuckDBStore(to)
            stack.callback(target.close)
            steps = runner.replay_into(store, target, invocation.settings, tape, clock=clock, pace=pace)
        trades = show(invocation, view, steps, every_candle=speed != _FAST)
    _tell(invocation, tape.instrument, trades, view)
    return 0


def pacer(speed: float) -> Pace | None:
    """Return what holds records back for a speed; None for as fast as possible."""
    from tapeline.runners.replay import paced

    clock = SystemClock()
    return (lambda records: paced(records, speed=speed, clock=clock, wait=clock.wait)) if speed else None


def _tape(store: Any, instrument: str | None) -> Any:
    from tapeline.tape import info, instruments

    if instrument is not None:
        return info(store, instrument)
    held = instruments(store)
    if len(held) != 1:
        names = ", ".join(entry.instrument for entry in held) or "no tape at all"
        raise UsageError("replay", "which tape is not clear", expected="--instrument", was=names)
    return held[0]


def _view(invocation: Invocation, instrument: str, timeframe: str | None, clock: SystemClock) -> View:
    from tapeline.features import FeatureSet
    from tapeline.runners.terminal import View
    from tapeline.types import Timeframe

    stored = invocation.settings.timeframes
    grid = stored[0] if timeframe is None else str(Timeframe.parse(timeframe))
    if grid not in stored:
        step = "add it to TAPELINE_TIMEFRAMES"
        raise UsageError(
            f"timeframe {grid}", "is not stored", expected=f"one of {', '.join(stored)}", was=grid, next_step=step
        )
    names = FeatureSet.load("technical").names if "technical" in invocation.settings.feature_sets else []
    return View(instrument, grid, names, clock=clock)


def show(invocation: Invocation, view: View, steps: Iterator[Outputs], *, every_candle: bool = True) -> int:
    """Show steps as they come, redrawn on a screen or as a line a candle; return how many trades passed."""
    from rich.console import Console
    from rich.live import Live

    from tapeline.runners.terminal import live

    console = Console(stderr=True)
    trades = 0
    if invocation.quiet or not live(console):
        for outputs in steps:
            trades += sum(len(run.frame) for run in outputs.admission.released)
            lines = view.take(outputs)
            for line in lines if every_candle and not invocation.quiet else []:
                click.echo(line, err=True)
        return trades
    with Live(view, console=console, refresh_per_second=8):
        for outputs in steps:
            trades += sum(len(run.frame) for run in outputs.admission.released)
            view.take(outputs)
    return trades


def _tell(invocation: Invocation, instrument: str, trades: int, view: View) -> None:
    from tapeline.cli.output import write_json

    score = view.score
    if invocation.json:
        scored = {"outcomes": score.count, "error": score.error, "baseline": score.baseline}
        write_json({"instrument": instrument, "trades": trades, "score": scored})
    else:
        print(f"{instrument}: {trades:,} trades replayed")
