"""``tapeline drift``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation, out_option

if TYPE_CHECKING:
    from tapeline.drift_watch import DriftWatch, ModelDrift


@click.command(cls=Command)
@click.argument("instrument", required=False)
@click.option("--all", "every", is_flag=True, help="Also the features that did not drift.")
@out_option("Write Evidently's report to FILE.html (needs the extra evidently).")
@click.pass_obj
def command(invocation: Invocation, instrument: str | None, *, every: bool, out: Path | None) -> int:
    """Compare what champions see and say now with what they were trained on.

    Exit code 1 if a feature of a champion, or what it says, has drifted; 2 if the report asked for cannot be written.
    """
    from tapeline.cli.output import write_json
    from tapeline.drift_watch import DriftWatch

    with invocation.store() as store:
        watch = DriftWatch(invocation.settings)
        measured = watch.measure(store, instrument)
        if out is not None:
            _write(invocation, watch, measured, out)
    if invocation.json:
        write_json([_document(one) for one in measured])
    else:
        _print(measured, every=every)
    return int(any(one.worst is not None for one in measured))


def _write(invocation: Invocation, watch: DriftWatch, measured: list[ModelDrift], out: Path) -> None:
    from tapeline.cli.evidently import write_report
    from tapeline.errors import NotEnoughData

    shown = next((one for one in measured if one.drifts), None)
    if shown is None:
        was = "; ".join(f"{one.entry.name}: {one.reason}" for one in measured) or "no champion answers"
        problem, rule = "cannot be written, nothing was measured", "a champion and enough rows since its training"
        raise NotEnoughData(f"drift report {out}", problem, expected=rule, was=was)
    write_report(*watch.rows_of(shown.entry), shown.entry.name, out)
    invocation.note(f"{out}: Evidently's report on {shown.entry.name}; its bounds are its own")


def _document(one: ModelDrift) -> dict[str, Any]:
    from dataclasses import asdict

    from tapeline.cli.monitored import instant

    return {
        "model": one.entry.name,
        "version": one.entry.version,
        "level": one.level,
        "reason": one.reason,
        "reference_rows": one.reference_rows,
        "rows": one.rows,
        "first": instant(one.first),
        "last": instant(one.last),
        "features": [asdict(drift) for drift in one.drifts],
    }


def _print(measured: list[ModelDrift], *, every: bool) -> None:
    import pyarrow as pa

    from tapeline.cli.output import print_table

    if not measured:
        print("no champion answers: train one with tapeline train INSTRUMENT")
    for one in measured:
        name = f"{one.entry.name} {one.entry.version}"
        if one.reason:
            print(f"{name}: not measured: {one.reason}")
            continue
        print(f"{name}: {one.rows:,} rows since training against {one.reference_rows:,} of training: {one.level}")
        drifted = [drift for drift in one.drifts if every or drift.level != "none"]
        names = ("column", "level", "psi", "ks", "tail", "missing", "outside")
        shown = [{name: getattr(drift, name) for name in names} for drift in sorted(drifted, key=lambda d: -d.psi)]
        if shown:
            print_table(pa.Table.from_pylist(shown))
