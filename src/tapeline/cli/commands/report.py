"""``tapeline report``."""

from __future__ import annotations

import click

from tapeline.cli.invocation import Command, Invocation


@click.command(cls=Command)
@click.argument("run", required=False)
@click.option("--open", "opened", is_flag=True, help="Open the page of the run in a browser.")
@click.pass_obj
def command(invocation: Invocation, run: str | None, opened: bool) -> int:
    """Print what a training run found, and where its page is.

    RUN is the id of a run, or how it begins. Default: the newest run.
    """
    import json

    from tapeline.cli.commands.train import print_report
    from tapeline.cli.output import write_json
    from tapeline.learning.report import find_run

    folder = find_run(invocation.settings.runs, run)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    page = folder / "report.html"
    if invocation.json:
        write_json(report | {"folder": str(folder), "page": str(page)})
    else:
        print_report(report)
        print(f"\nrun {report['run']}: {page}")
    if opened:
        click.launch(str(page))
    return 0
