"""How long a start takes: ``import tapeline`` and ``tapeline --help`` beside an empty Python.

Every round starts all of them once, in turn, so that a busy machine meets all alike; the medians count.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from results import record

BUDGET_MS = 300.0
COMMAND = "python bench/startup.py"
EMPTY = [sys.executable, "-c", "pass"]
STARTS = {
    "startup_import": [sys.executable, "-c", "import tapeline"],
    "startup_help": [str(Path(sys.executable).with_name("tapeline")), "--help"],
}


def start_ms(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1e3


def medians(commands: dict[str, list[str]], rounds: int) -> dict[str, float]:
    for command in commands.values():
        start_ms(command)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(start_ms(command))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--smoke", action="store_true", help="few rounds: only that it works")
    options = parser.parse_args()
    measured = medians({"empty": EMPTY, **STARTS}, 3 if options.smoke else options.rounds)
    for name in STARTS:
        record(name, measured[name], "ms", measured["empty"], measured[name] / measured["empty"], COMMAND)
        verdict = "within" if measured[name] < BUDGET_MS else "OVER"
        print(f"  {verdict} the budget of {BUDGET_MS:.0f} ms")


if __name__ == "__main__":
    main()
