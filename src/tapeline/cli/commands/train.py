"""``tapeline train``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation, given_options, timeframe_option
from tapeline.clock import SystemClock, parse_duration
from tapeline.errors import UsageError

if TYPE_CHECKING:
    from tapeline.runs import Run

_TARGETS = ["return", "direction", "direction3", "barrier", "volatility", "regime", "trend", "anomaly"]
_SHOWN = 12


def horizon(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Read a horizon such as ``5m``.

    Raises:
        UsageError: it is no length of time > 0.
    """
    try:
        return None if text is None else parse_duration(text)
    except UsageError as error:
        name = f"--{(parameter.name or '').replace('_', '-')}"
        raise UsageError(name, "cannot be read", expected=str(error.expected), was=text) from error


@click.command(cls=Command)
@click.argument("instrument", required=False)
@timeframe_option
@click.option("--horizon", callback=horizon, default="5m", show_default=True, help="How far ahead, in time.")
@click.option(
    "--set", "feature_set", help="Feature set, or a TOML file. Default: market if its inputs are known, else technical."
)
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Candidates only; several allowed. Default: all."
)
@click.option("--target", type=click.Choice(_TARGETS), default="return", help="Whose champion is named.")
@click.option(
    "--objective",
    type=click.Choice(["forecast", "trade"]),
    default="forecast",
    show_default=True,
    help="What must be better: the error, or the earnings after costs.",
)
@click.option("--sweep", is_flag=True, help="Also compare with scikit-learn's ordinary models.")
@click.option("--tune", type=click.IntRange(min=0), default=0, metavar="N", help="Trials per fit of the two best.")
@click.option("--weighted", is_flag=True, help="Rows whose outcomes overlap others share their weight in learning.")
@click.option("--folds", type=click.IntRange(min=1), default=5, show_default=True, help="Expanding folds.")
@click.option("--windows", metavar="A/B/C", help="Rolling instead: training/validation/test, as 60d/14d/7d or shares.")
@click.option("--fee-bp", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Per side.")
@click.option("--half-spread-bp", type=click.FloatRange(min=0), default=0.5, show_default=True, help="Per side.")
@click.option("--max-age", callback=horizon, metavar="LENGTH", help="How old the newest candle may be. Default: any.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of all randomness.")
@click.option("--schedule", is_flag=True, help="Train anew what the settings foretell, as tapeline up does when due.")
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    instrument: str | None,
    timeframe: str,
    horizon: int,
    feature_set: str | None,
    schedule: bool,
    **options: Any,
) -> int:
    """Train models walk-forward, and let the gate decide.

    A model is promoted only if it beats every baseline out of sample. Baselines always run.
    "No edge found" is a result. A run that was killed goes on where it was when it is started again.
    With --schedule, for a cron job: of INSTRUMENT, or of all that is stored. Exit code 1 if something was not trained.
    """
    if schedule:
        return _schedule(invocation, instrument)
    if instrument is None:
        raise click.UsageError("Missing argument 'INSTRUMENT'.")
    from tapeline.cli.mirror import mirror
    from tapeline.cli.output import write_json
    from tapeline.runs import train_instrument

    with invocation.store(read_only=False) as store, invocation.progress() as meter:
        run = train_instrument(
            store,
            invocation.settings,
            instrument,
            timeframe=timeframe,
            horizon=horizon,
            feature_set=feature_set,
            asked=_asked(options, invocation.settings.anomaly_rate),
            clock=SystemClock(),
            progress=lambda text, done, total: meter(f"training: {text}", done, total),
        )
    if invocation.json:
        write_json(run.training.report | {"folder": str(run.folder)})
    else:
        print_run(run)
    mirror(invocation)
    invocation.note(f"next: tapeline report {run.training.run} --open, tapeline predict {instrument}")
    return 0


