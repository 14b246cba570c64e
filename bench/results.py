"""Where benches write what they measured: one JSON file, one entry a name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TypedDict


class Result(TypedDict):
    """One measurement: ours, the peer's in the same unit and run, their ratio, and the command that repeats it."""

    value: float
    unit: str
    peer: float | None
    ratio: float | None
    command: str


def results_path() -> Path:
    """Return the file of results: ``TAPELINE_BENCH_RESULTS``, else ``results.json`` beside the benches."""
    return Path(os.environ.get("TAPELINE_BENCH_RESULTS", Path(__file__).with_name("results.json")))


def read() -> dict[str, Result]:
    """Read all results recorded so far."""
    path = results_path()
    results: dict[str, Result] = json.loads(path.read_text()) if path.exists() else {}
    return results


def record(name: str, value: float, unit: str, peer: float | None, ratio: float | None, command: str) -> None:
    """Print one result and merge it by name into the file of results.

    ``peer`` is the peer's value in ``unit``, measured in the same run; None where there is no peer. ``ratio`` says
    how many times better than the peer we are, or, for a cost on top of a floor, how many times the floor.
    """
    result = Result(value=value, unit=unit, peer=peer, ratio=ratio, command=command)
    path = results_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    merged = dict(sorted({**read(), name: result}.items()))
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(merged, indent=2) + "\n")
    scratch.replace(path)
    print(describe(name, result), flush=True)


def describe(name: str, result: Result) -> str:
    """Write one result as a line."""
    text = f"{name}: {result['value']:,.6g} {result['unit']}"
    if result["peer"] is not None:
        text += f", peer {result['peer']:,.6g} {result['unit']}"
    if result["ratio"] is not None:
        text += f", ratio {result['ratio']:.3g}x"
    return text
