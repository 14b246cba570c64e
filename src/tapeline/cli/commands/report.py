"""``tapeline report``."""

from __future__ import annotations

from pathlib import Path

import click

from tapeline.cli.invocation import Command, Invocation, timeframe_option
from tapeline.errors import UsageError


@click.command(cls=Command)
@click.argument("run", required=False)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--html", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw a day into FILE."
)
@click.option("--instrument", help="Whose day, with --html. Default: the only one that is stored.")
@click.option("--day", metavar="YYYY-MM-DD", help="Which day (UTC), with --html. Default: the newest.")
@timeframe_option
@click.pass_obj
def command(
    invocation: Invocation,
    run: str | None,
    opened: bool,
    file: Path | None,
    instrument: str | None,
    day: str | None,
    timeframe: str,
) -> int:
    """Tell what a training run found, or draw a day of an instrument.

    RUN is the id of a run, or how it begins. Default: the newest run of the database. With --html a day is drawn
    instead: one file that needs nothing else, with candles, volume, indicators, predictions and what came, gaps and
    incomplete candles.
    """
    if file is None:
        if instrument or day:
            raise UsageError("report", "names a day but no file", expected="--html FILE", was="none")
        page = _run(invocation, run)
    else:
        if run:
            raise UsageError("report", "cannot be of a run and of a day", expected="RUN or --html FILE", was="both")
        page = _day(invocation, file, instrument, day, timeframe)
    if opened:
        click.launch(str(page))
    return 0


def _run(invocation: Invocation, run: str | None) -> Path:
    import json

    from tapeline.cli.commands.train import print_report
    from tapeline.cli.output import write_json
    from tapeline.learning.report import find_run

    known = _runs_of(invocation)
    folder = find_run(invocation.settings.runs, run, known=known)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    page = folder / "report.html"
    if invocation.json:
        write_json(report | {"folder": str(folder), "page": str(page)})
    else:
        print_report(report)
        where = f", registered in {invocation.settings.db}" if report["run"] in known else ""
        print(f"\nrun {report['run']} of {report['instrument']}{where}: {page}")
    if report["run"] not in known:
        invocation.note(f"no model of this run is registered in {invocation.settings.db}")
    return page


def _runs_of(invocation: Invocation) -> set[str]:
    """Return the runs whose models are registered in the database; none where it cannot be asked."""
    from tapeline.errors import InputError, StoreError
    from tapeline.registry import Registry

    try:
        with invocation.store() as store:
            return {str(entry.record.get("run")) for entry in Registry(store).entries()}
    except (InputError, StoreError):
        return set()


def _day(invocation: Invocation, file: Path, instrument: str | None, day: str | None, timeframe: str) -> Path:
    from tapeline.api.day import day_asked, read_day
    from tapeline.api.day_page import page
    from tapeline.cli.files import new_file
    from tapeline.cli.output import write_json

    with invocation.store() as store:
        name, start = day_asked(store, instrument, day)
        found = read_day(store, invocation.settings, name, timeframe, start)
    text = page(found)
    with new_file(file, "--html") as out:
        out.write(text.encode())
    told = {"title": found.title, "candles": len(found.candles.records), "predictions": len(found.predictions)}
    if invocation.json:
        write_json({**told, "gaps": len(found.gaps), "page": str(file)})
    else:
        print(f"{found.title}: {told['candles']:,} candles, {told['predictions']:,} predictions: {file}")
    return file
