"""``tapeline export``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tapeline.cli.invocation import Command, Invocation, Meter, out_option
from tapeline.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from tapeline.stores.base import Store

_KINDS = ("trades", "late_trades", "candles", "features", "predictions", "answers", "gaps", "decisions", "dead_letters")


@click.command(cls=Command)
@click.argument("instrument")
@click.option("--kind", type=click.Choice(_KINDS), default="trades", show_default=True, help="Which rows.")
@out_option("FILE.csv, FILE.parquet, or a folder that gets Parquet files by instrument and date.", required=True)
@click.pass_obj
def command(invocation: Invocation, instrument: str, kind: str, out: Path) -> None:
    """Write stored rows of an instrument to files."""
    from tapeline.cli.files import check_path, with_times, write_file, write_trades
    from tapeline.cli.rows import tell_file
    from tapeline.query import known
    from tapeline.tape import info

    folder = not out.suffix or out.is_dir()
    if not folder:
        check_path(out)
    with invocation.store() as store, invocation.progress() as meter:
        known(store, instrument)
        if kind == "trades":
            _has_trades(store, instrument)
        if folder:
            written = _write_folder(store, instrument, kind, out, meter)
        elif kind == "trades":
            tape = info(store, instrument)
            written = write_trades(out, _tables(store, instrument, kind, meter), tape.id_kind)
        else:
            table = with_times(kind, store.read(kind, instrument=instrument))
            written = write_file(out, [table], table.schema)
    tell_file(invocation, {"instrument": instrument, "kind": kind} | written)


def _has_trades(store: Store, instrument: str) -> None:
    if not store.read("instruments", instrument=instrument).num_rows:
        raise UsageError(
            f"{instrument} trades",
            "are not stored",
            expected="an instrument whose trades were imported",
            was="candles that others made",
            next_step="export these with --kind candles",
        )


def _tables(store: Store, instrument: str, kind: str, meter: Meter) -> Iterator[pa.Table]:
    done = 0
    for table in store.tape(instrument) if kind == "trades" else [store.read(kind, instrument=instrument)]:
        yield table
        done += table.num_rows
        meter(f"{instrument} {kind}", done, 0)


def _write_folder(store: Store, instrument: str, kind: str, out: Path, meter: Meter) -> dict[str, object]:
    """Add the rows to a partitioned store of Parquet files; those it has already are not written again."""
    from tapeline.stores.parquet import ParquetStore

    target = ParquetStore(out)
    try:
        with target.transaction():
            target.append("instruments", store.read("instruments", instrument=instrument))
            rows = sum(target.append(kind, table) for table in _tables(store, instrument, kind, meter))
        return {"path": str(out), "rows": rows, "bytes": target.sizes()[kind].bytes}
    finally:
        target.close()
