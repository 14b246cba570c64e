"""``tapeline up``."""

from __future__ import annotations

import os
import re
from typing import Any

import click

from tapeline.cli.invocation import Command, Invocation

_STARS = "**********"


@click.command(cls=Command)
@click.argument("instruments", nargs=-1, metavar="[INSTRUMENT]...")
@click.option("--demo", is_flag=True, help="Follow the built-in simulated Kraken, marked SIMULATED.")
@click.option("--demo-if-offline", is_flag=True, help="The same where no venue can be reached.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the simulated market.  [default: 7]")
@click.option(
    "--edge", type=click.FloatRange(0, 0.24), help="Planted share of predictable variance there.  [default: 0.1]"
)
@click.option("--host", help="Where the page and the API are served.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The same; 0: any free one.  [default: 8787]")
@click.option("--headless", is_flag=True, help="JSON lines on stdout instead of a screen.")
@click.option("--check", is_flag=True, help="Check the settings in force, print them, secrets hidden, and end.")
@click.option("--seconds", type=click.FloatRange(min=0), help="End by itself after that long.")
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    instruments: tuple[str, ...],
    *,
    check: bool,
    seed: int | None,
    edge: float | None,
    host: str | None,
    port: int | None,
    **how: Any,
) -> int:
    """Follow venues live: candles, features, predictions, the page and the API, in one process.

    Without INSTRUMENT it follows those of the settings, otherwise some of Kraken. Ctrl-C ends it within two seconds,
    and a kill at any moment loses nothing that the venue can give again.
    """
    from tapeline.config import load_settings, misspelt
    from tapeline.runners.memory import keep_small

    for name, meant in misspelt(os.environ).items():
        invocation.note(f"{name} is no setting and is not read: {meant} is one")
    flags = {"instruments": instruments or None, "host": host, "port": port}
    settings = load_settings(db=invocation.db, **flags)
    keep_small()
    from tapeline.cli.live import Asked, refuse_unusable, run

    if check:
        refuse_unusable(settings, simulated=how["demo"])
        return _print(invocation, settings)
    run(invocation, settings, Asked(seed=seed, edge=edge, **how))


def _print(invocation: Invocation, settings: Any) -> int:
    """Print the settings; a secret shows only whether there is one."""
    from tapeline.cli.output import write_json

    values = {name: _hidden(value) for name, value in settings.model_dump(mode="json").items()}
    if invocation.json:
        write_json(values)
        return 0
    for name, value in values.items():
        click.echo(f"{name} = {' '.join(value) if isinstance(value, list) else value}")
    return 0


def _hidden(value: Any) -> Any:
    """Return a value without the password that an address may hold."""
    found = re.fullmatch(r"(\w+://[^/@]*?:)[^/@]+(@.*)", value) if isinstance(value, str) else None
    return f"{found[1]}{_STARS}{found[2]}" if found else value
