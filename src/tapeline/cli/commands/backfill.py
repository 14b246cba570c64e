"""``tapeline backfill``."""

from __future__ import annotations

import click

from tapeline.cli.invocation import Command, Invocation
from tapeline.clock import SystemClock, format_time, parse_duration, parse_time
from tapeline.errors import UsageError


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    return None if value is None else parse_time(value)


@click.command(cls=Command)
@click.argument("instruments", nargs=-1, required=True, metavar="INSTRUMENT...")
@click.option(
    "--start", callback=_moment, metavar="TIME", help="First trade, RFC 3339; otherwise the setting backfill."
)
@click.option("--end", callback=_moment, metavar="TIME", help="End, RFC 3339: only trades before it.  [default: now]")
@click.pass_obj
def command(invocation: Invocation, instruments: tuple[str, ...], start: int | None, end: int | None) -> int:
    """Bring the past of instruments from their venues into the tape.

    What is stored is not asked for again: after an interruption the same command goes on.
    """
    from tapeline.cli.filling import fill
    from tapeline.cli.output import print_table, write_json
    from tapeline.types import check_instrument

    now = SystemClock().now()
    end = now if end is None else min(end, now)
    start = end - parse_duration(invocation.settings.backfill) if start is None else start
    if start >= end:
        was = format_time(start)
        raise UsageError("backfill", "has nothing to ask for", expected="--start before --end and now", was=was)
    done = fill(invocation, [check_instrument(name) for name in instruments], start, end)
    if invocation.json:
        write_json({"instruments": [one.to_json() for one in done]})
    else:
        import pyarrow as pa

        print_table(pa.Table.from_pylist([_row(one.to_json()) for one in done]))
    problems = [text for one in done if (text := one.problem or _left_out(one.instrument, one.missing))]
    for text in problems:
        click.echo(f"error: {text}", err=True)
    return 2 if problems else 0


def _row(filled: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in filled.items() if name != "problem"}


def _left_out(instrument: str, missing: int) -> str:
    step = f"see them with: tapeline gaps {instrument}"
    return f"{instrument}: {missing:,} ids are missing: the venue does not give them; {step}" if missing else ""
