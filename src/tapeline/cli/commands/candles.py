"""``tapeline candles``."""

from __future__ import annotations

from pathlib import Path

import click

from tapeline.cli.invocation import Command, Invocation, span_options, timeframe_option


@click.command(cls=Command)
@click.argument("instrument")
@timeframe_option
@span_options("open_time")
@click.pass_obj
def command(
    invocation: Invocation,
    instrument: str,
    timeframe: str,
    start: int | None,
    end: int | None,
    limit: int | None,
    out: Path | None,
) -> None:
    """Give the candles of an instrument, of any timeframe."""
    from tapeline.cli.rows import give, screen_limit
    from tapeline.query import candles

    with invocation.store() as store:
        found = candles(
            store, invocation.settings, instrument, timeframe, start, end, screen_limit(invocation, limit, out)
        )
    if found.source == "imported":
        invocation.note(f"{instrument}: these candles were made by others and imported; no trades of it are stored")
    invocation.note(found.note)
    give(
        invocation,
        found.table(),
        out,
        limited=limit is not None,
        heading=f"{instrument} {found.timeframe} ({found.source})",
        hide=("instrument", "timeframe", "close_time", "quote_volume", "realized_vol", "source"),
    )
