"""``tapeline gaps``."""

from __future__ import annotations

import click

from tapeline.cli.invocation import Command, Invocation


@click.command(cls=Command)
@click.argument("instrument", required=False)
@click.pass_obj
def command(invocation: Invocation, instrument: str | None) -> None:
    """List the trade ids that are missing."""
    import pyarrow as pa

    from tapeline.cli.output import print_table, write_json
    from tapeline.coverage import open_gaps
    from tapeline.tape import info, instruments

    with invocation.store() as store:
        held = instruments(store) if instrument is None else [info(store, instrument)]
        found = open_gaps(store, instrument)
    if invocation.json:
        write_json(found)
    elif found:
        print_table(pa.Table.from_pylist(found))
    for tape in held:
        if not tape.contiguous:
            invocation.note(f"{tape.instrument}: ids are not contiguous: a missing trade cannot be told")
        elif not any(gap["instrument"] == tape.instrument for gap in found):
            invocation.note(f"{tape.instrument}: no id is missing")
