"""What every command shares: ``--db``, ``--json`` and ``--quiet``, the settings, the store, the progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from tapeline.clock import parse_time

if TYPE_CHECKING:
    from tapeline.config import Settings
    from tapeline.stores.duckdb import DuckDBStore

Function = TypeVar("Function", bound=Callable[..., Any])

Meter = Callable[[str, int, int], None]
"""Is told what is under way, how much of it is done, and how much there is (0: unknown)."""


@dataclass
class Invocation:
    """One call of the command line.

    Attributes:
        db: the database asked for; None: that of the settings.
        json: whether stdout gets one JSON document.
        quiet: whether stderr gets errors only.
    """

    db: Path | None = None
    json: bool = False
    quiet: bool = False

    @cached_property
    def settings(self) -> Settings:
        """Return the settings, with the database that was asked for."""
        from tapeline.config import load_settings

        return load_settings(db=self.db)

    @contextmanager
    def store(self, *, read_only: bool = True, make: bool = False, through: bool = True) -> Iterator[DuckDBStore]:
        """Open the database inside; with ``make`` one is made where there is none.

        One that another process owns is read through that process, unless ``through`` is false.

        Raises:
            UnreadableFile: it does not exist, or is no database.
            StoreError: it cannot be had.
        """
        path = self.settings.db
        store = self._open(path, read_only=read_only or not (make or path.exists()), through=through)
        try:
            yield store
        finally:
            store.close()

    @staticmethod
    def _open(path: Path, *, read_only: bool, through: bool) -> DuckDBStore:
        """Open a database, or where that is wanted and can be, the way to the process that owns it."""
        from tapeline.errors import StoreLocked
        from tapeline.stores.duckdb import DuckDBStore

        try:
            return DuckDBStore(path, read_only=read_only)
        except StoreLocked as error:
            from tapeline.remote import RemoteStore
            from tapeline.runners.owner import owner_of, told

            owner = owner_of(path)
            if owner is None or not owner.url or not owner.key or not read_only or not through:
                raise told(path, error) from error
            return cast("DuckDBStore", RemoteStore(owner.url, owner.key))

    def note(self, text: str) -> None:
        """Tell something on stderr, unless asked to be quiet; an empty text is nothing."""
        if text and not self.quiet:
            click.echo(f"note: {text}", err=True)

    @contextmanager
    def progress(self) -> Iterator[Meter]:
        """Give a meter that shows progress bars on stderr, where a person looks at it.

        Told ``training: forest fold 2 of 5``, it shows the last part beside the bar of the first. Without a terminal
        such a text is a line for each tenth of the whole.
        """
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        console = Console(stderr=True)
        text = TextColumn("{task.description} {task.fields[shown]}")
        columns = (text, BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        bars = Progress(*columns, console=console, transient=True, disable=self.quiet or not console.is_terminal)
        tasks: dict[str, Any] = {}
        tenths: dict[str, int] = {}

        def meter(told: str, done: int, total: int) -> None:
            what, _, now = told.partition(": ")
            if what not in tasks:
                tasks[what] = bars.add_task(what, shown="")
            shown = f"{100 * done // total} %" if total else f"{done:,}"
            where = f" {done} of {total}, {now}" if now else ""
            bars.update(tasks[what], completed=done, total=total or None, shown=shown + where)
            tenth = 10 * done // total if total else 0
            if now and not console.is_terminal and not self.quiet and tenth > tenths.get(what, 0):
                tenths[what] = tenth
                click.echo(f"{what} {shown}{where}", err=True)

        with bars:
            yield meter


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Note a shared option, wherever it stands."""
    invocation = context.find_root().ensure_object(Invocation)
    if value:
        setattr(invocation, str(parameter.name), value)


def shared_options(*, hidden: bool = False) -> list[click.Parameter]:
    """Return the options that stand before or after the name of a command."""
    common: dict[str, Any] = {"callback": _keep, "expose_value": False, "hidden": hidden}
    path = click.Path(dir_okay=False, path_type=Path)
    return [
        click.Option(["--db"], type=path, help="Database file (or TAPELINE_DB; default tapeline.duckdb).", **common),
        click.Option(["--json"], is_flag=True, help="Print one JSON document on stdout.", **common),
        click.Option(["--quiet"], is_flag=True, help="No progress and no notes on stderr.", **common),
    ]


class Command(click.Command):
    """A command that takes the shared options after its name too; its function gets the `Invocation` first."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params += shared_options(hidden=True)
        self.epilog = self.epilog or "Takes --db, --json and --quiet too: see tapeline --help."


def given_options() -> dict[str, str]:
    """Return this command's own options and arguments that stand on the command line: how each is written, by name."""
    context = click.get_current_context()
    named = {one.name: one.opts[0] for one in context.command.params if one.name in context.params}
    given = ParameterSource.COMMANDLINE
    return {name: option for name, option in named.items() if context.get_parameter_source(name) is given}


def moment(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Read an option that is a time, RFC 3339, as ns UTC."""
    return None if value is None else parse_time(value)


def span_options(what: str) -> Callable[[Function], Function]:
    """Add ``--start``, ``--end``, ``--limit`` and ``--out`` to a command that gives rows."""

    def add(function: Function) -> Function:
        function = out_option("Write the rows to FILE.csv or FILE.parquet.")(function)
        function = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the last N rows.")(
            function
        )
        function = click.option(
            "--end", callback=moment, metavar="TIME", help=f"End, RFC 3339: only a {what} before it."
        )(function)
        return click.option("--start", callback=moment, metavar="TIME", help=f"First {what}, RFC 3339.")(function)

    return add


def out_option(text: str, *, required: bool = False) -> Callable[[Function], Function]:
    """Return the option ``--out FILE``."""
    return click.option("--out", type=click.Path(path_type=Path), metavar="FILE", required=required, help=text)


def simulated_option(function: Function) -> Function:
    """Add ``--simulated``."""
    text = "As which venue that of SIM instruments speaks; it is asked at the address that is set for it."
    return click.option("--simulated", default="", metavar="VENUE", callback=_upper, help=text)(function)


def _upper(context: click.Context, parameter: click.Parameter, value: str) -> str:
    return value.upper()


def timeframe_option(function: Function) -> Function:
    """Add ``--timeframe``."""
    text = "Such as 1s, 1m, 4h, 1d, or 5m/1m."
    return click.option("--timeframe", default="1m", show_default=True, help=text)(function)
