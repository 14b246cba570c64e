"""``tapeline backfill``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tapeline.cli.invocation import Command, Invocation, moment, simulated_option
from tapeline.clock import SystemClock, format_time, parse_duration
from tapeline.errors import UsageError

if TYPE_CHECKING:
    from tapeline.runners.backfill import Filled
    from tapeline.runners.candle_backfill import FilledCandles


@click.command(cls=Command)
@click.argument("instruments", nargs=-1, required=True, metavar="INSTRUMENT...")
@click.option("--start", callback=moment, metavar="TIME", help="From when, RFC 3339; otherwise the setting backfill.")
@click.option("--end", callback=moment, metavar="TIME", help="Only what was before, RFC 3339.  [default: now]")
@click.option("--timeframe", metavar="T", help="Candles that the venue made instead of trades, such as 1m.")
@simulated_option
@click.pass_obj
def command(
    invocation: Invocation,
    instruments: tuple[str, ...],
    start: int | None,
    end: int | None,
    timeframe: str | None,
    simulated: str,
) -> int:
    """Bring the past of instruments from their venues into the tape.

    What is stored is not asked for again: after an interruption the same command goes on.
    """
    from tapeline.cli.filling import fill, fill_candles
    from tapeline.types import Timeframe, check_instrument

    names = [check_instrument(name) for name in instruments]
    start, end = _span(invocation, start, end)
    if timeframe is None:
        return _tell(invocation, trades := fill(invocation, names, start, end, simulated=simulated), _wrong(trades))
    grid = str(Timeframe.parse(timeframe))
    candles = fill_candles(invocation, names, grid, start, end, simulated=simulated)
    _note_own(invocation, candles)
    return _tell(invocation, candles, _wrong_candles(candles))


def _span(invocation: Invocation, start: int | None, end: int | None) -> tuple[int, int]:
    now = SystemClock().now()
    end = now if end is None else min(end, now)
    start = end - parse_duration(invocation.settings.backfill) if start is None else start
    if start >= end:
        was = format_time(start)
        raise UsageError("backfill", "has nothing to ask for", expected="--start before --end and now", was=was)
    return start, end


def _tell(invocation: Invocation, done: Sequence[Filled | FilledCandles], problems: list[str]) -> int:
    from tapeline.cli.output import print_table, write_json

    if invocation.json:
        write_json({"instruments": [one.to_json() for one in done]})
    else:
        import pyarrow as pa

        print_table(pa.Table.from_pylist([_row(one.to_json()) for one in done]))
    for text in problems:
        click.echo(f"error: {text}", err=True)
    return 2 if problems else 0


def _row(filled: dict[str, object]) -> dict[str, object]:
    counts = filled.get("ignored")
    shown = {"ignored": sum(counts.values())} if isinstance(counts, dict) else {}
    return {name: value for name, value in (filled | shown).items() if name != "problem"}


def _wrong(done: Sequence[Filled]) -> list[str]:
    return [text for one in done if (text := one.problem or _left_out(one.instrument, one.missing))]


def _left_out(instrument: str, missing: int) -> str:
    step = f"see them with: tapeline gaps {instrument}"
    return f"{instrument}: {missing:,} ids are missing: the venue does not give them; {step}" if missing else ""


def _wrong_candles(done: Sequence[FilledCandles]) -> list[str]:
    return [text for one in done if (text := one.problem or _unusable(one))]


def _unusable(one: FilledCandles) -> str:
    step = 'see why: tapeline sql "SELECT reason, raw FROM dead_letters"'
    text = f"{one.instrument} {one.timeframe}: {one.malformed:,} candles cannot be used; {step}"
    return text if one.malformed else ""


def _note_own(invocation: Invocation, done: Sequence[FilledCandles]) -> None:
    """Say where candles of our own trades go on answering."""
    from tapeline.tape import instruments

    with invocation.store() as store:
        own = {tape.instrument for tape in instruments(store)}
    for one in done:
        if one.instrument in own and one.candles:
            kept = "those of the venue are kept beside them, with source imported"
            invocation.note(f"{one.instrument}: its own trades are stored and their candles go on answering; {kept}")
