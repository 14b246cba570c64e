"""A signal ends a live process in order, whatever part of its start is under way."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeline.cli import live
from tapeline.cli.invocation import Invocation
from tapeline.clock import MINUTE, SystemClock
from tapeline.config import load_settings
from tapeline.recorder import Recorder
from tapeline.runners import embedded, simulated
from tapeline.runners.keeper import Keeper
from tapeline.runners.owner import note_of
from tapeline.runners.unawaited import Unawaited
from tapeline.runners.writer import Writer
from tapeline.stores.duckdb import DuckDBStore

LONG = 20.0


def start(db: Path) -> None:
    """Start the demo in this process, and return when it has ended in order."""
    asked = live.Asked(demo=True, headless=True)
    settings = load_settings(db=db, timeframes=("1m",), feature_sets=("bars",), predict=("1m/1m",), port=0)
    asyncio.run(live._run(Invocation(quiet=True), settings, asked, Unawaited()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_import_of_the_past_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    ended, folders = threading.Event(), list[Path]()

    def import_past(*arguments: Any) -> None:
        folders.append(arguments[-1])
        os.kill(os.getpid(), number)
        assert ended.wait(LONG), "it was waited for"

    monkeypatch.setattr(live, "_import_past", import_past)
    start(tmp_path / "a.duckdb")
    ended.set()

    assert [folder.exists() for folder in folders] == [False]


def test_a_database_that_is_being_opened_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db, closing, close = tmp_path / "a.duckdb", threading.Event(), Writer.close
    noted: list[bool] = []

    async def closed(writer: Writer) -> None:
        closing.set()
        await close(writer)

    def outstanding(keeper: Keeper) -> list[Any]:
        noted.append(note_of(db).exists())
        os.kill(os.getpid(), signal.SIGTERM)
        assert closing.wait(LONG), "it is not closed while it is being opened"
        return []

    monkeypatch.setattr(live, "_import_past", lambda *arguments: None)
    monkeypatch.setattr(embedded, "_outstanding", outstanding)
    monkeypatch.setattr(Writer, "close", closed)
    start(db)

    assert noted == [True]
    assert not note_of(db).exists()
    DuckDBStore(db).close()


def test_a_past_of_which_nothing_was_imported_is_imported_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill can come after an instrument is known and before its first trade is stored."""
    clock = SystemClock()
    settings = load_settings(db=tmp_path / "a.duckdb", timeframes=("1m",), feature_sets=("bars",))
    monkeypatch.setattr(simulated, "PAIRS", {"BTC-USD": MINUTE})
    simulation = simulated.Simulation.beside(settings.db, now=clock.now())

    def imported(record: Callable[..., list[Path]]) -> int:
        monkeypatch.setattr(simulated.Simulation, "record", record)
        live._import_past(Invocation(quiet=True), settings, simulation, clock, tmp_path)
        with DuckDBStore(settings.db, read_only=True) as store:
            return len(store.read("trades"))

    with DuckDBStore(settings.db) as store:
        Recorder(store, settings, clock=clock).lane("BTC-USD.SIM", contiguous=True)
    first = imported(simulated.Simulation.record)
    assert first > 0
    assert imported(lambda *arguments: pytest.fail("it is imported again")) == first
