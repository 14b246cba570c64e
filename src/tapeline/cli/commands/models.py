"""``tapeline models``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from tapeline.cli.invocation import Command, Invocation
from tapeline.clock import SystemClock, format_duration, format_time


@click.command(cls=Command)
@click.argument("action", type=click.Choice(["list", "show", "promote", "rollback", "archive"]), default="list")
@click.argument("name", required=False)
@click.argument("version", required=False)
@click.pass_obj
def command(invocation: Invocation, action: str, name: str | None, version: str | None) -> int:
    """List models, or change which one answers.

    NAME is that of the list, such as BTC-USD.KRAKEN_1m_5m; promote and archive need VERSION too.
    """
    from tapeline.registry import Registry

    _check(action, name, version)
    with invocation.store(read_only=action in ("list", "show")) as store:
        registry = Registry(store)
        now = SystemClock().now()
        if action == "promote":
            registry.promote(str(name), str(version), now=now)
        elif action == "rollback":
            registry.rollback(str(name), now=now)
        elif action == "archive":
            registry.archive(str(name), str(version), now=now)
        entries = [_row(entry) for entry in registry.entries() if name in (None, entry.name)]
    if name is not None:
        _refuse_unknown(name, entries)
    wanted = [entry for entry in entries if action == "list" or version in (None, entry["version"])]
    _show(invocation, wanted, whole=action == "show")
    return 0


def _check(action: str, name: str | None, version: str | None) -> None:
    needs = {"list": 0, "show": 1, "rollback": 1, "promote": 2, "archive": 2}[action]
    if sum(part is not None for part in (name, version)) < needs:
        raise click.UsageError(f"models {action} needs {'NAME' if needs == 1 else 'NAME and VERSION'}")


def _refuse_unknown(name: str, entries: list[dict[str, Any]]) -> None:
    from tapeline.errors import UnknownName

    if not entries:
        step = "list them with: tapeline models"
        raise UnknownName(f"model {name}", "is not registered", expected="a name of the list", was=name, next_step=step)


def _row(entry: Any) -> dict[str, Any]:
    row = asdict(entry)
    row["horizon"] = format_duration(entry.horizon)
    row["created_at"] = format_time(entry.created_at)
    row["promoted_at"] = None if entry.promoted_at is None else format_time(entry.promoted_at)
    return row


def _show(invocation: Invocation, rows: list[dict[str, Any]], *, whole: bool) -> None:
    import pyarrow as pa

    from tapeline.cli.output import print_table, write_json

    if invocation.json:
        write_json(rows)
        return
    names = ("name", "version", "target", "model", "status", "created_at", "promoted_at", "feature_set")
    if not rows:
        print("no models yet: train one with tapeline train INSTRUMENT")
        return
    print_table(pa.Table.from_pylist([{name: row[name] for name in names} for row in rows]))
    for row in rows if whole else []:
        for event in row["record"].get("history", []):
            print(f"{row['version']} {event['at']} {event['event']}")
