"""``tapeline features``."""

from __future__ import annotations

from pathlib import Path

import click

from tapeline.cli.invocation import Command, Invocation, span_options, timeframe_option


@click.command(cls=Command)
@click.argument("instrument")
@timeframe_option
@click.option(
    "--set", "feature_set", default="technical", show_default=True, help="A feature set's name, or its TOML file."
)
@span_options("as_of")
@click.pass_obj
def command(
    invocation: Invocation,
    instrument: str,
    timeframe: str,
    feature_set: str,
    start: int | None,
    end: int | None,
    limit: int | None,
    out: Path | None,
) -> None:
    """Give the features of an instrument's candles."""
    from tapeline.cli.rows import give, screen_limit
    from tapeline.query import features

    most = screen_limit(invocation, limit, out, rows=4)
    with invocation.store() as store:
        found = features(store, invocation.settings, instrument, timeframe, feature_set, start, end, most)
    if found.source == "imported":
        invocation.note(f"{instrument}: made from candles that others made; no trades of it are stored")
    invocation.note(found.note)
    give(
        invocation,
        found.table(),
        out,
        limited=limit is not None,
        by="as_of",
        heading=f"{instrument} {found.timeframe} ({found.source}), {found.features.name} {found.features.version}",
        hide=("instrument", "timeframe", "feature_set", "version", "source"),
    )
