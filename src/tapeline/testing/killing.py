"""Kill an import, a replay or a live process with SIGKILL at random moments, and resume it each time to its end.

Run as a program: ``python -m tapeline.testing.killing import|replay|live SOURCE DB KILLS SEED``. The worker is forked
from a process that has everything loaded but no database open, so most of the time is spent where a kill can hurt.
Prints how many kills hit.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tapeline.candles import CandleFold
from tapeline.clock import SystemClock
from tapeline.config import Settings, load_settings
from tapeline.features import FeatureFold, FeatureSet
from tapeline.importing import import_files
from tapeline.ingest.base import Delivery, Source
from tapeline.runners.embedded import open_database
from tapeline.runners.replay import replay_into
from tapeline.runners.writer import Writer
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore
from tapeline.tape import instruments
from tapeline.types import Frame, Timeframe

SETTINGS: dict[str, Any] = {
    "feature_sets": ("bars",),
    "timeframes": ("1m", "5m"),
    "flush_rows": 2_000,
    "state_interval": "50ms",
}
_PIECE = 50


def work(what: str, source: Path, db: Path, settings: Settings) -> None:
    """Import a recording, replay a database into another, or follow a recording as if it were live."""
    if what == "live":
        asyncio.run(follow(source, db, settings))
        return
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


async def follow(source: Path, db: Path, settings: Settings) -> None:
    """Deliver a recording as a venue does: what is missing, then on from where the tape ends, and give the rest up."""
    table = pq.read_table(source)
    name = table["instrument"][0].as_py()
    tape = rows.to_frame(name, table)
    async with Writer(lambda: open_database(db), settings, clock=SystemClock()) as writer:
        standing = await writer.standing(name)
        for gap in standing.missing:
            found = tape.take((tape.trade_id >= gap.first) & (tape.trade_id <= gap.last))
            await writer.take(Delivery((found,), source=Source.HEAL))
        left = tape if standing.trade_id is None else tape.take(tape.trade_id > standing.trade_id)
        for at in range(0, len(left), _PIECE):
            await writer.take(Delivery((left.take(slice(at, at + _PIECE)),)))
            await writer.standing(name)
        for gap in (await writer.standing(name)).missing:
            await writer.give_up(gap)


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
