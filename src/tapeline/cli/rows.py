"""How a command gives a table: to a file, as JSON, or on a screen."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tapeline.cli.files import check_path, write_file
from tapeline.cli.invocation import Invocation
from tapeline.cli.output import print_table, transposed, write_json, write_json_rows

_SCREEN = 20
_WIDE = 18


def screen_limit(invocation: Invocation, limit: int | None, out: Path | None, *, rows: int = _SCREEN) -> int | None:
    """Return how many rows are asked for: on a screen not more than a person reads, unless told otherwise."""
    if out is not None:
        check_path(out)
    return rows if limit is None and out is None and not invocation.json else limit


def give(
    invocation: Invocation, table: pa.Table, out: Path | None, *, limited: bool = True, by: str | None = None
) -> None:
    """Write a table to ``out``, or print it; one that is too wide is laid on its side, with ``by`` as its head."""
    if out is not None:
        tell_file(invocation, write_file(out, [table], table.schema))
    elif invocation.json:
        write_json_rows(table)
    elif table.num_rows:
        wide = by is not None and table.num_columns > _WIDE
        print_table(transposed(table, by) if wide and by else table)
        if not limited:
            invocation.note("the last rows; more with --limit N, all with --out FILE or --json")
    else:
        invocation.note("no rows: none has closed in the time asked for")


def tell_file(invocation: Invocation, written: dict[str, object]) -> None:
    """Say what was written where."""
    if invocation.json:
        write_json(written)
    else:
        print(f"{written['path']}: {written['rows']:,} rows, {written['bytes']:,} bytes")
