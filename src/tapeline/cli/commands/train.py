"""``tapeline train``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation, timeframe_option
from tapeline.clock import SystemClock, parse_duration
from tapeline.errors import UsageError

if TYPE_CHECKING:
    from tapeline.runs import Run


def horizon(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Read a horizon such as ``5m``.

    Raises:
        UsageError: it is no length of time > 0.
    """
    try:
        return None if text is None else parse_duration(text)
    except UsageError as error:
        raise UsageError("--horizon", "cannot be read", expected=str(error.expected), was=text) from error


@click.command(cls=Command)
@click.argument("instrument")
@timeframe_option
@click.option("--horizon", callback=horizon, default="5m", show_default=True, help="How far ahead, in time.")
@click.option("--set", "feature_set", default="technical", show_default=True, help="Feature set, or a TOML file.")
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Candidates only; several allowed. Default: all."
)
@click.option("--target", type=click.Choice(["return", "direction"]), default="return", help="Whose champion is named.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of all randomness.")
@click.pass_obj
def command(
    invocation: Invocation,
    instrument: str,
    timeframe: str,
    horizon: int,
    feature_set: str,
    models: tuple[str, ...],
    target: str,
    seed: int,
) -> int:
    """Train models walk-forward, and let the gate decide.

    A model is promoted only if it beats every baseline out of sample. Baselines always run.
    "No edge found" is a result.
    """
    from tapeline.cli.output import write_json
    from tapeline.runs import train_instrument
    from tapeline.train import TrainSettings

    with invocation.store(read_only=False) as store, invocation.progress() as meter:
        run = train_instrument(
            store,
            invocation.settings,
            instrument,
            timeframe=timeframe,
            horizon=horizon,
            feature_set=feature_set,
            asked=TrainSettings(models=models or None, main_target=target, seed=seed),
            clock=SystemClock(),
            progress=lambda text, done, total: meter("training", done, total),
        )
    if invocation.json:
        write_json(run.training.report | {"folder": str(run.folder)})
    else:
        print_run(run)
    invocation.note(f"next: tapeline predict {instrument}")
    return 0


def print_run(run: Run) -> None:
    """Print what a run found, for a person."""
    report = run.training.report
    print(f"{report['instrument']}: {report['timeframe']} candles, {report['horizon']} ahead, {report['rows']:,} rows")
    for reason, count in report["excluded"].items():
        print(f"  {count:,} left out: {reason}")
    for target, found in report["targets"].items():
        metric = found["metric"]
        shown = [row for row in report["models"] if row["target"] == target and row["metric"] == metric]
        base = next(row["value"] for row in shown if row["model"] == row["baseline"])
        print(f"\n{target}: {metric} against the best baseline, {shown[0]['baseline']} (+ is better)")
        for row in sorted(shown, key=lambda row: -row["difference"]):
            print(f"  {row['model']:<16} {_share(row, base)}")
        print(f"  champion: {found['champion']}. {found['reason']}")
        print(f"  {found['trading']['text']}")
        if found["coverage"] is not None:
            print(f"  {found['coverage']:.0%} of outcomes were inside its {found['coverage_asked']:.0%} interval")
    for target, why in report["not_evaluated"].items():
        print(f"\n{target}: not evaluated: {why}")
    print(f"\nrun {report['run']} in {run.folder}")


def _share(row: dict[str, Any], base: float) -> str:
    if row["model"] == row["baseline"]:
        return "the best baseline"
    value, low, high = (100 * row[name] / abs(base) for name in ("difference", "difference_low", "difference_high"))
    return f"{value:+8.3f} %  [{low:+.3f}, {high:+.3f}]"
