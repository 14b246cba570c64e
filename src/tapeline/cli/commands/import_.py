"""``tapeline import``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation, moment
from tapeline.clock import SystemClock
from tapeline.errors import UsageError

if TYPE_CHECKING:
    from tapeline.importing import ImportReport

_GAPS = 10


def _columns(context: click.Context, parameter: click.Parameter, text: str | None) -> dict[str, str] | None:
    """Read ``price=p,qty=size``."""
    if text is None:
        return None
    from tapeline.recordings.columns import parse_columns

    return parse_columns(text)


@click.command("import", cls=Command)
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--instrument", metavar="I", help="Overrides what the files say, such as BTC-USD.KRAKEN.")
@click.option("--format", "format_", metavar="F", help="The files' format, where it is not to be recognised.")
@click.option("--columns", callback=_columns, metavar="MAP", help="Our names to theirs: price=p,qty=size,ts=time:ms.")
@click.option("--yfinance", metavar="TICKER", help="Candles of Yahoo Finance instead of files.")
@click.option("--timeframe", help="With --yfinance: the length of its candles.  [default: 1d]")
@click.option("--start", callback=moment, metavar="TIME", help="With --yfinance: the first open time, RFC 3339.")
@click.option("--end", callback=moment, metavar="TIME", help="With --yfinance: the end, RFC 3339.")
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    paths: tuple[Path, ...],
    instrument: str | None,
    format_: str | None,
    columns: dict[str, str] | None,
    **yahoo: Any,
) -> int:
    """Read recorded files into the tape.

    A folder stands for all files in and below it.
    """
    told = [f"--{name}" for name, value in yahoo.items() if value is not None]
    if bool(paths) == (yahoo["yfinance"] is not None) or (paths and told):
        was = " and ".join([*map(str, paths[:1]), *told]) or "nothing"
        raise UsageError("tapeline import", "what to read", expected="files, or --yfinance TICKER alone", was=was)
    if paths:
        return _import(invocation, _files(paths), instrument, format_, columns)
    from tapeline.recordings.yahoo import download

    ticker, timeframe = yahoo["yfinance"], yahoo["timeframe"] or "1d"
    with TemporaryDirectory() as folder:
        now = SystemClock().now()
        file = download(ticker, timeframe, yahoo["start"], yahoo["end"], now=now, folder=Path(folder))
        name = instrument or f"{ticker.upper()}.YAHOO"
        return _import(invocation, [file], name, "table", {"timeframe": timeframe})


def _import(
    invocation: Invocation,
    files: list[Path],
    instrument: str | None,
    format_: str | None,
    columns: dict[str, str] | None,
) -> int:
    from tapeline.cli.output import write_json
    from tapeline.importing import import_files

    with invocation.store(read_only=False, make=True) as store, invocation.progress() as meter:
        report = import_files(
            files,
            store,
            invocation.settings,
            clock=SystemClock(),
            instrument=instrument,
            format=format_,
            columns=columns,
            progress=lambda at: meter(at.what, at.done, at.total),
        )
    if invocation.json:
        write_json(report.to_json())
    else:
        _print(report, invocation)
    for problem in report.problems:
        click.echo(f"error: {problem}", err=True)
    return 2 if report.problems else 0


def _files(paths: tuple[Path, ...]) -> list[Path]:
    """Return the files meant: a folder's are all in and below it whose names begin with no dot or underscore.

    Of a Parquet store only its trades are: the rest is computed from them.
    """
    found: list[Path] = []
    for given in paths:
        path = given / "trades" if (given / "tapeline.json").is_file() else given
        inside = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        found += [file for file in inside if file == path or not file.name.startswith((".", "_"))]
    return found


def _print(report: ImportReport, invocation: Invocation) -> None:
    import pyarrow as pa

    from tapeline.cli.output import print_table

    names = ("path", "format", "instrument", "read", "new", "duplicates", "malformed", "conflicts", "first", "last")
    good = [file.to_json() for file in report.files if file.format]
    if good:
        print_table(pa.Table.from_pylist([{name: file[name] for name in names} for file in good]))
    for file in report.files:
        said = [f"{name}: {text}" for name, text in file.guesses.items()]
        said += [f"{count:,} {name} ignored" for name, count in file.ignored.items()]
        invocation.note(f"{file.path}: {'; '.join(said)}" if said else "")
        if file.malformed or file.conflicts:
            invocation.note(
                f'{file.path}: reasons: tapeline sql "SELECT reason, count(*) FROM dead_letters GROUP BY 1"'
            )
    for instrument, first, last in report.gaps[:_GAPS]:
        print(f"gap: {instrument} ids {first} to {last} are missing ({last - first + 1:,})")
    if len(report.gaps) > _GAPS:
        print(f"{len(report.gaps):,} gaps in all; list them with: tapeline gaps")
    for text in [*report.unproven, *(f"{name} was folded anew: earlier trades came" for name in report.refolded)]:
        invocation.note(text)
    held = sorted({name for file in good for name in str(file["instrument"]).split(",") if name})
    if held:
        invocation.note(f"next: tapeline candles {held[0]}")
