"""``tapeline simulate``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation, Meter, out_option
from tapeline.clock import parse_duration

if TYPE_CHECKING:
    import pyarrow as pa

    from tapeline.simulator.market import Market

_TRADES = 100_000


@click.command(cls=Command)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Picks the path of the market.")
@click.option("--trades", type=click.IntRange(min=1), metavar="N", help=f"How many [default: {_TRADES}].")
@click.option("--duration", metavar="LENGTH", help="For how long instead, such as 6h or 2d.")
@click.option("--edge", type=float, default=0.0, show_default=True, help="Share of 5 m variance that flow predicts.")
@click.option("--instrument", default="BTC-USD.SIM", show_default=True, help="The name the trades carry.")
@out_option("Write the trades to FILE.parquet (which tapeline import reads) or FILE.csv.", required=True)
@click.pass_obj
def command(
    invocation: Invocation,
    seed: int,
    trades: int | None,
    duration: str | None,
    edge: float,
    instrument: str,
    out: Path,
) -> None:
    """Write the trades of a simulated market.

    The same seed gives the same trades.
    """
    from tapeline.cli.files import check_path, write_trades
    from tapeline.cli.rows import tell_file
    from tapeline.simulator.market import Market

    check_path(out)
    length = None if duration is None else parse_duration(duration)
    most = _TRADES if trades is None and length is None else trades
    market = Market(seed, instrument=instrument, edge=edge)
    with invocation.progress() as meter:
        tables = _tables(market, most, length, meter)
        written: dict[str, Any] = write_trades(out, tables, "trade")
    tell_file(invocation, {"instrument": instrument, "seed": seed} | written)
    invocation.note(f"next: tapeline import {out}")


def _tables(market: Market, trades: int | None, length: int | None, meter: Meter) -> Iterator[pa.Table]:
    from tapeline.stores.rows import from_frame

    done = 0
    for frame in market.frames(trades=trades, duration=length):
        done += len(frame)
        meter(market.instrument, done, trades or 0)
        yield from_frame(frame)
