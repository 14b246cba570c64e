"""``tapeline sql``."""

from __future__ import annotations

from pathlib import Path

import click

from tapeline.cli.invocation import Command, Invocation, out_option


@click.command(cls=Command)
@click.argument("query", metavar='"SELECT ..."')
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N rows (on a screen 100).")
@out_option("Write the rows to FILE.csv or FILE.parquet.")
@click.pass_obj
def command(invocation: Invocation, query: str, limit: int | None, out: Path | None) -> None:
    """Answer one SQL query, read-only."""
    from tapeline.cli.rows import give, screen_limit

    most = screen_limit(invocation, limit, out, rows=100)
    with invocation.store() as store:
        table = store.sql(query, limit=most)
    give(invocation, table, out, nothing="no rows")
    if limit is None and most is not None and table.num_rows == most:
        invocation.note(f"the first {most} rows; more with --limit N, all with --out FILE or --json")
