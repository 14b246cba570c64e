"""``tapeline doctor``."""

from __future__ import annotations

from typing import Any

import click

from tapeline.cli.invocation import Command, Invocation


@click.command(cls=Command)
@click.pass_obj
def command(invocation: Invocation) -> int:
    """Say what is installed, stored and missing, and what to do next."""
    from tapeline.cli import health
    from tapeline.cli.output import write_json

    found: dict[str, Any] = {
        "versions": health.versions(),
        "extras": health.extras(),
        "database": health.database(invocation),
        "cache": health.cache(),
    }
    found["next_steps"] = health.next_steps(found)
    if invocation.json:
        write_json(found)
    else:
        _print(found)
    base = found["database"]
    broken = None in found["versions"].values() or base["state"] == "unusable" or base.get("damaged_models")
    return 1 if broken else 0


def _print(found: dict[str, Any]) -> None:
    print("\n".join(f"{name:<18} {version or 'MISSING'}" for name, version in found["versions"].items()))
    print("\nextras")
    for extra in found["extras"]:
        print(f"  {extra['name']:<10} {'installed' if extra['installed'] else 'missing: ' + extra['install']}")
    _print_database(found["database"])
    cache = found["cache"]
    print(f"\ncompiled kernels: {cache['path']} ({cache['bytes']:,} bytes)")
    print("\nnext" if found["next_steps"] else "\nnothing is missing")
    for step in found["next_steps"]:
        print(f"  {step}")


def _print_database(base: dict[str, Any]) -> None:
    import pyarrow as pa

    from tapeline.cli.output import print_table, shown_value

    print(f"\ndatabase {base['path']}: {base['state']}")
    if owner := base["owner"]:
        where = f", which answers at {owner['url']}" if owner["url"] else ""
        print(f"  owned by process {owner['pid']} since {owner['started']}{where}")
    if base["state"] != "ok":
        return
    print(f"  schema {base['schema']}, {base['bytes']:,} bytes")
    for name, size in base["kinds"].items():
        print(f"  {name:<14} {size['rows']:>14,} rows {size['bytes']:>14,} bytes")
    for where in ("duckdb", "parquet"):
        print(f"  bytes a trade in {where:<8} {shown_value(base[f'bytes_per_trade_{where}'])}")
    if base["instruments"]:
        print()
        print_table(pa.Table.from_pylist(base["instruments"]))
