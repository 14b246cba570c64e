"""The command line: each module of `tapeline.cli.commands` is a command, found by itself.

Such a module holds a `click.Command` named ``command``; ``import_.py`` is called ``import``. At its top it imports only
click, the errors, the clock and `tapeline.cli.invocation`; everything heavy is imported inside the command, so that
``tapeline --help`` stays fast.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, NoReturn

import click

from tapeline import __version__
from tapeline.cli import commands
from tapeline.cli.invocation import shared_options
from tapeline.errors import TapelineError, UsageError

INTERRUPTED = 130


class Commands(click.Group):
    """Find commands as modules of `tapeline.cli.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(_modules())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name, None if there is none."""
        module = _modules().get(cmd_name)
        if module is None:
            return None
        found: click.Command = import_module(module).command
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that has closed our output has had enough, which is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 0
        return result


def _modules() -> dict[str, str]:
    """Return the module of each command, by the command's name."""
    found = pkgutil.iter_modules(commands.__path__, f"{commands.__name__}.")
    return {item.name.rpartition(".")[2].removesuffix("_"): item.name for item in found}


tapeline = Commands(
    "tapeline",
    help="The trade tapes of exchanges into candles, features, models and predictions.",
    epilog="Exit codes: 0 fine, 1 a check found something, 2 bad usage or bad input, 130 interrupted.",
    params=shared_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, prog_name="tapeline")(tapeline)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.excepthook = report_bug
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; what is an error to the user is told, a bug of ours is raised."""
    try:
        code = tapeline.main(arguments, prog_name="tapeline", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    except click.ClickException as error:
        return _refuse(_of_click(error), arguments)
    except TapelineError as error:
        return _refuse(error, arguments)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: what was committed is kept", err=True)
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _of_click(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "tapeline"
    text = error.format_message().removesuffix(".")
    return UsageError(where, text[:1].lower() + text[1:], next_step=f"see: {where} --help")


def _refuse(error: TapelineError, arguments: list[str]) -> int:
    """Tell an error on stderr, and where JSON is asked for on stdout too."""
    click.echo(f"error: {error}", err=True)
    if "--json" in arguments:
        from tapeline.cli.output import write_json

        names = ("where", "problem", "expected", "was", "next_step")
        write_json({"error": {name: _plain(getattr(error, name)) for name in names}})
    return error.exit_code


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell in one line what should never happen; the traceback comes with ``TAPELINE_DEBUG=1``."""
    if os.environ.get("TAPELINE_DEBUG") == "1":
        sys.__excepthook__(kind, error, trace)
    text = " ".join(f"{kind.__name__}: {error}".split())
    click.echo(f"error: bug in Tapeline: {text}; please report it with what TAPELINE_DEBUG=1 shows", err=True)
