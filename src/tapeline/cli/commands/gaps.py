"""``tapeline gaps``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation, simulated_option
from tapeline.clock import SystemClock, parse_duration

if TYPE_CHECKING:
    from tapeline.runners.backfill import Filled
    from tapeline.tape import TapeInfo

_EVERY = 60.0


def _length(context: click.Context, parameter: click.Parameter, value: str) -> int:
    return parse_duration(value, "--lookback")


@click.command(cls=Command)
@click.argument("instrument", required=False)
@click.option("--heal", is_flag=True, help="Ask the venues for what is missing; exit code 1 if some of it still is.")
@click.option(
    "--lookback", callback=_length, default="7d", show_default=True, metavar="LENGTH", help="How far back to heal."
)
@simulated_option
@click.option("--watch", is_flag=True, help="Again every minute, until Ctrl-C.")
@click.pass_obj
def command(
    invocation: Invocation, instrument: str | None, *, heal: bool, lookback: int, simulated: str, watch: bool
) -> int:
    """List the trade ids that are missing, or heal them."""
    while True:
        code = _heal(invocation, instrument, lookback, simulated) if heal else _list(invocation, instrument)
        if not watch:
            return code
        SystemClock().wait(_EVERY)


def _list(invocation: Invocation, instrument: str | None) -> int:
    from tapeline.cli.output import write_json

    held, found = _found(invocation, instrument)
    if invocation.json:
        write_json(found)
    else:
        _print(invocation, held, found)
    return 0


def _heal(invocation: Invocation, instrument: str | None, lookback: int, simulated: str) -> int:
    """Heal, then list; return 0 where nothing is missing in the time looked back over, 1 where some is, else 2."""
    from tapeline.cli.filling import fill
    from tapeline.cli.output import write_json

    now, names = SystemClock().now(), _askable(invocation, _found(invocation, instrument)[1], simulated)
    done = fill(invocation, names, now - lookback, now, holes_only=True, simulated=simulated) if names else []
    held, found = _found(invocation, instrument)
    if invocation.json:
        write_json({"healed": [one.to_json() for one in done], "gaps": found})
    else:
        _print(invocation, held, found)
        for one in done:
            print(f"{one.instrument}: {one.trades:,} trades came, {one.missing:,} ids are still missing")
    return _code(done)


def _askable(invocation: Invocation, found: list[dict[str, Any]], simulated: str) -> list[str]:
    """Return the instruments with gaps whose venue can be asked, and say why others cannot."""
    from tapeline.cli.filling import HOW_SIMULATED
    from tapeline.exchanges.base import exchanges
    from tapeline.ingest.places import SIMULATED
    from tapeline.types import venue_of

    venues = {venue for venue, exchange in exchanges().items() if exchange.feeds} | (
        {SIMULATED} if simulated else set()
    )
    names = sorted({gap["instrument"] for gap in found})
    for name in names:
        if venue_of(name) not in venues:
            how = f"; {HOW_SIMULATED}" if venue_of(name) == SIMULATED else ""
            invocation.note(f"{name}: its venue cannot be asked{how}")
    return [name for name in names if venue_of(name) in venues]


def _code(done: list[Filled]) -> int:
    for one in done:
        if one.problem:
            click.echo(f"error: {one.problem}", err=True)
    return 2 if any(one.problem for one in done) else int(any(one.missing for one in done))


def _found(invocation: Invocation, instrument: str | None) -> tuple[list[TapeInfo], list[dict[str, Any]]]:
    from tapeline.coverage import open_gaps
    from tapeline.tape import info, instruments

    with invocation.store() as store:
        held = instruments(store) if instrument is None else [info(store, instrument)]
        return held, open_gaps(store, instrument)


def _print(invocation: Invocation, held: list[TapeInfo], found: list[dict[str, Any]]) -> None:
    import pyarrow as pa

    from tapeline.cli.output import print_table

    if found:
        print_table(pa.Table.from_pylist(found))
    for tape in held:
        if not tape.contiguous:
            invocation.note(f"{tape.instrument}: ids are not contiguous: a missing trade cannot be told")
        elif not any(gap["instrument"] == tape.instrument for gap in found):
            invocation.note(f"{tape.instrument}: no id is missing")
