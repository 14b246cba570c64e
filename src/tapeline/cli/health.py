"""What `tapeline doctor` finds: versions, extras, the database, what a trade takes, the cache, and what to do next."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

from tapeline.cli.invocation import Invocation
from tapeline.coverage import coverage
from tapeline.errors import StoreLocked, StoreUnavailable, TapelineError
from tapeline.registry import Registry
from tapeline.runners.owner import owner_of
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.parquet import ParquetStore
from tapeline.tape import instruments

_SAMPLE = 1 << 18
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
_NAME = re.compile(r"[\w.-]+")


def versions() -> dict[str, str | None]:
    """Return the version of Python, of Tapeline and of each package it needs; None where one is missing."""
    needed = [_NAME.match(text) for text in metadata.requires("tapeline") or [] if not _EXTRA.search(text)]
    names = sorted({match[0] for match in needed if match})
    return {"python": platform.python_version(), "tapeline": _version("tapeline")} | {
        name: _version(name) for name in names
    }


def extras() -> list[dict[str, Any]]:
    """Return each extra: what it brings, whether that is installed, and how to install it."""
    brings: dict[str, list[str]] = {}
    for text in metadata.requires("tapeline") or []:
        extra, name = _EXTRA.search(text), _NAME.match(text)
        if extra and name:
            brings.setdefault(extra[1], []).append(name[0])
    return [
        {
            "name": extra,
            "packages": {name: _version(name) for name in names},
            "installed": all(_version(name) for name in names),
            "install": f"pip install 'tapeline[{extra}]'",
        }
        for extra, names in sorted(brings.items())
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def database(invocation: Invocation) -> dict[str, Any]:
    """Return what is known of the database; ``state`` is ok, missing, in use or unusable.

    One that another process owns is read through it; where that cannot be had, it is in use.
    """
    path = invocation.settings.db
    found: dict[str, Any] = {"path": str(path.resolve()), "state": "missing", "problem": None, "owner": None}
    if not path.exists():
        return found
    found |= {"bytes": path.stat().st_size, "owner": _owner(path)}
    try:
        with invocation.store() as store:
            return found | {"state": "ok"} | _content(store)
    except TapelineError as error:
        held = isinstance(error, StoreLocked) or (found["owner"] is not None and isinstance(error, StoreUnavailable))
        return found | {"state": "in use" if held else "unusable", "problem": str(error)}


def _owner(path: Path) -> dict[str, Any] | None:
    """Return the process that owns a database, None where none says so."""
    owner = owner_of(path)
    return None if owner is None else {"pid": owner.pid, "started": owner.started, "url": owner.url}


def _content(store: DuckDBStore) -> dict[str, Any]:
    sizes = store.sizes()
    trades = sizes["trades"]
    return {
        "schema": store.sql("SELECT version FROM tapeline_schema").to_pylist()[0]["version"],
        "kinds": {name: {"rows": size.rows, "bytes": size.bytes} for name, size in sizes.items()},
        "bytes_per_trade_duckdb": round(trades.bytes / trades.rows, 2) if trades.rows else None,
        "bytes_per_trade_parquet": _parquet_bytes(store),
        "instruments": [entry.to_json() for entry in coverage(store)],
        "damaged_models": _damaged(store),
    }


def _damaged(store: DuckDBStore) -> list[dict[str, str]]:
    """Return the models whose bytes are not those that were registered, and what is wrong with them."""
    return [
        {"name": entry.name, "version": entry.version, "status": entry.status, "problem": problem}
        for entry, problem in Registry(store).damaged()
    ]


def _parquet_bytes(store: DuckDBStore) -> float | None:
    """Return what a trade takes in our Parquet store, measured on the first trades of each instrument."""
    with tempfile.TemporaryDirectory(prefix="tapeline-") as folder:
        target = ParquetStore(folder)
        try:
            held = instruments(store)
            for tape in held:
                for table in islice(store.tape(tape.instrument, rows=_SAMPLE // len(held) + 1), 1):
                    target.append("trades", table)
            size = target.sizes()["trades"]
        finally:
            target.close()
    return round(size.bytes / size.rows, 2) if size.rows else None


def cache() -> dict[str, Any]:
    """Return where compiled kernels are kept, and what they take."""
    from tapeline.kernel import cache_folder

    folder = cache_folder()
    taken = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    return {"path": str(folder), "bytes": taken, "writable": os.access(folder, os.W_OK)}


def next_steps(found: dict[str, Any]) -> list[str]:
    """Return what to do about each thing that is missing."""
    steps = [f"install {name}: pip install {name}" for name, version in found["versions"].items() if version is None]
    base = found["database"]
    if base["state"] == "missing":
        steps.append("no database yet: tapeline import PATH, or name another with --db")
    elif base["state"] == "unusable":
        steps.append(f"the database cannot be used: {base['problem']}")
    elif base["state"] == "in use":
        steps.append(f"the database cannot be looked into now: {base['problem']}")
    elif not base["instruments"]:
        steps.append("nothing imported yet: tapeline import PATH")
    steps += [
        f"{entry['instrument']}: {entry['missing']:,} ids are missing: tapeline gaps {entry['instrument']}"
        for entry in base.get("instruments", [])
        if entry["open_gaps"]
    ]
    steps += [f"{one['problem']} ({one['status']})" for one in base.get("damaged_models", [])]
    if not found["cache"]["writable"]:
        steps.append(f"kernels cannot be kept in {found['cache']['path']}: set TAPELINE_CACHE to a folder of yours")
    return steps
