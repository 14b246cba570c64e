"""``tapeline models``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation
from tapeline.clock import SystemClock, format_duration, format_time

if TYPE_CHECKING:
    from tapeline.registry import Registry
    from tapeline.stores.base import Store


@click.command(cls=Command)
@click.argument(
    "action", type=click.Choice(["list", "show", "compare", "promote", "rollback", "archive", "sync"]), default="list"
)
@click.argument("name", required=False)
@click.argument("version", required=False)
@click.pass_obj
def command(invocation: Invocation, action: str, name: str | None, version: str | None) -> int:
    """List models, or change which one answers.

    NAME is that of the list, such as BTC-USD.KRAKEN_1m_5m; promote and archive need VERSION too. compare sets a
    VERSION, or every one, beside the champion: in training, and live on the same predictions. sync sends what an
    MLflow server (TAPELINE_MLFLOW_URI) does not have yet.
    """
    from tapeline.registry import Registry

    _check(action, name, version)
    if action == "compare":
        return _compare(invocation, str(name), version)
    if action == "sync":
        return _sync(invocation)
    with invocation.store(read_only=action in ("list", "show")) as store:
        registry = Registry(store)
        _change(registry, store, action, str(name), str(version))
        entries = [_row(entry) for entry in registry.entries() if name in (None, entry.name)]
    if name is not None:
        _refuse_unknown(name, entries)
    wanted = [entry for entry in entries if action == "list" or version in (None, entry["version"])]
    _show(invocation, wanted, whole=action == "show")
    return 0


def _change(registry: Registry, store: Store, action: str, name: str, version: str) -> None:
    from tapeline.serving import promote

    now = SystemClock().now()
    if action == "promote":
        promote(store, name, version, now=now, by="command")
    elif action == "rollback":
        registry.rollback(name, now=now, by="command")
    elif action == "archive":
        registry.archive(name, version, now=now, by="command")


def _compare(invocation: Invocation, name: str, version: str | None) -> int:
    import pyarrow as pa

    from tapeline.cli.output import print_table, write_json
    from tapeline.duel import compared

    with invocation.store() as store:
        found = compared(store, name, version)
    if invocation.json:
        write_json(found)
        return 0
    print_table(pa.Table.from_pylist(found), title=f"{name}: gain over the champion on the same outcomes")
    return 0


def _sync(invocation: Invocation) -> int:
    from tapeline.cli.output import write_json
    from tapeline.errors import UsageError
    from tapeline.mlflow_sync import Mlflow

    settings = invocation.settings
    if not settings.mlflow_uri:
        step = "set TAPELINE_MLFLOW_URI"
        raise UsageError("models sync", "has no server", expected="the address of MLflow", was="none", next_step=step)
    with invocation.store() as store:
        sent = Mlflow(settings.mlflow_uri, runs=settings.runs).sync(store)
    if invocation.json:
        write_json({"models": sent.models, "aliases": sent.aliases})
    else:
        print(f"{sent.models} models sent to {settings.mlflow_uri}, {sent.aliases} aliases moved")
    return 0


def _check(action: str, name: str | None, version: str | None) -> None:
    needs = {"list": 0, "sync": 0, "show": 1, "compare": 1, "rollback": 1, "promote": 2, "archive": 2}[action]
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
            by = f" (by {event['by']})" if "by" in event else ""
            print(f"{row['version']} {event['at']} {event['event']}{by}")
