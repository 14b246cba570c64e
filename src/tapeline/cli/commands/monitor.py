"""``tapeline monitor``."""

from __future__ import annotations

import click

from tapeline.cli.invocation import Command, Invocation
from tapeline.clock import SystemClock


@click.command(cls=Command)
@click.argument("instrument", required=False)
@click.option(
    "--by",
    type=click.Choice(["version", "day", "hour", "age"]),
    default="version",
    show_default=True,
    help="Tell live errors apart also by day, by hour of the day (UTC), or by days since training.",
)
@click.pass_obj
def command(invocation: Invocation, instrument: str | None, by: str) -> int:
    """Tell how models do live, what drifted, and which candles are anomalies.

    Exit code 1 if something is not well; the reasons are told.
    """
    from tapeline.cli import monitored as told
    from tapeline.cli.output import write_json
    from tapeline.drift_watch import DriftWatch
    from tapeline.monitoring import monitored

    with invocation.store() as store:
        watch, now = DriftWatch(invocation.settings), SystemClock().now()
        found = monitored(store, invocation.settings, watch, now=now, instrument=instrument, by=by)
    if invocation.json:
        levels = {one.entry.name: one.reason or one.level for one in found.drift}
        errors = {"errors": [told.error_document(one) for one in found.errors]}
        errors["answers"] = [told.answers_document(one) for one in found.answers]
        odd = [told.anomaly_document(one) for one in found.anomalies]
        write_json({"reasons": found.reasons, "drift": levels, **errors, "anomalies": odd})
        return int(bool(found.reasons))
    told.print_errors(found.errors)
    told.print_answers(found.answers)
    for one in found.drift:
        print(f"drift: {one.entry.name}: {one.reason or one.level}")
    told.print_anomalies(found.anomalies)
    for reason in found.reasons:
        print(f"NOT WELL: {reason}")
    return int(bool(found.reasons))
