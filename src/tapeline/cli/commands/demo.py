"""``tapeline demo``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tapeline.cli.invocation import Command, Invocation
from tapeline.clock import SystemClock

if TYPE_CHECKING:
    from tapeline.pipeline import Outputs
    from tapeline.runners.demo import Demo


@click.command(cls=Command)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo",
    show_default=True,
    help="Takes the demo's files; begun anew each time.",
)
@click.option(
    "--edge",
    type=click.FloatRange(0, 0.24),
    default=0.1,
    show_default=True,
    help="Planted share of predictable variance; 0: nothing to find.",
)
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of the simulated market.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds of the market in one.",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), help="How long to run live; until Ctrl-C on a screen, else 60."
)
@click.pass_obj
def command(invocation: Invocation, folder: Path, edge: float, seed: int, speed: float, seconds: float | None) -> int:
    """Show the whole job on a simulated market.

    History is recorded and imported, models are trained, the gate decides, and predictions are made live and scored.
    """
    from tapeline.cli.commands.replay import show
    from tapeline.config import load_settings
    from tapeline.features import FeatureSet
    from tapeline.runners.demo import TIMEFRAME, Demo, Plan
    from tapeline.runners.replay import paced
    from tapeline.runners.terminal import View
    from tapeline.stores.duckdb import DuckDBStore

    clock = SystemClock()
    db = _fresh(folder)
    settings = load_settings(db=db, runs=folder / "runs")
    store = DuckDBStore(db)
    demo = Demo(Plan(seed=seed, edge=edge), store, settings, folder, clock=clock)
    try:
        _prepare(invocation, demo, edge)
        click.echo(
            f"live, SIMULATED, at {speed:g} times its speed; Ctrl-C ends it and keeps what was committed", err=True
        )
        view = View(demo.instrument, TIMEFRAME, FeatureSet.load("technical").names, clock=clock)
        steps = demo.live(lambda records: paced(records, speed=speed, clock=clock, wait=clock.wait))
        trades = show(invocation, view, _until(steps, _end(seconds), clock))
    except KeyboardInterrupt:
        trades = 0
    finally:
        store.close()
    print(f"{f'{trades:,} trades came live; ' if trades else ''}everything is in {db}")
    print(f"prove it:   tapeline verify --db {db}")
    print(f"look at it: tapeline candles {demo.instrument} --db {db} --limit 5")
    return 0


def _fresh(folder: Path) -> Path:
    """Return the path of a database that does not exist yet, in a folder that does."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("tapeline.duckdb*"):
        file.unlink()
    return folder / "tapeline.duckdb"


def _prepare(invocation: Invocation, demo: Demo, edge: float) -> None:
    """Record, import and train, telling each step."""
    from tapeline.cli.commands.train import print_run

    planted = f"with a planted edge of {edge:.0%} of the variance" if edge else "without any edge"
    click.echo(f"SIMULATED market {demo.instrument}, {planted}: everything below is made up", err=True)
    with invocation.progress() as meter:
        click.echo("1 recording its history", err=True)
        file = demo.record()
        click.echo(f"2 importing {file}", err=True)
        report = demo.load(lambda at: meter(at.what, at.done, at.total))
        click.echo(f"  {report.files[0].new:,} trades, gaps: {len(report.gaps)}", err=True)
        click.echo("3 training, walk-forward, against baselines", err=True)
        run = demo.train(lambda text, done, total: meter("training", done, total))
    print_run(run)


def _end(seconds: float | None) -> float:
    """Return after how many seconds to stop: never on a screen where nobody said."""
    from rich.console import Console

    if seconds is not None:
        return seconds
    return float("inf") if Console(stderr=True).is_terminal else 60.0


def _until(steps: Iterator[Outputs], seconds: float, clock: SystemClock) -> Iterator[Outputs]:
    begun = clock.now()
    return itertools.takewhile(lambda _: (clock.now() - begun) / 1e9 <= seconds, steps)
