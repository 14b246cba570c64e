"""Kill an import or a replay with SIGKILL at random moments, resume it each time, and leave it finished.

Run as a program: ``python -m tapeline.testing.killing import|replay SOURCE DB KILLS SEED``. The worker is forked from
a process that has everything loaded but no database open, so most of the time is spent where a kill can hurt. Prints
how many kills hit.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from tapeline.candles import CandleFold
from tapeline.clock import SystemClock
from tapeline.config import Settings, load_settings
from tapeline.features import FeatureFold, FeatureSet
from tapeline.importing import import_files
from tapeline.runners.replay import replay_into
from tapeline.stores.duckdb import DuckDBStore
from tapeline.tape import instruments
from tapeline.types import Frame, Timeframe

SETTINGS: dict[str, Any] = {"feature_sets": ("bars",), "timeframes": ("1m", "5m"), "flush_rows": 2_000}


def work(what: str, source: Path, db: Path, settings: Settings) -> None:
    """Import a recording, or replay a database into another."""
    store = DuckDBStore(db)
    if what == "import":
        report = import_files([source], store, settings, clock=SystemClock())
        assert not report.problems, report.problems
    else:
        origin = DuckDBStore(source, read_only=True)
        for tape in instruments(origin):
            for _ in replay_into(origin, store, settings, tape, clock=SystemClock()):
                pass
    store.close()


def warm(settings: Settings) -> None:
    """Compile or load what the worker needs, without opening a database."""
    closed, _ = CandleFold([Timeframe.parse(name) for name in settings.timeframes]).feed(
        Frame.of("A-B.SIM", trade_id=[1, 2], ts_event=[0, 10**12], price=[1, 1], qty=[1, 1])
    )
    FeatureFold(FeatureSet.load("bars")).feed(closed[0])


def main() -> None:
    """Kill and resume until enough kills have hit, then let it finish."""
    what, source, db = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    kills, seed = int(sys.argv[4]), int(sys.argv[5])
    settings = load_settings(**SETTINGS)
    warm(settings)
    rng = random.Random(seed)
    hit = 0
    while True:
        child = os.fork()
        if child == 0:
            work(what, source, db, settings)
            os._exit(0)
        if hit < kills:
            SystemClock().wait(rng.uniform(0.02, 0.35))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            hit += 1
            continue
        if os.WEXITSTATUS(status):
            sys.exit(f"the worker failed after {hit} kills")
        if hit >= kills:
            print(hit)
            return
        db.unlink()


if __name__ == "__main__":
    main()
