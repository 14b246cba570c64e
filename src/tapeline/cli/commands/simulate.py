"""``tapeline simulate``."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator, Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation, Meter, given_options, out_option
from tapeline.clock import HOUR, SECOND, SystemClock, parse_duration
from tapeline.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from tapeline.simulator.faults import Log
    from tapeline.simulator.market import Market
    from tapeline.simulator.server import Options, Server

_TRADES = 100_000
_FILE = "BTC-USD.SIM"
_OF_TAPES = {"speed", "own_times"}
_SERVED = {"port", "history", "faults", "fault_log", "no_limits", "tape", "speed", "own_times", "truth"}
"""What only a server heeds."""
_INVENTED = {"rate", "steady", "edge"}
"""What a tape that is told anew cannot heed."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the user asked for; lengths are in ns, None where nothing was said."""

    seed: int
    edge: float
    instruments: tuple[str, ...]
    duration: int | None
    venue: str
    port: int
    rate: float
    steady: bool
    history: int | None
    limits: bool
    faults: dict[str, float]
    tape: Path | None
    speed: float
    own_times: bool


def _names(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for value in values for name in value.split(",") if name)


def _faults(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    if not values:
        return {}
    from tapeline.simulator.faults import parse_fault

    return dict(map(parse_fault, values))


def _length(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    return None if value is None else parse_duration(value, str(parameter.name))


_path = click.Path(path_type=Path)


@click.command(cls=Command)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Picks the path of the market.")
@click.option("--trades", type=click.IntRange(min=1), metavar="N", help=f"How many [default: {_TRADES}].")
@click.option("--duration", callback=_length, metavar="LENGTH", help="For how long, such as 6h or 2d.")
@click.option("--edge", type=float, default=0.0, show_default=True, help="Share of 5 m variance that flow predicts.")
@click.option(
    "--instrument", "--instruments", "instruments", multiple=True, callback=_names, metavar="I,...", help="Which."
)
@out_option("Write the trades to FILE.parquet (which tapeline import reads) or FILE.csv.")
@click.option("--venue", default="", metavar="V", help="Serve them instead, as this venue does.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: a free one.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True, help="Trades/s of each."
)
@click.option("--steady", is_flag=True, help="The same rate at every hour, without lulls.")
@click.option("--history", callback=_length, metavar="LENGTH", help="What REST can tell of the past [default: 1h].")
@click.option("--fault", "faults", multiple=True, callback=_faults, metavar="NAME=P", help="What goes wrong how often.")
@click.option("--fault-log", type=_path, metavar="FILE", help="Write each fault that struck as a line of JSON.")
@click.option("--no-limits", is_flag=True, help="Let clients ask as often as they like.")
@click.option("--tape", type=_path, metavar="FILE", help="Tell a recording or a database anew, as if it were live.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="Of --tape.")
@click.option("--own-times", is_flag=True, help="Keep the times of --tape: all of it lies in the past.")
@click.option("--truth", type=_path, metavar="FILE", help="Write what truly happened, as --out does.")
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    trades: int | None,
    out: Path | None,
    no_limits: bool,
    fault_log: Path | None,
    truth: Path | None,
    **asked: Any,
) -> None:
    """Write the trades of a simulated market, or serve them as a venue would.

    The same seed gives the same trades.
    """
    wanted = _Asked(**asked, limits=not no_limits)
    if (out is None) is not bool(wanted.venue):
        was = "both" if wanted.venue else "neither"
        raise UsageError("tapeline simulate", "has nothing to do", expected="--out FILE or --venue V", was=was)
    if out is not None:
        _refuse("--out", _SERVED)
        _write(invocation, wanted, trades, out)
        return
    _refuse("--venue", {"trades"})
    if wanted.tape is not None:
        _refuse("--tape", _INVENTED)
    else:
        _refuse("--venue without --tape", _OF_TAPES)
    from tapeline.simulator.faults import no_log

    with ExitStack() as closing:
        options: Options = {}
        log: Log = no_log
        if fault_log is not None:
            from tapeline.cli.simulating import strike_lines

            log = closing.enter_context(strike_lines(fault_log))
        if truth is not None:
            from tapeline.cli.simulating import Truth

            options["on_trades"] = (writer := Truth(truth)).add
            closing.callback(writer.close)
        asyncio.run(_serve(invocation, _server(wanted, log, options), wanted.duration))


def _refuse(option: str, names: Set[str]) -> None:
    """Refuse options that would do nothing beside another."""
    for name, given in given_options().items():
        if name in names:
            rule = f"no {given} beside {option}"
            raise UsageError("tapeline simulate", "would not heed an option", expected=rule, was=given)


def _write(invocation: Invocation, asked: _Asked, trades: int | None, out: Path) -> None:
    from tapeline.cli.files import check_path, write_trades
    from tapeline.cli.rows import tell_file
    from tapeline.simulator.market import Market

    check_path(out)
    instrument, *more = asked.instruments or (_FILE,)
    if more:
        was = ", ".join(asked.instruments)
        raise UsageError("tapeline simulate", "writes one tape a file", expected="one instrument", was=was)
    most = _TRADES if trades is None and asked.duration is None else trades
    market = Market(
        asked.seed, instrument=instrument, edge=asked.edge, trades_per_second=asked.rate, steady=asked.steady
    )
    with invocation.progress() as meter:
        tables = _tables(market, most, asked.duration, meter)
        written: dict[str, Any] = write_trades(out, tables, "trade")
    tell_file(invocation, {"instrument": instrument, "seed": asked.seed} | written)
    invocation.note(f"next: tapeline import {out}")


def _tables(market: Market, trades: int | None, length: int | None, meter: Meter) -> Iterator[pa.Table]:
    from tapeline.stores.rows import from_frame

    done = 0
    for frame in market.frames(trades=trades, duration=length):
        done += len(frame)
        meter(market.instrument, done, trades or 0)
        yield from_frame(frame)


def _server(asked: _Asked, log: Log, options: Options) -> Server:
    from tapeline.simulator.faults import Faults
    from tapeline.simulator.server import serve

    options |= {"faults": Faults(asked.faults, seed=asked.seed, log=log), "port": asked.port, "limited": asked.limits}
    if asked.tape is not None:
        return _told_anew(asked, asked.tape, options)
    return serve(
        asked.venue,
        asked.instruments,
        seed=asked.seed,
        rate=asked.rate,
        edge=asked.edge,
        steady=asked.steady,
        history=HOUR if asked.history is None else asked.history,
        **options,
    )


def _told_anew(asked: _Asked, path: Path, options: Options) -> Server:
    from tapeline.cli.simulating import read_tape
    from tapeline.simulator.server import Server
    from tapeline.simulator.sources import recorded_sources
    from tapeline.simulator.venue import find_venue

    kind, clock = find_venue(asked.venue), SystemClock()
    frames = read_tape(path, next(iter(asked.instruments), None))
    now = None if asked.own_times else clock.now() - (asked.history or 0)
    sources = recorded_sources(frames, kind.name, now=now, speed=asked.speed, resolution=kind.resolution)
    return Server(kind, sources, clock=clock, **options)


async def _serve(invocation: Invocation, server: Server, duration: int | None) -> None:
    """Serve until it is stopped, or for so many ns."""
    stop = asyncio.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(kind, stop.set)
    async with server:
        _tell(invocation, server)
        waiting = {asyncio.create_task(stop.wait()), asyncio.create_task(server.wait())}
        seconds = None if duration is None else duration / SECOND
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()


def _tell(invocation: Invocation, server: Server) -> None:
    """Say where it is: the first line."""
    feeds = {feed: server.feed_url(feed) for feed in server.venue.paths}
    listed = list(server.venue.tapes)
    if invocation.json:
        told = {"venue": server.venue.name, "simulated": True, "ws_url": server.ws_url, "rest_url": server.rest_url}
        click.echo(json.dumps(told | {"feeds": feeds, "instruments": listed}))
        return
    click.echo(f"{server.ws_url} {server.rest_url}")
    for feed, url in feeds.items():
        click.echo(f"feed {feed}: {url}")
    click.echo(f"SIMULATED {server.venue.name}: {', '.join(listed)}")