def _schedule(invocation: Invocation, instrument: str | None) -> int:
    """Do one round of the retraining of a live process."""
    from dataclasses import asdict

    from tapeline.cli.mirror import mirror
    from tapeline.cli.output import write_json
    from tapeline.coverage import coverage
    from tapeline.runners.schedule import retrain

    given = [name for name in given_options() if name not in {"instrument", "schedule"}]
    if given:
        rule = "the settings alone (predict, shadow, anomaly_rate)"
        raise UsageError("train --schedule", "takes no other option of training", expected=rule, was=", ".join(given))
    with invocation.store(read_only=False) as store, invocation.progress() as meter:
        names = [instrument] if instrument else sorted({entry.instrument for entry in coverage(store)})
        found = retrain(
            store,
            invocation.settings,
            names,
            clock=SystemClock(),
            progress=lambda text, done, total: meter(f"training: {text}", done, total),
        )
    if invocation.json:
        write_json([asdict(one) for one in found])
    else:
        for one in found:
            print(f"{one.model} {one.version or ''}: {one.status}: {one.reason}")
    mirror(invocation)
    return int(not found or any(one.version is None for one in found))


def _asked(options: dict[str, Any], anomaly_rate: float) -> Any:
    """Return the settings of training that the options ask for."""
    from tapeline.learning.checks import Limits
    from tapeline.learning.folds import WalkForward, Windows
    from tapeline.learning.trading import Costs
    from tapeline.train import TrainSettings

    windows = Windows.parse(options["windows"]) if options["windows"] else None
    return TrainSettings(
        models=options["models"] or None,
        main_target=options["target"],
        plan=WalkForward(folds=options["folds"], windows=windows),
        costs=Costs(options["fee_bp"], options["half_spread_bp"]),
        objective=options["objective"],
        seed=options["seed"],
        sweep=options["sweep"],
        tune=options["tune"],
        weighted=options["weighted"],
        anomaly_rate=anomaly_rate,
        limits=Limits(max_age=options["max_age"]),
    )


def print_run(run: Run) -> None:
    """Print what a run found, for a person."""
    print_report(run.training.report)
    costs = {(target, name): cost for target, one in run.training.outcomes.items() for name, cost in one.costs.items()}
    dearest = sorted(costs, key=lambda key: -costs[key])[:3]
    told = ", ".join(f"{name} ({target}) {costs[target, name]:.0f} s" for target, name in dearest)
    print(f"\nfits took {sum(costs.values()):.0f} s of processor time, most of it {told}")
    print(f"run {run.training.run} in {run.folder}")


def print_report(report: dict[str, Any]) -> None:
    """Print the report of a run, for a person."""
    rows = f"{report['rows']:,} rows of {report['feature_set']}"
    print(f"{report['instrument']}: {report['timeframe']} candles, {report['horizon']} ahead, {rows}")
    for reason, count in report["excluded"].items():
        print(f"  {count:,} left out: {reason}")
    for target, found in report["targets"].items():
        _print_target(report, target, found)
    for target, why in report["not_evaluated"].items():
        print(f"\n{target}: not evaluated: {why}")


def _print_target(report: dict[str, Any], target: str, found: dict[str, Any]) -> None:
    metric = found["metric"]
    shown = [row for row in report["models"] if row["target"] == target and row["metric"] == metric]
    base = next(row["value"] for row in shown if row["model"] == row["baseline"])
    print(f"\n{target}: {metric} against the best baseline, {shown[0]['baseline']} (+ is better)")
    for row in sorted(shown, key=lambda row: -row["difference"]):
        print(f"  {row['model']:<18} {_share(row, base)}")
    if target in report["sweep"]:
        _print_sweep(report["sweep"][target], base)
    print(f"  champion: {found['champion']}. {found['reason']}")
    for check in found["gate"]:
        print(f"    {'ok ' if check['passed'] else 'NO '} {check['name']}: {check['text']}")
    print(f"  {found['trading']['text']}")
    if found["coverage"] is not None:
        print(f"  {found['coverage']:.0%} of outcomes were inside its {found['coverage_asked']:.0%} interval")


def _print_sweep(swept: dict[str, Any], base: float) -> None:
    print(f"  sweep of {swept['tried']} ordinary models, the best:")
    for row in [row for row in swept["ranking"] if not row["served"]][:_SHOWN]:
        print(f"    {row['model']:<32} {_share(row, base)}  cannot be served")
    if swept["failed"]:
        print(f"    {len(swept['failed'])} did not end: {', '.join(swept['failed'])}")


def _share(row: dict[str, Any], base: float) -> str:
    if row["model"] == row["baseline"]:
        return "the best baseline"
    if not base:
        return "unknown: the baseline makes no error to compare with"
    value, low, high = (100 * row[name] / abs(base) for name in ("difference", "difference_low", "difference_high"))
    return f"{value:+8.3f} %  [{low:+.3f}, {high:+.3f}]"
