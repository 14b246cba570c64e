"""``tapeline verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tapeline.cli.invocation import Command, Invocation

if TYPE_CHECKING:
    from tapeline.verify import VerifyReport


@click.command(cls=Command)
@click.argument("instrument", required=False)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the cuts and the disorder.")
@click.pass_obj
def command(invocation: Invocation, instrument: str | None, seed: int) -> int:
    """Recompute all from the tape and compare it, bit for bit.

    Exit code 1 if anything stored is not what the tape gives. A database that a live process writes to does not stand
    still: end that process first.
    """
    from tapeline.cli.output import write_json
    from tapeline.verify import verify

    with invocation.store(through=False) as store, invocation.progress() as meter:
        report = verify(
            store,
            invocation.settings,
            instrument,
            seed=seed,
            progress=lambda what, trades: meter(what, trades, 0),
        )
    if invocation.json:
        write_json(report.to_json())
    else:
        for what, count in sorted(report.checked.items()):
            print(f"{count:>14,} {what}")
        for finding in report.findings:
            print(f"DIFFERS {finding}")
        print(_verdict(report))
    for text in report.unproven:
        invocation.note(text)
    return 1 if report.findings else 0


def _verdict(report: VerifyReport) -> str:
    if report.clean:
        return "clean: every number is what the tape gives"
    lost = f", {report.unproven_predictions:,} predictions unproven" if report.unproven_predictions else ""
    return f"{len(report.findings):,} differences{lost}"
