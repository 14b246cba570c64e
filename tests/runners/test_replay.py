"""Replay gives what is stored, in its own time, and rebuilds a database that equals the first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tapeline.clock import SECOND, ManualClock
from tapeline.config import Settings, load_settings
from tapeline.features import FeatureSet
from tapeline.importing import import_files
from tapeline.runners.replay import paced, replay, replay_into
from tapeline.runners.terminal import View
from tapeline.simulator.market import Market
from tapeline.stores import rows
from tapeline.stores.base import KINDS
from tapeline.stores.memory import MemoryStore
from tapeline.tape import info
from tapeline.types import Decision, Frame
from tapeline.verify import verify

NAME = "BTC-USD.SIM"
TAPE = Frame.concat(list(Market(8, trades_per_second=1.0).frames(trades=2000)))
KINDS_COMPARED = ("trades", "candles", "features", "gaps", "decisions", "states", "late_trades")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    runs = tmp_path_factory.mktemp("runs")
    return load_settings(timeframes=("1m",), feature_sets=("bars",), flush_rows=300, runs=runs)


@pytest.fixture
def store(tmp_path: Path, settings: Settings) -> MemoryStore:
    file = tmp_path / "a.parquet"
    table = pa.concat_tables([rows.from_frame(TAPE.take(part)) for part in (slice(0, 900), slice(905, None))])
    pq.write_table(table.cast(KINDS["trades"].schema.with_metadata({"tapeline": "1"})), file)
    made = MemoryStore()
    import_files([file], made, settings, clock=ManualClock(2**61))
    return made


def test_a_replay_gives_the_stored_candles(store: MemoryStore, settings: Settings) -> None:
    given = [one.candles["1m"] for one in replay(store, settings, info(store, NAME)) if "1m" in one.candles]
    stored = rows.to_candles(store.read("candles"))
    again = np.concatenate(given)
    assert rows.from_candles(NAME, "1m", again) == rows.from_candles(NAME, "1m", stored)


def test_a_replay_into_another_database_equals_the_first_also_when_interrupted(
    store: MemoryStore, settings: Settings
) -> None:
    target = MemoryStore()
    clock = ManualClock(2**61)
    for _ in range(40):
        steps = replay_into(store, target, settings, info(store, NAME), clock=clock)
        for _ in zip(steps, range(2), strict=False):
            pass
    for _ in replay_into(store, target, settings, info(store, NAME), clock=clock):
        pass
    for kind in KINDS_COMPARED:
        assert target.read(kind) == store.read(kind), kind
    assert verify(target, settings).findings == []


def frames(records: Iterable[Frame | Decision]) -> list[Frame]:
    return [record for record in records if isinstance(record, Frame)]


def test_paced_records_come_at_their_time(store: MemoryStore) -> None:
    clock = ManualClock(0)

    def wait(seconds: float) -> None:
        clock.advance(round(seconds * SECOND))

    parts = frames(paced(iter([TAPE]), speed=60.0, clock=clock, wait=wait))
    assert sum(map(len, parts)) == len(TAPE)
    span = int(TAPE.ts_event[-1] - TAPE.ts_event[0])
    assert clock.now() == pytest.approx(span / 60, abs=2)
    assert max(int(part.ts_event[-1] - part.ts_event[0]) for part in parts) <= 15 * SECOND


def test_the_view_shows_candles_and_says_simulated(store: MemoryStore, settings: Settings) -> None:
    view = View(NAME, "1m", FeatureSet.load("technical").names, clock=ManualClock(5))
    lines = [line for outputs in replay(store, settings, info(store, NAME)) for line in view.take(outputs)]
    assert len(lines) == store.read("candles").num_rows
    assert all(line.startswith("SIMULATED BTC-USD.SIM 1m 2024-01-01T") for line in lines)
    console = Console(width=140)
    with console.capture() as captured:
        console.print(view)
    assert " SIMULATED  BTC-USD.SIM" in captured.get()
    assert "no outcome known yet" in captured.get()
