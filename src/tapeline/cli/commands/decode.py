"""``tapeline decode``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tapeline.cli.invocation import Command, Invocation


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--venue", metavar="V", help="The venue, where it is not to be recognised, such as KRAKEN.")
@click.pass_obj
def command(invocation: Invocation, file: Path, venue: str | None) -> int:
    """Tell what a recording of a venue's messages holds; stores nothing."""
    from tapeline.cli.decoding import decode_file
    from tapeline.cli.output import write_json

    report = decode_file(file, venue).to_json()
    if invocation.json:
        write_json(report)
    else:
        _print(report)
    if report["problem"]:
        click.echo(f"error: {file}: {report['problem']}", err=True)
    return 2 if report["problem"] else 0


def _print(report: dict[str, Any]) -> None:
    import pyarrow as pa

    from tapeline.cli.output import print_table

    print(f"{report['venue']}: {report['trades']} trades, {report['acks']} acks, {report['malformed']} malformed")
    if report["refused"]:
        print(f"requests refused by the venue: {report['refused']}")
    if report["instruments"]:
        rows = [{"instrument": name, **one} for name, one in report["instruments"].items()]
        print_table(pa.Table.from_pylist(rows))
    for title, counts in (("ignored", report["ignored"]), ("malformed", report["reasons"])):
        if counts:
            print_table(pa.table({title: list(counts), "count": list(counts.values())}))
