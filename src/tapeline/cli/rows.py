"""How a command gives a table: to a file, as JSON, or on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from tapeline.cli.files import check_path, write_file
from tapeline.cli.invocation import Invocation
from tapeline.cli.output import print_table, transposed, write_json, write_json_rows

_SCREEN = 20
_WIDE = 12


def screen_limit(invocation: Invocation, limit: int | None, out: Path | None, *, rows: int = _SCREEN) -> int | None:
    """Return how many rows are asked for: on a screen not more than a person reads, unless told otherwise."""
    if out is not None:
        check_path(out)
    return rows if limit is None and out is None and not invocation.json else limit


def give(
    invocation: Invocation,
    table: pa.Table,
    out: Path | None,
    *,
    limited: bool = True,
    by: str | None = None,
    heading: str = "",
    hide: Sequence[str] = (),
    nothing: str = "no rows: none has closed in the time asked for",
) -> None:
    """Write a table to ``out``, or print it.

    On a screen a ``heading`` stands for the columns that ``hide`` names, and a table that is too wide lies on its side
    with ``by`` as its head. ``nothing`` is said where there are no rows.
    """
    if out is not None:
        tell_file(invocation, write_file(out, [table], table.schema))
    elif invocation.json:
        write_json_rows(table)
    elif table.num_rows:
        print_table(_for_a_screen(table.drop_columns(list(hide)), by), title=heading)
        if not limited:
            invocation.note("the last rows; more with --limit N, all with --out FILE or --json")
    else:
        invocation.note(nothing)


def _for_a_screen(table: pa.Table, by: str | None) -> pa.Table:
    return transposed(table, by) if by is not None and table.num_columns > _WIDE else table


def tell_file(invocation: Invocation, written: dict[str, object]) -> None:
    """Say what was written where."""
    if invocation.json:
        write_json(written)
    else:
        print(f"{written['path']}: {written['rows']:,} rows, {written['bytes']:,} bytes")
