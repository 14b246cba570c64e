"""``tapeline instruments``."""

from __future__ import annotations

import click

from tapeline.cli.invocation import Command, Invocation


@click.command(cls=Command)
@click.pass_obj
def command(invocation: Invocation) -> None:
    """List what is stored, its span of time, and whether it is whole."""
    import pyarrow as pa

    from tapeline.cli.output import print_table, write_json
    from tapeline.coverage import coverage

    with invocation.store() as store:
        found = [entry.to_json() for entry in coverage(store)]
    if invocation.json:
        write_json(found)
    elif found:
        print_table(pa.Table.from_pylist(found))
    else:
        invocation.note("nothing imported yet; next: tapeline import PATH")
